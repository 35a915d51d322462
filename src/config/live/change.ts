/**
 * What an operator changed from the console, as plain data: a line of `<console>`, which stands beside the files of the
 * configuration. Values that were set live have their place there.
 */

import type { Position } from '../diagnostic.ts'
import { displayName } from '../known-names.ts'
import { parse } from '../parser.ts'
import { withoutPasswords } from '../secrets.ts'
import type { Assignment, Scalar, StanzaNode, Statement, Value } from '../tree.ts'
import { formatText, formatValue } from './format.ts'
import { pathKey, type ScopePath } from './steps.ts'

/** the name of the file that there is not */
export const CONSOLE = '<console>'

interface Made {
  /** its line in `<console>`; grows over the life of the process */
  readonly number: number
  /** the command that makes the same change */
  readonly line: string
  readonly by: string
  /** milliseconds since the epoch */
  readonly at: number
}

export interface SetChange extends Made {
  readonly kind: 'set'
  readonly path: ScopePath
  /** in lower case */
  readonly option: string
  readonly value: Value
  /** the assignment inside its stanzas */
  readonly statement: Statement
}

export interface UnsetChange extends Made {
  readonly kind: 'unset'
  readonly path: ScopePath
  /** undefined: the whole scope */
  readonly option: string | undefined
}

/** Everything that was there before is gone. */
export interface ScratchChange extends Made {
  readonly kind: 'scratch'
}

export type LiveChange = SetChange | UnsetChange | ScratchChange

export interface Author {
  readonly number: number
  readonly by: string
  readonly at: number
}

/** @param value from anywhere: its places become those in the change's own line */
export function setChange(author: Author, path: ScopePath, option: string, value: Value): SetChange {
  let line = 'config set'
  const scalar = (text: string, shown: string): Scalar => {
    const at = position(author.number, line.length + 2, shown.length)
    line += ` ${shown}`
    return { kind: 'scalar', text, at }
  }
  const stanzas = path.map(({ name, instance }) => ({
    name: scalar(name, displayName(name)),
    instance: instance === undefined ? undefined : scalar(instance, formatText(instance)),
  }))
  const name = scalar(option, displayName(option))
  const placed = placedValue(value, author.number, line.length + 2)
  line += ` ${formatValue(value)}`
  const assignment: Assignment = { kind: 'assignment', name, value: placed }
  const statement = stanzas.reduceRight<Statement>(
    (inner, stanza): StanzaNode => ({ kind: 'stanza', ...stanza, body: [inner] }),
    assignment,
  )
  return { ...author, kind: 'set', line, path, option, value: placed, statement }
}

export function unsetChange(author: Author, path: ScopePath, option: string | undefined): UnsetChange {
  const words = path.flatMap(({ name, instance }) => [
    displayName(name),
    ...(instance === undefined ? [] : [formatText(instance)]),
  ])
  const line = ['config unset', ...words, ...(option === undefined ? [] : [displayName(option)])].join(' ')
  return { ...author, kind: 'unset', line, path, option }
}

export function scratchChange(author: Author): ScratchChange {
  return { ...author, kind: 'scratch', line: 'config begin from scratch' }
}

/**
 * The changes with one more. What it undoes or repeats of those before is no longer among them, so that no number of
 * commands makes more changes than there are options.
 */
export function withChange(before: readonly LiveChange[], change: LiveChange): readonly LiveChange[] {
  if (change.kind === 'scratch') return [change]
  const path = pathKey(change.path)
  const isSame = (each: LiveChange): boolean =>
    each.kind !== 'scratch' && each.option === change.option && pathKey(each.path) === path
  if (change.option !== undefined) {
    // what was set opened its scope, and that stays open when it is unset again
    const kept = before.filter((each) => !isSame(each) || (change.kind === 'unset' && each.kind === 'set'))
    const at = before.findIndex((each) => isSame(each) && each.kind === change.kind)
    return change.kind === 'set' && at !== -1 ? kept.toSpliced(at, 0, change) : [...kept, change]
  }
  const isInside = (each: LiveChange): boolean =>
    each.kind !== 'scratch' && (pathKey(each.path) === path || pathKey(each.path).startsWith(`${path}\n`))
  return [...before.filter((each) => !isInside(each)), change]
}

/** The command that makes the same change, for screens and logs. */
export function lineWithoutPasswords(change: LiveChange): string {
  if (change.kind !== 'set') return change.line
  const { path, option, value } = change
  return setChange(change, path, option, withoutPasswords(option, value)).line
}

/** `<console>` as a text: each change on the line of its number. */
export function consoleText(changes: readonly LiveChange[]): string {
  const lines: string[] = []
  for (const { number, line } of changes) lines[number - 1] = line
  return Array.from(lines, (line) => line ?? '').join('\n')
}

function position(line: number, column: number, length: number): Position {
  return { file: CONSOLE, line, column, length }
}

/** The value as if it stood in the change's line, from a column on. */
function placedValue(value: Value, number: number, column: number): Value {
  const name = 'v = '
  const { statements } = parse(name + formatValue(value), CONSOLE)
  const [found] = statements
  if (found?.kind !== 'assignment') throw new Error('a value cannot be written')
  return moved(found.value, number, column - name.length - 1)
}

function moved<V extends Value>(value: V, line: number, columns: number): V {
  const at = { ...value.at, line, column: value.at.column + columns }
  switch (value.kind) {
    case 'scalar':
      return { ...value, at }
    case 'array':
      return { ...value, at, items: value.items.map((item) => moved(item, line, columns)) }
    case 'dictionary':
  }
  return {
    ...value,
    at,
    entries: value.entries.map((entry) => ({
      key: moved(entry.key, line, columns),
      value: moved(entry.value, line, columns),
    })),
  }
}
