/** Changes from the console over the statements of the files: what a file with these changes written into it would say. */

import type { ScopeName } from '../option-row.ts'
import type { Statement } from '../tree.ts'
import type { LiveChange } from './change.ts'
import { type ScopePath, stepOf } from './steps.ts'

/** Statements without includes. None of them is changed: what differs is made anew. */
export function applyChanges(
  statements: readonly Statement[],
  changes: readonly LiveChange[],
): readonly Statement[] {
  return changes.reduce(applyChange, statements)
}

function applyChange(statements: readonly Statement[], change: LiveChange): readonly Statement[] {
  switch (change.kind) {
    case 'scratch':
      return []
    case 'set':
      return [...within(statements, change.path, (body) => without(body, change.option)), change.statement]
    case 'unset':
  }
  const { path, option } = change
  const last = path.at(-1)
  if (option !== undefined) return within(statements, path, (body) => without(body, option))
  if (last === undefined) return []
  return within(statements, path.slice(0, -1), (body, scope) =>
    body.filter((each) => each.kind !== 'stanza' || !isStep(each, scope, last)),
  )
}

/** The statements with another body wherever the scope of the path is opened. */
function within(
  statements: readonly Statement[],
  path: ScopePath,
  edit: (body: readonly Statement[], scope: ScopeName | undefined) => readonly Statement[],
  scope: ScopeName | undefined = 'global',
): readonly Statement[] {
  const [step, ...rest] = path
  if (step === undefined) return edit(statements, scope)
  return statements.map((each) =>
    each.kind === 'stanza' && isStep(each, scope, step)
      ? { ...each, body: within(each.body, rest, edit, step.scope) }
      : each,
  )
}

function isStep(
  node: Extract<Statement, { kind: 'stanza' }>,
  scope: ScopeName | undefined,
  { name, key }: ScopePath[number],
): boolean {
  return node.name.text.toLowerCase() === name && stepOf(scope, node).key === key
}

function without(body: readonly Statement[], option: string): readonly Statement[] {
  return body.filter((each) => each.kind !== 'assignment' || each.name.text.toLowerCase() !== option)
}
