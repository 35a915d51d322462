/** What is configured, and putting another configuration in force (momentum: console-commands/config). */

import { readFileSync } from 'node:fs'
import type { Diagnostic } from '../config/diagnostic.ts'
import { describeOrigin } from '../config/diagnostic.ts'
import { type EvaluationPlace, evaluate } from '../config/evaluate.ts'
import { renderDiagnostics } from '../config/render.ts'
import { type Answer, ConsoleError } from './answer.ts'
import type { ConsoleCommand } from './command.ts'
import type { ConsoleServices } from './services.ts'

const RELOAD = 'reads the configuration, certificates and scripts again, and reopens the logs; all or nothing'

export const configurationCommands: readonly ConsoleCommand[] = [
  {
    name: 'config eval',
    arguments: '[listen ADDR] [peer IP] [pathway NAME] [domain DOMAIN] [binding NAME] [host HOST] OPTION',
    help: 'the effective value of an option in the configuration in force, and where it is written',
    run: evaluateOption,
  },
  { name: 'config reload', arguments: '', help: RELOAD, run: (_args, services) => reload(services) },
  { name: 'reload', arguments: '', help: RELOAD, run: (_args, services) => reload(services) },
]

function evaluateOption(args: readonly string[], services: ConsoleServices): Answer {
  const option = args.at(-1)
  if (option === undefined) throw new ConsoleError('say which option: config eval … OPTION')
  const place = placeOf(args.slice(0, -1))
  const { name, text, origin } = orConsoleError(() => evaluate(services.settings(), option, place))
  const from = describeOrigin(origin)
  const first = text === undefined ? `${name} is not set` : `${name} = ${text}`
  return {
    kind: 'document',
    data: { option: name, value: text ?? null, from },
    lines: [first, `  from ${from}`],
  }
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
    place[key] = value
  }
  return place
}

const placeWords = ['listen', 'peer', 'pathway', 'domain', 'binding', 'host'] as const

async function reload(services: ConsoleServices): Promise<Answer> {
  const warnings = await withDiagnostics(
    () => services.reload(),
    'Reconfigure failed; the configuration before stays in force.',
  )
  const text = warnings.length === 0 ? [] : explained(warnings).trimEnd().split('\n')
  return {
    kind: 'document',
    data: { reloaded: true, warnings: warnings.map(({ message }) => message) },
    lines: [...text, 'The configuration was reloaded.'],
  }
}

/** Says what is wrong with a configuration as `postern check` does. @throws ConsoleError */
export async function withDiagnostics<T>(work: () => Promise<T>, verdict: string): Promise<T> {
  try {
    return await work()
  } catch (error) {
    const found = diagnosticsOf(error)
    if (found === undefined) throw error
    throw new ConsoleError(`${explained(found)}${verdict}`, { cause: error })
  }
}

function orConsoleError<T>(work: () => T): T {
  try {
    return work()
  } catch (error) {
    const [first] = diagnosticsOf(error) ?? []
    if (first === undefined) throw error
    throw new ConsoleError(first.message, { cause: error })
  }
}

/** Of a ConfigError or a ListenError. */
function diagnosticsOf(error: unknown): readonly Diagnostic[] | undefined {
  if (!(error instanceof Error && 'diagnostics' in error && Array.isArray(error.diagnostics)))
    return undefined
  return error.diagnostics as readonly Diagnostic[]
}

function explained(diagnostics: readonly Diagnostic[]): string {
  return renderDiagnostics(diagnostics, (file) => {
    try {
      return readFileSync(file, 'utf8')
    } catch {
      return undefined
    }
  })
}
