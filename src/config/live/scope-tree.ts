/** A configuration as stanzas with their options, what is written in several pieces put together: for `config show` and its like. */

import type { Position } from '../diagnostic.ts'
import { displayName } from '../known-names.ts'
import { withoutPasswords } from '../secrets.ts'
import type { Assignment, Statement } from '../tree.ts'
import { formatAssignment, formatValue } from './format.ts'
import { describeStep, type ScopePath, type Step, scopeAt, stepOf } from './steps.ts'

export interface ScopeTree {
  /** undefined: the global scope */
  readonly step: Step | undefined
  /** where it is opened first */
  readonly at: Position | undefined
  /** what holds, by name in lower case */
  readonly options: Map<string, Assignment>
  /** by the step's key */
  readonly children: Map<string, ScopeTree>
  /** options and scopes as they stand there, each once */
  readonly order: Set<Assignment['name']['text'] | ScopeTree>
}

/** @param statements without includes */
export function scopeTree(statements: readonly Statement[]): ScopeTree {
  const root = newScope(undefined, undefined)
  fill(root, statements)
  return root
}

export function findScope(root: ScopeTree, path: ScopePath): ScopeTree | undefined {
  return path.reduce<ScopeTree | undefined>((scope, { key }) => scope?.children.get(key), root)
}

/** Passwords as they are, or as stars. */
export interface ShowOptions {
  readonly passwords: 'shown' | 'hidden'
  /** what stands in scopes inside */
  readonly children: 'whole' | 'named'
}

/** Momentum's layout: `config show` names scopes inside as `Listen ":25" { ... }`. */
export function showScope(scope: ScopeTree, options: ShowOptions, indent = ''): readonly string[] {
  return [...scope.order].flatMap((entry) => {
    if (typeof entry === 'string') {
      const assignment = scope.options.get(entry)
      if (assignment === undefined) return []
      const { value } = assignment
      const shown = options.passwords === 'hidden' ? withoutPasswords(entry, value) : value
      return formatAssignment(displayName(entry), shown, indent)
    }
    const title = `${indent}${entry.step === undefined ? '' : describeStep(entry.step)} {`
    if (options.children === 'named') return [`${title} ... }`]
    return [title, ...showScope(entry, options, `${indent}  `), `${indent}}`]
  })
}

/** The same for configurations that say the same, in whatever order and in however many pieces. */
export function fingerprint(scope: ScopeTree): string {
  const options = [...scope.options].map(([name, { value }]) => `${name} = ${formatValue(value)}`)
  const children = [...scope.children].map(([key, child]) => `${key} { ${fingerprint(child)} }`)
  return [...options.toSorted(), ...children.toSorted()].join('\n')
}

function newScope(step: Step | undefined, at: Position | undefined): ScopeTree {
  return { step, at, options: new Map(), children: new Map(), order: new Set() }
}

function fill(scope: ScopeTree, statements: readonly Statement[]): void {
  const parent = scope.step === undefined ? 'global' : scopeAt([scope.step])
  for (const statement of statements) {
    if (statement.kind === 'assignment') {
      const name = statement.name.text.toLowerCase()
      scope.options.set(name, statement)
      scope.order.add(name)
    } else if (statement.kind === 'stanza') {
      const step = stepOf(parent, statement)
      let child = scope.children.get(step.key)
      if (child === undefined) {
        child = newScope(step, statement.name.at)
        scope.children.set(step.key, child)
        scope.order.add(child)
      }
      fill(child, statement.body)
    }
  }
}
