/**
 * Looking at the configuration in force and changing it (momentum: console-commands/config, console-commands/write-config;
 * docs/live-configuration.md). What a line means is read in `config/live/target.ts`.
 */

import path from 'node:path'
import { suggestion } from '../config/edit-distance.ts'
import { displayName } from '../config/known-names.ts'
import { dateTime, type Who } from '../config/live/audit.ts'
import { lineWithoutPasswords, scratchChange, setChange, unsetChange } from '../config/live/change.ts'
import { formatAssignment, formatValue } from '../config/live/format.ts'
import type { LiveConfiguration, Outcome } from '../config/live/live-configuration.ts'
import { findScope, type ScopeTree, showScope } from '../config/live/scope-tree.ts'
import { describePath, describeStep, type ScopePath } from '../config/live/steps.ts'
import { LineReader, mistake, readTarget, readValue, settableRow } from '../config/live/target.ts'
import { type ConfigurationView, describeLive } from '../config/live/view.ts'
import { withoutPasswords } from '../config/secrets.ts'
import { type Answer, ConsoleError } from './answer.ts'
import type { CommandContext, ConsoleCommand } from './command.ts'
import { explained, withDiagnostics } from './diagnostics.ts'
import { effectiveAt } from './effective.ts'
import { locateScopes } from './locate-scopes.ts'
import type { ConsoleServices } from './services.ts'
import { joinWords } from './words.ts'

const PATH = '[SCOPE [INSTANCE]]…'

export const liveCommands: readonly ConsoleCommand[] = [
  command('config get', `${PATH} OPTION`, 'what one scope says about an option', get),
  command(
    'config set',
    `${PATH} OPTION [=] VALUE`,
    'sets an option in the configuration in force, or in the transaction that is open',
    set,
  ),
  command(
    'config unset',
    `${PATH} [OPTION]`,
    'takes an option out of a scope, or the whole scope with what stands in it',
    unset,
  ),
  command('config show', `${PATH} [OPTION]`, 'a scope; scopes inside are only named', (line) =>
    show(line, 'named'),
  ),
  command('config showrecurse', PATH, 'a scope with everything in it', (line) => show(line, 'whole')),
  command('config locate', 'SCOPE [REGEX]', 'where instances of a scope stand', locate),
  command('config begin', '', 'begins a transaction, which ends with the connection', begin),
  command(
    'config begin from scratch',
    '',
    'begins a transaction without anything that was configured before',
    beginFromScratch,
  ),
  command('config commit', '', 'puts a transaction in force, as a whole or not at all', commit),
  command('config rollback', '', 'drops a transaction', rollback),
  command('config replay', '', 'lists what a transaction holds', replay),
  command(
    'config writeback',
    '[FILE]',
    'writes what was set live into the files, or the whole configuration in force into a new file',
    writeBack,
  ),
  command(
    'write config',
    '[FILE]',
    'shows the configuration in force, or writes it into a new file on the machine of the server',
    writeConfig,
  ),
]

interface Line {
  /** behind the command's name */
  readonly rest: LineReader
  readonly live: LiveConfiguration
  readonly who: Who
  readonly connection: AbortSignal | undefined
}

// oxlint-disable-next-line max-params -- the parts of a row
function command(
  name: string,
  rest: string,
  help: string,
  run: (line: Line) => Promise<Answer>,
): ConsoleCommand {
  return {
    name,
    arguments: rest,
    help,
    run: async (args, services, context) => {
      const line = lineOf(name, args, { services, context })
      return await withDiagnostics(() => run(line), 'Nothing was changed.')
    },
  }
}

function lineOf(
  name: string,
  args: readonly string[],
  { services, context }: { readonly services: ConsoleServices; readonly context: CommandContext },
): Line {
  const { operator, line, connection } = context
  const rest = new LineReader(line ?? `${name} ${joinWords(args)}`)
  for (const _ of name.split(' ')) rest.take()
  return { rest, live: liveOf(services), who: { name: operator.name, from: operator.from }, connection }
}

/** @throws ConsoleError */
export function liveOf({ configuration }: ConsoleServices): LiveConfiguration {
  if (configuration === undefined) throw new ConsoleError('this process does not own the configuration')
  return configuration
}

async function get({ rest, live, connection }: Line): Promise<Answer> {
  const view = await live.view(connection)
  const { path: scope, option } = readTarget(rest, view.tree)
  if (option === undefined)
    throw mistake('say which option: config get … OPTION; config show has whole scopes')
  atEnd(rest)
  const found = thereOf(view, scope).options.get(option)
  const name = displayName(option)
  if (found === undefined)
    return {
      kind: 'document',
      data: { option: name, scope: describePath(scope), value: null },
      lines: [`Option '${name}' is not set in scope '${describePath(scope)}'.`],
    }
  const value = withoutPasswords(option, found.value)
  return {
    kind: 'document',
    data: {
      option: name,
      scope: describePath(scope),
      value: formatValue(value),
      from: describeLive(found.value.at, view),
    },
    lines: formatAssignment(name, value),
  }
}

async function set({ rest, live, who, connection }: Line): Promise<Answer> {
  const view = await live.view(connection)
  const target = readTarget(rest, view.tree)
  const { path: scope, option = '' } = target
  const row = settableRow(target)
  if (rest.peek()?.text === '=' && !rest.peek()?.quoted) rest.take()
  if (rest.rest() === '') throw mistake(`${displayName(option)} needs a value; config unset takes it away`)
  const value = readValue(rest.rest(), row, path.dirname(path.resolve(live.main)))
  const change = setChange(live.author(who), scope, option, value)
  const outcome = await live.change(change, who, connection)
  const shown = withoutPasswords(option, value)
  const added = newScopes(view.tree, scope).map((each) => `${each} is new.`)
  return changed(outcome, {
    data: { option: displayName(option), scope: describePath(scope), value: formatValue(shown) },
    lines: [...formatAssignment(displayName(option), shown), ...added],
  })
}

async function unset({ rest, live, who, connection }: Line): Promise<Answer> {
  const view = await live.view(connection)
  const { path: scope, option } = readTarget(rest, view.tree)
  atEnd(rest)
  if (scope.length === 0 && option === undefined)
    throw mistake('the global scope as a whole cannot be unset; config begin from scratch begins without it')
  const there = thereOf(view, scope)
  const name = option === undefined ? describePath(scope) : displayName(option)
  if (option !== undefined && !there.options.has(option))
    return {
      kind: 'document',
      data: { option: name, scope: describePath(scope), changed: false },
      lines: [`Option '${name}' is not set in scope '${describePath(scope)}'.`],
    }
  const outcome = await live.change(unsetChange(live.author(who), scope, option), who, connection)
  const effective =
    option === undefined || outcome === 'noted'
      ? undefined
      : effectiveAt(outcome.view, { path: scope, option })
  const tail = effective === undefined ? '' : ' Effective value is now:'
  return changed(outcome, {
    data: { unset: name, scope: describePath(scope), effective: effective ?? null },
    lines: [
      `${option === undefined ? name : `"${name}"`} has been unset.${tail}`,
      ...(effective === undefined ? [] : [effective]),
    ],
  })
}

/** The answer to a change: what it says itself, and what there is to be warned of. */
function changed(
  outcome: Outcome | 'noted',
  { data, lines }: { readonly data: object; readonly lines: readonly string[] },
): Answer {
  if (outcome === 'noted')
    return {
      kind: 'document',
      data: { ...data, inForce: false },
      lines: [...lines, 'It acts when the transaction is committed.'],
    }
  const { data: told, lines: said } = consequences(outcome)
  return { kind: 'document', data: { ...data, inForce: true, ...told }, lines: [...lines, ...said] }
}

function consequences({ unchanged, warnings, weakened, view }: Outcome): {
  readonly data: {
    readonly unchanged: boolean
    readonly warnings: readonly string[]
    readonly weakened: readonly string[]
  }
  readonly lines: readonly string[]
} {
  return {
    data: { unchanged, warnings: warnings.map(({ message }) => message), weakened },
    lines: [
      ...(unchanged ? ['It was so already.'] : []),
      ...weakened.map((sentence) => `Warning: ${sentence}.`),
      ...explained(warnings, view.readSource)
        .split('\n')
        .filter((line) => line !== ''),
    ],
  }
}

async function show({ rest, live, connection }: Line, children: 'whole' | 'named'): Promise<Answer> {
  const view = await live.view(connection)
  const target = readTarget(rest, view.tree)
  atEnd(rest)
  const scope = thereOf(view, target.path)
  if (target.option !== undefined) {
    const found = scope.options.get(target.option)
    const name = displayName(target.option)
    const lines =
      found === undefined
        ? [`Option '${name}' is not set in scope '${describePath(target.path)}'.`]
        : formatAssignment(name, withoutPasswords(target.option, found.value))
    return { kind: 'document', data: { scope: describePath(target.path), lines }, lines }
  }
  const last = target.path.at(-1)
  const inside = showScope(
    scope,
    { passwords: 'hidden', children },
    last !== undefined && children === 'whole' ? '  ' : '',
  )
  const lines =
    last !== undefined && children === 'whole' ? [`${describeStep(last)} {`, ...inside, '}'] : inside
  return { kind: 'document', data: { scope: describePath(target.path), lines }, lines }
}

async function locate({ rest, live, connection }: Line): Promise<Answer> {
  const view = await live.view(connection)
  const name = rest.take()?.text.toLowerCase()
  if (name === undefined) throw mistake('say which scope: config locate SCOPE [REGEX]')
  return locateScopes(view, name, rest.rest().replace(/^"(.*)"$/s, '$1'))
}

async function begin({ live, who, connection }: Line): Promise<Answer> {
  return await begun(live, live.begin(connection, who), [])
}

async function beginFromScratch({ live, who, connection }: Line): Promise<Answer> {
  const others = live.begin(connection, who, scratchChange(live.author(who)))
  return await begun(live, others, ['It begins without anything that was configured before.'])
}

async function begun(
  live: LiveConfiguration,
  others: readonly string[],
  more: readonly string[],
): Promise<Answer> {
  const { settings } = await live.viewInForce()
  const silence = settings?.global.control_client_timeout ?? 0
  const lines = [
    'A transaction has begun: nothing acts before config commit.',
    ...(silence === 0
      ? []
      : [`It ends with the connection, which ends after ${silence} seconds of silence.`]),
    ...more,
    ...others.map((each) => `${each}.`),
  ]
  return { kind: 'document', data: { begun: true, others }, lines }
}

async function commit({ live, who, connection }: Line): Promise<Answer> {
  const outcome = await live.commit(connection, who)
  const { committed } = outcome
  const { data, lines } = consequences({ ...outcome, unchanged: false })
  return {
    kind: 'document',
    data: { committed: committed.map(lineWithoutPasswords), ...data },
    lines: [
      outcome.unchanged
        ? 'The transaction changes nothing: all of it was so already.'
        : `The transaction is in force: ${changes(committed.length)}.`,
      ...lines,
    ],
  }
}

function rollback({ live, connection }: Line): Promise<Answer> {
  const dropped = live.rollback(connection)
  return Promise.resolve({
    kind: 'document',
    data: { dropped },
    lines: [`The transaction was dropped: ${changes(dropped)}.`],
  })
}

function replay({ live, connection }: Line): Promise<Answer> {
  const all = live.replay(connection).map(lineWithoutPasswords)
  const lines = all.length === 0 ? ['The transaction holds no change.'] : all
  return Promise.resolve({ kind: 'document', data: all, lines })
}

async function writeBack(line: Line): Promise<Answer> {
  const { rest, live, who } = line
  if (rest.rest() !== '') return await whole(line)
  if (live.unsaved.length === 0)
    return {
      kind: 'document',
      data: { files: [], saved: [], left: [] },
      lines: ['Nothing was set live that is not written.'],
    }
  const { saved, left, files } = await live.writeBack(who)
  const lines = [
    ...files.map(
      (file) => `${file} was written: ${changes(saved.filter((each) => each.files.includes(file)).length)}.`,
    ),
    ...left.flatMap(({ change, reason }) => [
      `Not saved: ${lineWithoutPasswords(change)}`,
      `  by ${change.by}, at ${dateTime(change.at)}: ${reason}`,
    ]),
  ]
  // a program, and whoever reads the last line only, must not take a part for the whole
  if (left.length > 0)
    throw new ConsoleError(
      [
        ...lines,
        'Not everything was saved: what was not stays in force until the next start or reload.',
      ].join('\n'),
    )
  return {
    kind: 'document',
    data: { files, saved: saved.map(({ change }) => lineWithoutPasswords(change)), left: [] },
    lines,
  }
}

async function writeConfig(line: Line): Promise<Answer> {
  if (line.rest.rest() !== '') return await whole(line)
  const { tree } = await line.live.viewInForce()
  const lines = showScope(tree, { passwords: 'hidden', children: 'whole' })
  return { kind: 'document', data: { lines }, lines }
}

async function whole({ rest, live }: Line): Promise<Answer> {
  const file = rest.take()?.text ?? ''
  if (rest.rest() !== '') throw mistake('one file is written: a name with blanks stands in quotes')
  const written = await live.writeWhole(file)
  return {
    kind: 'document',
    data: { file: written },
    lines: [
      `${written} has the whole configuration in force. It may hold passwords; its mode is 0600.`,
      ...(path.dirname(written) === path.dirname(path.resolve(live.main))
        ? []
        : ['Relative paths in it start at its own folder, and it is not that of the main file.']),
    ],
  }
}

/** @throws ConfigError where more is typed than is asked for */
function atEnd(rest: LineReader): void {
  if (rest.rest() !== '')
    throw mistake(`nothing is expected behind the option, and there is ${JSON.stringify(rest.rest())}`)
}

/** The scope of a path. @throws ConfigError where there is none */
function thereOf({ tree }: ConfigurationView, scope: ScopePath): ScopeTree {
  const found = findScope(tree, scope)
  if (found !== undefined) return found
  const depth = scope.findIndex((_, index) => findScope(tree, scope.slice(0, index + 1)) === undefined)
  const missing = scope[depth]
  const around = findScope(tree, scope.slice(0, depth))
  const names = [...(around?.children.values() ?? [])].flatMap(({ step }) =>
    step?.name === missing?.name ? (step?.instance ?? []) : [],
  )
  throw mistake(
    `there is no ${describePath(scope.slice(0, depth + 1))}${suggestion(missing?.instance ?? '', names)}`,
  )
}

/** What a path opens that was not there. */
function newScopes(tree: ScopeTree, scope: ScopePath): readonly string[] {
  const depth = scope.findIndex((_, index) => findScope(tree, scope.slice(0, index + 1)) === undefined)
  return depth === -1 ? [] : [describePath(scope)]
}

function changes(count: number): string {
  return count === 1 ? '1 change' : `${count} changes`
}
