/**
 * What a custom_logger comes to (Momentum: modules/custom-logger), and what it says in vain.
 *
 * A stage is logged when it has a format, unless its log_… option says no. It goes to its own file, or else to the
 * Mainlog of the stanza.
 */

import { joinWith } from './codec.ts'
import type { Position } from './diagnostic.ts'
import { wrongJson } from './json-format.ts'
import { displayName } from './known-names.ts'
import {
  headersOf,
  type LogFormat,
  type LogMacro,
  type LogStage,
  logMacros,
  logStages,
  macrosOf,
  type Sanitize,
  stageLetters,
} from './log-format.ts'
import type { Model, NamedStanza } from './model.ts'
import { customLoggerOptions } from './options-custom-logger.ts'
import { quote } from './render.ts'
import type { Report } from './report.ts'
import type { FilePath } from './settings.ts'
import type { CustomLoggerSettings, CustomLoggerValues } from './settings-custom-logger.ts'

/** A stage that is written down. */
export interface LoggedStage {
  readonly stage: LogStage
  readonly format: LogFormat
  readonly file: FilePath
  readonly mode: number
}

export function loggedStages(settings: CustomLoggerValues): readonly LoggedStage[] {
  return logStages.flatMap((stage) => {
    const format = settings[`${stage}_format`]
    const own = settings[`${stage}_logfile`]
    const file = own ?? settings.mainlog
    if (format === undefined || file === undefined || settings[switches[stage]] === false) return []
    const mode = own === undefined ? settings.mainlog_mode : settings[`${stage}_log_mode`]
    return [{ stage, format, file, mode }]
  })
}

/** Every file that is written. */
export function customLogFiles(settings: CustomLoggerValues): readonly FilePath[] {
  const { log_errors: errors, paniclog } = settings
  return [
    ...loggedStages(settings).map(({ file }) => file),
    ...(errors && paniclog !== undefined ? [paniclog] : []),
  ]
}

/** Names of headers that a custom_logger writes, in lower case: reception keeps their values with the envelope. */
export function loggedHeaders(loggers: readonly CustomLoggerSettings[]): readonly string[] {
  return [
    ...new Set(loggers.flatMap((logger) => loggedStages(logger).flatMap(({ format }) => headersOf(format)))),
  ]
}

export function checkCustomLoggers(model: Model, report: Report): void {
  for (const logger of model.customLoggers.values()) {
    checkNamespaces(logger, report)
    for (const stage of logStages) checkStage(logger, stage, report)
    checkErrors(logger, report)
    checkMainlog(logger, report)
  }
}

function checkStage(logger: NamedStanza, stage: LogStage, report: Report): void {
  const format = settingOf(logger, `${stage}_format`)
  const file = settingOf(logger, `${stage}_logfile`)
  const switched = settingOf(logger, switches[stage])
  const formatName = displayName(`${stage}_format`)
  if (format === undefined) {
    if (logger.stanza.wrong.has(`${stage}_format`)) return
    if (switched?.value === true)
      report.error(
        `${displayName(switches[stage])} needs a ${formatName}: it says what is written`,
        switched.at,
      )
    else if (file !== undefined) report.warning(`nothing is written here without a ${formatName}`, file.at)
    return
  }
  const parts = macrosOf(format.value as LogFormat)
  for (const macro of parts) checkMacro(logger, { macro, stage }, report)
  const { settings, wrong } = logger.stanza
  checkJson(logger, { format: format.value as LogFormat, at: format.at, stage }, report)
  const files = [`${stage}_logfile`, 'mainlog']
  if (!files.some((name) => settings.has(name) || wrong.has(name)) && switched?.value !== false)
    report.warning(
      `this is written nowhere: there is neither a ${displayName(`${stage}_logfile`)} nor a Mainlog`,
      format.at,
    )
}

/** Whatever the macros will say, the line must be an object. */
function checkJson(
  logger: NamedStanza,
  { format, at, stage }: { readonly format: LogFormat; readonly at: Position; readonly stage: LogStage },
  report: Report,
): void {
  if (!isJsonLogger(logger)) return
  const why = wrongJson(format, stage)
  if (why !== undefined)
    report.error(
      `${displayName(`${stage}_format`)} is no object of JSON, which Sanitize asks for: ${why}`,
      at,
    )
}

function checkMacro(
  logger: NamedStanza,
  { macro: { name, at }, stage }: { readonly macro: LogMacro; readonly stage: LogStage },
  report: Report,
): void {
  const { namespace, stages } = logMacros[name]
  if (!namespacesOf(logger).includes(namespace)) {
    report.error(
      `%${name} is in the namespace ${namespace}: write Namespace = ${quote([...namespacesOf(logger), namespace].join(','))}`,
      at,
    )
  } else if (!stages.includes(stageLetters[stage])) {
    report.warning(`%${name} is always empty in a ${displayName(`${stage}_format`)}`, at)
  }
}

function checkNamespaces(logger: NamedStanza, report: Report): void {
  const namespace = settingOf(logger, 'namespace')
  const unknown = namespacesOf(logger).filter((name) => !knownNamespaces.includes(name))
  if (namespace === undefined || unknown.length === 0) return
  report.warning(
    `there are no macros in the namespace ${joinWith(
      'or',
      unknown.map((name) => quote(name)),
    )}`,
    namespace.at,
  )
}

function checkErrors(logger: NamedStanza, report: Report): void {
  const paniclog = settingOf(logger, 'paniclog')
  const errors = settingOf(logger, 'log_errors')
  if (errors?.value === true && paniclog === undefined)
    report.warning('errors are written nowhere: there is no Paniclog', errors.at)
  if (errors === undefined && paniclog !== undefined)
    report.warning('nothing is written here without Log_Errors = true', paniclog.at)
}

function checkMainlog(logger: NamedStanza, report: Report): void {
  const mainlog = settingOf(logger, 'mainlog')
  const used = logStages.some(
    (stage) =>
      (settingOf(logger, `${stage}_format`) !== undefined || logger.stanza.wrong.has(`${stage}_format`)) &&
      settingOf(logger, `${stage}_logfile`) === undefined &&
      settingOf(logger, switches[stage])?.value !== false,
  )
  if (mainlog !== undefined && !used)
    report.warning(
      'nothing is written here: no stage that is logged has a format and no file of its own',
      mainlog.at,
    )
}

function namespacesOf(logger: NamedStanza): readonly string[] {
  const written = settingOf(logger, 'namespace')?.value as readonly string[] | undefined
  return written ?? customLoggerOptions.namespace.default
}

/** + `Sanitize = "json"` */
export function isJsonLogger(logger: NamedStanza): boolean {
  return (settingOf(logger, 'sanitize')?.value as Sanitize | undefined)?.json === true
}

function settingOf({ stanza }: NamedStanza, name: keyof CustomLoggerValues) {
  return stanza.settings.get(name)
}

/** `sieve` holds nothing here, and stands in Momentum's default */
const knownNamespaces: readonly string[] = ['custom_logger', 'sieve', 'outbound_tls']

const switches = {
  reception: 'log_receptions',
  delivery: 'log_deliveries',
  transient_failure: 'log_transient_failures',
  permanent_failure: 'log_permanent_failures',
  rejection: 'log_rejections',
} as const satisfies Readonly<Record<LogStage, keyof CustomLoggerValues>>
