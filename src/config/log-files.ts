/** Which files the loggers write, and that none of them has lines of two kinds: who reads JSON stops at the first other line. */

import { isJsonLogger } from './custom-loggers.ts'
import { displayName } from './known-names.ts'
import type { Model, NamedStanza, Setting } from './model.ts'
import type { Report } from './report.ts'
import type { BounceLoggerSettings, FilePath, LoggerSettings } from './settings.ts'

/** Every file of a logger. */
export function loggerFiles(logger: LoggerSettings | BounceLoggerSettings): readonly FilePath[] {
  if ('bouncelog' in logger) return [logger.bouncelog, logger.bouncelog_json].filter(isNamed)
  const { mainlog, rejectlog, paniclog, acctlog } = logger
  const { mainlog_json, rejectlog_json, paniclog_json, acctlog_json } = logger
  const lines = [mainlog, rejectlog, paniclog, acctlog]
  return [...lines, mainlog_json, rejectlog_json, paniclog_json, acctlog_json].filter(isNamed)
}

function isNamed(file: FilePath | undefined): file is FilePath {
  return file !== undefined
}

interface Named extends Setting {
  readonly option: string
  /** every line of the file is JSON */
  readonly json: boolean
}

export function checkLogFiles(model: Model, report: Report): void {
  const { loggers, bounceLoggers, customLoggers, tlsLogs } = model
  const stanzas = [loggers, bounceLoggers, customLoggers, tlsLogs].flatMap((each) => [...each.values()])
  const all = stanzas.flatMap((each) => filesIn(each))
  const reports = model.global.settings.get('tls_rpt_log')
  if (reports?.value !== undefined) all.push({ ...reports, option: 'tls_rpt_log', json: false })
  const others = new Map(all.filter(({ json }) => !json).map((each) => [pathOf(each), each] as const))
  for (const json of all.filter((each) => each.json)) {
    const other = others.get(pathOf(json))
    if (other === undefined) continue
    report.error(
      `${displayName(json.option)} names the file of ${displayName(other.option)}: lines of JSON need one of their own`,
      json.at,
      { message: 'the other one is here', at: other.at },
    )
  }
}

function filesIn(logger: NamedStanza): readonly Named[] {
  const own = isJsonLogger(logger)
  return [...logger.stanza.settings].flatMap(([option, setting]) => {
    if (!FILE.test(option) || setting.value === undefined) return []
    return [{ option, ...setting, json: JSON_FILE.test(option) || (own && option !== 'paniclog') }]
  })
}

function pathOf({ value }: Named): string {
  return (value as FilePath).path
}

const FILE = /(?:log|_logfile|_json)$/
const JSON_FILE = /^tlslog$|_json$/
