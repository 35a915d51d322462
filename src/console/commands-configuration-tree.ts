/**
 * The configuration in force with the line that each value stands on, and what holds in a scope when everything that
 * stands around it is taken into account. Extensions.
 */

import type { Position } from '../config/diagnostic.ts'
import { format } from '../config/evaluate.ts'
import { displayName, findOption, namesIn } from '../config/known-names.ts'
import { formatValue } from '../config/live/format.ts'
import { findScope, type ScopeTree } from '../config/live/scope-tree.ts'
import { describePath, describeStep, type ScopePath, scopeAt } from '../config/live/steps.ts'
import { LineReader, mistake, readTarget, rowOf } from '../config/live/target.ts'
import { type ConfigurationView, describeLive } from '../config/live/view.ts'
import type { ScopeName } from '../config/option-row.ts'
import { withoutPasswords } from '../config/secrets.ts'
import type { Answer, TableAnswer } from './answer.ts'
import type { ConsoleCommand } from './command.ts'
import { liveOf } from './commands-live.ts'
import { withDiagnostics } from './diagnostics.ts'
import { evaluateAt } from './effective.ts'
import type { ConsoleServices } from './services.ts'
import { joinWords } from './words.ts'

/** scopes of one kind that a scope shows; a million Peer stanzas are for `config locate` */
const MAX_CHILDREN = 500

export const treeCommands: readonly ConsoleCommand[] = [
  {
    name: 'config tree',
    arguments: '[SCOPE [INSTANCE]]…',
    help: 'the configuration in force, with the line that each value stands on',
    run: (args, services) => withScope(args, services, treeAnswer),
  },
  {
    name: 'config effective',
    arguments: '[SCOPE [INSTANCE]]…',
    help: 'every option that means something in a scope, with its value there and the line that decides it',
    run: (args, services) => withScope(args, services, effectiveAnswer),
  },
]

interface Node {
  /** `Listen ":25"`; '' for the global scope */
  readonly title: string
  /** the way to it, as `config effective` takes it */
  readonly path: string
  /** FILE:LINE where it is opened first; null for the global scope */
  readonly from: string | null
  readonly options: readonly { readonly name: string; readonly value: string; readonly from: string }[]
  readonly children: readonly Node[]
  /** scopes inside that are not shown */
  readonly leftOut: number
}

async function withScope(
  args: readonly string[],
  services: ConsoleServices,
  show: (view: ConfigurationView, path: ScopePath) => Answer,
): Promise<Answer> {
  const view = await liveOf(services).viewInForce()
  return await withDiagnostics(async () => {
    const { path, option } = readTarget(new LineReader(joinWords(args)), view.tree)
    if (option !== undefined) throw mistake(`${displayName(option)} is an option; say which scope`)
    return show(view, path)
  }, 'Nothing is shown.')
}

function treeAnswer(view: ConfigurationView, path: ScopePath): Answer {
  const scope = findScope(view.tree, path)
  if (scope === undefined) throw mistake(`there is no ${describePath(path)}`)
  const data = nodeOf(scope, path, view)
  return { kind: 'document', data, lines: treeLines(data, '') }
}

function nodeOf({ options, children, at, step }: ScopeTree, path: ScopePath, view: ConfigurationView): Node {
  const all = [...children.values()].filter((child) => child.step !== undefined)
  const shown = all.slice(0, MAX_CHILDREN)
  return {
    title: step === undefined ? '' : describeStep(step),
    path: describePath(path),
    from: at === undefined ? null : describeLive(at, view),
    options: [...options].map(([name, { value }]) => ({
      name: displayName(name),
      value: formatValue(withoutPasswords(name, value)),
      from: describeLive(value.at, view),
    })),
    children: shown.flatMap((child) =>
      child.step === undefined ? [] : [nodeOf(child, [...path, child.step], view)],
    ),
    leftOut: all.length - shown.length,
  }
}

function treeLines({ title, from, options, children, leftOut }: Node, indent: string): readonly string[] {
  const inside = title === '' ? indent : `${indent}  `
  return [
    ...(title === '' ? [] : [`${indent}${title}  [${from ?? ''}]`]),
    ...options.map((option) => `${inside}${option.name} = ${option.value}  [${option.from}]`),
    ...children.flatMap((child) => treeLines(child, inside)),
    ...(leftOut === 0 ? [] : [`${inside}${leftOut} more scopes are not shown.`]),
  ]
}

function effectiveAnswer(view: ConfigurationView, path: ScopePath): TableAnswer {
  const scope = scopeAt(path)
  if (scope === undefined)
    throw mistake(`${describePath(path)} is recognised, not implemented: nothing of it acts`)
  const names = namesIn(scope)
    .map((name) => name.toLowerCase())
    .filter((name) => findOption(name, scope)?.kind === 'acts')
  return {
    kind: 'table',
    columns: [
      { key: 'option', head: 'Option' },
      { key: 'value', head: 'Value' },
      { key: 'from', head: 'From' },
    ],
    // what somebody has written comes first
    rows: names
      .map((option) => ({ option: displayName(option), ...found(view, path, option) }))
      .toSorted((a, b) => Number(a.from === 'default') - Number(b.from === 'default')),
    empty: 'No option means anything here.',
  }
}

function found(
  view: ConfigurationView,
  path: ScopePath,
  option: string,
): { readonly value: string | undefined; readonly from: string } {
  if (path.some(({ scope }) => scope !== undefined && places.includes(scope))) {
    const { text, origin } = evaluateAt(view, { path, option })
    return { value: text === undefined ? undefined : masked(option, text), from: describeLive(origin, view) }
  }
  // nobody in particular: what is written here, or nearest around it
  for (let depth = path.length; depth >= 0; depth--) {
    const set = findScope(view.tree, path.slice(0, depth))?.options.get(option)
    if (set !== undefined && rowOf({ path: path.slice(0, depth), option }) !== undefined)
      return {
        value: formatValue(withoutPasswords(option, set.value)),
        from: describeLive(set.value.at, view),
      }
  }
  return { value: format(rowOf({ path, option })?.default, option), from: 'default' }
}

/** A value as text, without passwords. */
function masked(option: string, text: string): string {
  const shown = withoutPasswords(option, { kind: 'scalar', text, at: NOWHERE })
  return shown.kind === 'scalar' ? shown.text : ''
}

const NOWHERE: Position = { file: '', line: 0, column: 0, length: 0 }

/** scopes that say for whom a value is asked: what is written outside of them counts by the rules of fallback */
const places: readonly ScopeName[] = ['listen', 'domain', 'host', 'binding']
