/** Runs pieces of Lua against the library and collects what they print. */

import assert from 'node:assert/strict'
import type { DnsRecord, RecordQuestion, RecordResolver } from '../../src/dns/records.ts'
import { RecordError } from '../../src/dns/records.ts'
import type { LibraryServices } from '../../src/policy/lua/lib/services.ts'
import type { SessionFacts } from '../../src/policy/phases.ts'
import { askMail, callout, type Gate, load, session } from './scripts.fixture.ts'

export interface RunOptions {
  readonly library?: Partial<LibraryServices>
  readonly facts?: SessionFacts
  readonly limits?: { readonly time?: number; readonly memory?: number }
  /** text before the callout: definitions, and code that runs at load time */
  readonly before?: string
}

/** A gate whose MAIL callout has this body. */
export function gateOf(body: string, options: RunOptions = {}): Promise<Gate> {
  const { library, limits, before = '' } = options
  return load(
    { gate: `${before}\n${callout(`${body}\nreturn core.VALIDATE_CONT`)}` },
    { ...(library === undefined ? {} : { library }), ...(limits === undefined ? {} : { limits }) },
  )
}

/** What the body prints; the callout has to end well. */
export async function prints(body: string, options: RunOptions = {}): Promise<string[]> {
  const gate = await gateOf(body, options)
  assert.deepEqual(gate.diagnostics, [])
  assert.deepEqual(await askMail(gate, options.facts), { kind: 'continue' }, gate.panics.join('\n'))
  return gate.panics
}

/** The error that each expression raises, without its position. */
export async function errorsOf(
  expressions: readonly string[],
  options: RunOptions = {},
): Promise<Record<string, string>> {
  const gate = await gateOf(
    expressions
      .map((expression) => `print(select(2, pcall(function() return ${expression} end)))`)
      .join('\n'),
    options,
  )
  assert.deepEqual(gate.diagnostics, [])
  assert.deepEqual(await askMail(gate, options.facts ?? session()), { kind: 'continue' }, gate.panics.join())
  return Object.fromEntries(
    expressions.map((expression, index) => [
      expression,
      (gate.panics[index] ?? '').replace(/^gate\.lua:\d+: /, ''),
    ]),
  )
}

/** Knows what it was told: `A name` → values. Answers when `release` is called, if it was told to hold. */
export class MockRecords implements RecordResolver {
  readonly asked: RecordQuestion[] = []
  readonly #table: Readonly<Record<string, readonly (string | DnsRecord)[] | string>>
  readonly #held: (() => void)[] = []
  aborted = 0
  hold = false

  constructor(table: Readonly<Record<string, readonly (string | DnsRecord)[] | string>>) {
    this.#table = table
  }

  get waiting(): number {
    return this.#held.length
  }

  async lookup(question: RecordQuestion, signal: AbortSignal): Promise<readonly DnsRecord[]> {
    this.asked.push(question)
    if (this.hold) {
      await new Promise<void>((resolve, reject) => {
        this.#held.push(resolve)
        signal.addEventListener('abort', () => {
          this.aborted++
          reject(new Error('aborted'))
        })
      })
    }
    const found = this.#table[`${question.type} ${question.name}`] ?? 'NXDOMAIN'
    if (typeof found === 'string') throw new RecordError(found)
    return found.map((each) => (typeof each === 'string' ? { value: each, preference: undefined } : each))
  }

  release(): void {
    for (const go of this.#held.splice(0)) go()
  }
}
