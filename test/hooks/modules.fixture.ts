/** Policies made from files in a folder outside of the checkout, where nothing but the program knows `postern`. */

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after } from 'node:test'
import type { Diagnostic } from '../../src/config/diagnostic.ts'
import type { Policy } from '../../src/policy/phases.ts'
import { createPolicy, type PolicyOptions } from '../../src/policy/run.ts'
import { unsigned } from './unsigned.fixture.ts'

export interface Loaded {
  /** verdicts name nobody */
  readonly policy: Policy
  /** verdicts name the script that answered */
  readonly signed: Policy
  readonly diagnostics: readonly Diagnostic[]
  /** paniclog texts, oldest first */
  readonly panics: string[]
}

export class PolicyFolder {
  readonly path = mkdtempSync(path.join(tmpdir(), 'postern-policy-'))

  constructor() {
    after(() => rmSync(this.path, { recursive: true, force: true }))
  }

  write(files: Readonly<Record<string, string>>): void {
    for (const [name, text] of Object.entries(files)) {
      const file = path.join(this.path, name)
      mkdirSync(path.dirname(file), { recursive: true })
      writeFileSync(file, text)
    }
  }

  /** Loads scripts in this order; `gate.ts` is the script `gate`. */
  async load(sources: readonly string[], options: Partial<PolicyOptions> = {}): Promise<Loaded> {
    const panics: string[] = []
    const { policy, diagnostics } = await createPolicy({
      scripts: sources.map((source, index) => ({
        name: path.basename(source).replace(/\.\w+$/, ''),
        source: `./${source}`,
        path: path.join(this.path, source),
        at: { file: path.join(this.path, 'gate.conf'), line: index + 1, column: 1, length: 6 },
      })),
      hostname: 'mx.example',
      events: {
        emit: (event) => {
          if (event.kind === 'panic') panics.push(event.text.replaceAll(`${this.path}/`, ''))
        },
      },
      ...options,
    })
    return { policy: unsigned(policy), signed: policy, diagnostics, panics }
  }

  /** `FILE:LINE:COLUMN: severity: message` */
  shown({ diagnostics }: Loaded): string[] {
    return diagnostics.map(({ at, severity, message }) => {
      const place = at === undefined ? '' : `${path.relative(this.path, at.file)}:${at.line}:${at.column}: `
      return `${place}${severity}: ${message}`.replaceAll(`${this.path}/`, '')
    })
  }
}

/** A policy whose only methods are given, everything of the package in scope. */
export function policyText(methods: string, tail = ''): string {
  return `import * as postern from 'postern'
import { accept, definePolicy, discard, disconnect, done, proceed, reject, tarpit, type Session } from 'postern'
void [postern, accept, discard, disconnect, done, proceed, reject, tarpit]
export const policy = definePolicy({
${methods}
})
${tail}`
}
