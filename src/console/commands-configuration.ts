/** What is in force, and putting the files of the configuration in force again (momentum: console-commands/config). */

import type { Diagnostic } from '../config/diagnostic.ts'
import { describeOrigin } from '../config/diagnostic.ts'
import { type Evaluation, type EvaluationPlace, evaluate } from '../config/evaluate.ts'
import { type LiveChange, lineWithoutPasswords } from '../config/live/change.ts'
import { LineReader, readTarget } from '../config/live/target.ts'
import { type ConfigurationView, describeLive } from '../config/live/view.ts'
import { type Answer, ConsoleError } from './answer.ts'
import type { CommandContext, ConsoleCommand } from './command.ts'
import { treeCommands } from './commands-configuration-tree.ts'
import { liveCommands } from './commands-live.ts'
import { explained, orConsoleError, withDiagnostics } from './diagnostics.ts'
import { evaluateAt } from './effective.ts'
import type { ConsoleServices } from './services.ts'
import { joinWords } from './words.ts'

const RELOAD =
  'reads the configuration, certificates and scripts again, and reopens the logs; all or nothing. What was set live and not written back is dropped'

export const configurationCommands: readonly ConsoleCommand[] = [
  {
    name: 'config eval',
    arguments:
      '[SCOPE [INSTANCE]]… OPTION, or [listen ADDR] [peer IP] [pathway NAME] [domain DOMAIN] [binding NAME] [host HOST] OPTION',
    help: 'the effective value of an option in the configuration in force, and where it is written',
    run: evaluateOption,
  },
  { name: 'config reload', arguments: '', help: RELOAD, run: reload },
  { name: 'reload', arguments: '', help: RELOAD, run: reload },
  ...liveCommands,
  ...treeCommands,
]

async function evaluateOption(
  args: readonly string[],
  services: ConsoleServices,
  { connection }: CommandContext,
): Promise<Answer> {
  const option = args.at(-1)
  if (option === undefined) throw new ConsoleError('say which option: config eval … OPTION')
  const { configuration } = services
  const view = await configuration?.view(connection)
  const { name, text, origin } = orConsoleError(() => evaluation(args, services, view))
  const from = view === undefined ? describeOrigin(origin) : describeLive(origin, view)
  const first = text === undefined ? `${name} is not set` : `${name} = ${text}`
  return {
    kind: 'document',
    data: { option: name, value: text ?? null, from },
    lines: [first, `  from ${from}`],
  }
}

/** By places in any order, or by the path of a scope. @throws ConfigError */
function evaluation(
  args: readonly string[],
  services: ConsoleServices,
  view: ConfigurationView | undefined,
): Evaluation {
  const [option = ''] = args.slice(-1)
  const byPlace = args.slice(0, -1).every((word, index, all) => {
    const before = all.slice(0, index).filter((each) => each.toLowerCase() !== 'esmtp_listener').length
    return before % 2 === 1 || isPlaceWord(word)
  })
  const settings = view === undefined ? services.settings() : view.settings
  if (settings === undefined) {
    const wrong = view?.diagnostics.find(({ severity }) => severity === 'error')
    throw new ConsoleError(`the transaction cannot be put in force as it is: ${wrong?.message ?? ''}`)
  }
  if (byPlace || view === undefined) return evaluate(settings, option, placeOf(args.slice(0, -1)))
  return evaluateAt(view, readTarget(new LineReader(joinWords(args)), view.tree))
}

function isPlaceWord(word: string): boolean {
  const name = word.toLowerCase().replace(/^--/, '')
  return name === 'esmtp_listener' || placeWords.some((each) => each === name)
}

/** Momentum's path, `esmtp_listener listen :25 peer 10.0.0.0`, or the same with the dashes of `postern eval`. */
function placeOf(words: readonly string[]): EvaluationPlace {
  const rest = [...words]
  const place: Partial<Record<(typeof placeWords)[number], string>> = {}
  while (rest.length > 0) {
    const word = (rest.shift() ?? '').toLowerCase()
    // there is one, which needs no name
    if (word === 'esmtp_listener') continue
    const key = placeWords.find((each) => each === word.replace(/^--/, ''))
    const value = rest.shift()
    if (key === undefined)
      throw new ConsoleError(`${JSON.stringify(word)} is not one of ${placeWords.join(', ')}`)
    if (value === undefined) throw new ConsoleError(`${key} needs a value, and an option after it`)
    // a network stands for its clients
    place[key] = key === 'peer' ? value.replace(/\/\d+$/, '') : value
  }
  return place
}

const placeWords = ['listen', 'peer', 'pathway', 'domain', 'binding', 'host'] as const

async function reload(
  _args: readonly string[],
  services: ConsoleServices,
  { operator, connection }: CommandContext,
): Promise<Answer> {
  const { configuration } = services
  const who = { name: operator.name, from: operator.from }
  const { warnings, dropped } = await withDiagnostics(
    async () =>
      configuration === undefined
        ? { warnings: await services.reload(), dropped: [] }
        : await configuration.reload(who, connection),
    'Reconfigure failed; the configuration before stays in force.',
  )
  return {
    kind: 'document',
    data: {
      reloaded: true,
      warnings: warnings.map(({ message }) => message),
      dropped: dropped.map(lineWithoutPasswords),
    },
    lines: [...textOf(warnings), ...droppedLines(dropped), 'The configuration was reloaded.'],
  }
}

function textOf(warnings: readonly Diagnostic[]): readonly string[] {
  return warnings.length === 0 ? [] : explained(warnings).trimEnd().split('\n')
}

function droppedLines(dropped: readonly LiveChange[]): readonly string[] {
  if (dropped.length === 0) return []
  return [
    'Set live, not written back, and no longer in force:',
    ...dropped.map((each) => `  ${lineWithoutPasswords(each)}`),
  ]
}
