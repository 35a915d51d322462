/**
 * The log files of every `ec_logger`, `bounce_logger`, `custom_logger` and `tls_log` stanza: facts come in, lines go to files (Momentum,
 * modules/ec-logger, modules/bounce-logger; the tls_log and lines of JSON are extensions).
 *
 * Nothing here can stop mail: lines are written in the background, and a file that cannot be written costs its own
 * lines only, counted in `droppedLines` and reported through `onError`. Stanzas that name the same file share it.
 */

import { hostname } from 'node:os'
import type {
  BounceLoggerSettings,
  FilePath,
  LoggerSettings,
  Settings,
  TlsLogSettings,
} from '../config/settings.ts'
import type { DecisionRecord } from '../events/decision.ts'
import type { ServerEvent } from '../events/events.ts'
import type { TlsSessionFact } from '../events/outbound-tls.ts'
import { formatAcctlog, formatChange, formatOperator, formatOperatorAct } from './acctlog.ts'
import { bouncelogHeartbeat, formatBouncelog, formatOutOfBand } from './bouncelog.ts'
import { filesOf, type OpenCustomLogger, openCustomLogger, writeCustomLog } from './custom-logs.ts'
import { JsonFiles } from './json/files.ts'
import { jsonHeartbeat, type LineEvent } from './json/line.ts'
import { formatMainlog, mainlogHeartbeat } from './mainlog.ts'
import { formatPaniclog } from './paniclog.ts'
import { formatRejectlog, rejectlogHeartbeat } from './rejectlog.ts'
import { formatTlsLog, tlsLogHeartbeat } from './tls-log.ts'
import { TlsReports } from './tls-reports.ts'
import { LogWriter } from './writer.ts'

export interface LogsOptions {
  /** milliseconds since the epoch */
  readonly clock: () => number
  /** Told when a file begins to fail, when it works again, and when lines are lost. */
  readonly onError: (message: string) => void
  /** false: another process of the node writes the heartbeats */
  readonly heartbeats?: boolean
}

/** The stanzas that name log files. */
export type LogStanzas = Pick<Settings, 'loggers'> &
  Partial<Pick<Settings, 'bounceLoggers' | 'customLoggers' | 'pathwayGroup' | 'tlsLogs' | 'global'>>

export interface Logs {
  /** Takes a fact; returns at once and never throws. For `EventBus.subscribe`. */
  handle(event: ServerEvent): void
  /** Closes and opens every file: SIGHUP, after logrotate. */
  reopen(): Promise<void>
  /** Puts new stanzas in force. Files that both name stay open. */
  replace(stanzas: LogStanzas): Promise<void>
  /** Writes what waits and closes. */
  close(): Promise<void>
  /** lines that were given up since the start */
  readonly droppedLines: number
}

/** Opens the files in the background and starts the heartbeats. */
export function openLogs(stanzas: LogStanzas, options: LogsOptions): Logs {
  return new FileLogs(stanzas, options)
}

/** A log in Momentum's format, as lines of JSON, in both, or not at all. */
interface OpenLog {
  readonly lines: LogWriter | undefined
  readonly json: LogWriter | undefined
}

/** One stanza with its files. */
interface OpenLogger {
  readonly settings: LoggerSettings
  readonly mainlog: OpenLog
  readonly rejectlog: OpenLog
  readonly paniclog: OpenLog
  readonly acctlog: OpenLog
  readonly heartbeat: NodeJS.Timeout | undefined
}

/** One `bounce_logger` with its file. */
interface OpenBounceLogger {
  readonly settings: BounceLoggerSettings
  readonly bouncelog: OpenLog
  readonly heartbeat: NodeJS.Timeout | undefined
}

/** One `tls_log` with its file. */
interface OpenTlsLog {
  readonly tlslog: LogWriter | undefined
  readonly heartbeat: NodeJS.Timeout | undefined
}

/** TLS_RPT_Log. */
interface OpenReports {
  readonly organization: string
  readonly file: LogWriter | undefined
  readonly heartbeat: NodeJS.Timeout | undefined
}

class FileLogs implements Logs {
  readonly #options: LogsOptions
  readonly #writers = new Map<string, LogWriter>()
  readonly #json = new JsonFiles()
  #loggers: readonly OpenLogger[]
  #bounceLoggers: readonly OpenBounceLogger[]
  #customLoggers: readonly OpenCustomLogger[]
  #tlsLogs: readonly OpenTlsLog[]
  readonly #tlsReports = new TlsReports()
  #reports: OpenReports
  /** lines given up by files that are closed */
  #droppedBefore = 0

  constructor(stanzas: LogStanzas, options: LogsOptions) {
    const { loggers, bounceLoggers = [], tlsLogs = [], global } = stanzas
    this.#options = options
    this.#customLoggers = this.#openCustom(stanzas)
    this.#loggers = loggers.map((logger) => this.#open(logger))
    this.#bounceLoggers = bounceLoggers.map((logger) => this.#openBounces(logger))
    this.#tlsLogs = tlsLogs.map((log) => this.#openTlsLog(log))
    this.#reports = this.#openReports(global)
  }

  get droppedLines(): number {
    return [...this.#writers.values()].reduce((sum, writer) => sum + writer.dropped, this.#droppedBefore)
  }

  handle(event: ServerEvent): void {
    try {
      for (const logger of this.#loggers) writeEvent(logger, event, this.#json)
      for (const logger of this.#bounceLoggers) writeFailure(logger, event, this.#json)
      this.#json.write()
      for (const logger of this.#customLoggers) writeCustomLog(logger, event)
      if (event.kind === 'decision') this.#writeDecision(event)
      if (event.kind === 'tls-session') this.#countSession(event)
    } catch (error) {
      this.#json.forget()
      this.#options.onError(`a log line could not be made: ${String(error)}`)
    }
  }

  async reopen(): Promise<void> {
    await Promise.all([...this.#writers.values()].map((writer) => writer.reopen()))
  }

  async replace(stanzas: LogStanzas): Promise<void> {
    const { loggers, bounceLoggers = [], tlsLogs = [], global } = stanzas
    stopHeartbeats([...this.#loggers, ...this.#bounceLoggers, ...this.#tlsLogs, this.#reports])
    this.#loggers = loggers.map((logger) => this.#open(logger))
    this.#bounceLoggers = bounceLoggers.map((logger) => this.#openBounces(logger))
    this.#tlsLogs = tlsLogs.map((log) => this.#openTlsLog(log))
    this.#reports = this.#openReports(global)
    this.#customLoggers = this.#openCustom(stanzas)
    const used = new Set([
      this.#reports.file,
      ...this.#loggers
        .flatMap((one) => [one.mainlog, one.rejectlog, one.paniclog, one.acctlog])
        .flatMap(({ lines, json }) => [lines, json]),
      ...this.#bounceLoggers.flatMap(({ bouncelog: { lines, json } }) => [lines, json]),
      ...this.#tlsLogs.map(({ tlslog }) => tlslog),
      ...this.#customLoggers.flatMap((one) => filesOf(one)),
    ])
    await this.#closeWriters([...this.#writers.values()].filter((writer) => !used.has(writer)))
  }

  async close(): Promise<void> {
    stopHeartbeats([...this.#loggers, ...this.#bounceLoggers, ...this.#tlsLogs, this.#reports])
    this.#writeReports('all')
    this.#loggers = []
    this.#bounceLoggers = []
    this.#tlsLogs = []
    this.#customLoggers = []
    await this.#closeWriters(this.#writers.values())
  }

  async #closeWriters(writers: Iterable<LogWriter>): Promise<void> {
    const closing = [...writers]
    for (const writer of closing) this.#writers.delete(writer.path)
    await Promise.all(closing.map((writer) => writer.close()))
    for (const writer of closing) this.#droppedBefore += writer.dropped
  }

  #open(settings: LoggerSettings): OpenLogger {
    const mainlog = this.#log(settings.mainlog, settings.mainlog_json, settings.mainlog_mode)
    const rejectlog = this.#log(settings.rejectlog, settings.rejectlog_json, settings.rejectlog_mode)
    const paniclog = this.#log(settings.paniclog, settings.paniclog_json, settings.paniclog_mode)
    const acctlog = this.#log(settings.acctlog, settings.acctlog_json, settings.acctlog_log_mode)
    const beat = (): void => {
      const now = this.#options.clock()
      mainlog.lines?.write(mainlogHeartbeat(now))
      mainlog.json?.write(jsonHeartbeat('mainlog', now))
      rejectlog.lines?.write(rejectlogHeartbeat(now))
      rejectlog.json?.write(jsonHeartbeat('rejectlog', now))
    }
    const heartbeat = this.#startHeartbeat(settings.heartbeat, beat)
    return { settings, mainlog, rejectlog, paniclog, acctlog, heartbeat }
  }

  #openBounces(settings: BounceLoggerSettings): OpenBounceLogger {
    const bouncelog = this.#log(settings.bouncelog, settings.bouncelog_json, settings.bouncelog_mode)
    const beat = (): void => {
      const now = this.#options.clock()
      bouncelog.lines?.write(bouncelogHeartbeat(now))
      bouncelog.json?.write(jsonHeartbeat('bouncelog', now))
    }
    return { settings, bouncelog, heartbeat: this.#startHeartbeat(settings.heartbeat, beat) }
  }

  #openCustom({
    customLoggers = [],
    pathwayGroup = () => 'default',
  }: LogStanzas): readonly OpenCustomLogger[] {
    const writer = (file: FilePath | undefined, mode: number) => this.#writer(file, mode)
    return customLoggers.map((each) => openCustomLogger(each, { writer, pathwayGroup }))
  }

  #openTlsLog(settings: TlsLogSettings): OpenTlsLog {
    const tlslog = this.#writer(settings.tlslog, settings.tlslog_mode)
    const beat = (): void => tlslog?.write(tlsLogHeartbeat(this.#options.clock()))
    return { tlslog, heartbeat: this.#startHeartbeat(settings.heartbeat, beat) }
  }

  #startHeartbeat(seconds: number, beat: () => void): NodeJS.Timeout | undefined {
    return this.#options.heartbeats === false ? undefined : startHeartbeat(seconds, beat)
  }

  #openReports(global: LogStanzas['global']): OpenReports {
    const file = this.#writer(global?.tls_rpt_log, REPORT_MODE)
    // what was counted for nobody is not told to whoever comes later
    if (file === undefined) this.#tlsReports.clear()
    const heartbeat = file && startHeartbeat(REPORT_SECONDS, () => this.#writeReports('over'))
    return { organization: global?.hostname ?? hostname(), file, heartbeat }
  }

  #countSession(event: TlsSessionFact): void {
    if (this.#reports.file === undefined) return
    this.#writeReports('over')
    this.#tlsReports.record(event)
  }

  #writeReports(which: 'over' | 'all'): void {
    const { organization, file } = this.#reports
    for (const line of this.#tlsReports.take(organization, this.#options.clock(), which)) file?.write(line)
  }

  #writeDecision(record: DecisionRecord): void {
    if (this.#tlsLogs.length === 0) return
    const line = formatTlsLog(record)
    for (const { tlslog } of this.#tlsLogs) tlslog?.write(line)
  }

  #log(lines: FilePath | undefined, json: FilePath | undefined, mode: number): OpenLog {
    return { lines: this.#writer(lines, mode), json: this.#writer(json, mode) }
  }

  #writer(file: FilePath | undefined, mode: number): LogWriter | undefined {
    if (file === undefined) return undefined
    const known = this.#writers.get(file.path)
    if (known !== undefined) return known
    const writer = new LogWriter({ path: file.path, mode, onReport: this.#options.onError })
    this.#writers.set(file.path, writer)
    return writer
  }
}

/** of TLS_RPT_Log; and how often a day that is over is looked for, beside each session */
const REPORT_MODE = 0o640
const REPORT_SECONDS = 600

/** Node takes a longer one for 1 ms. */
const LONGEST_INTERVAL_MS = 2 ** 31 - 1

/** @param seconds 0 = none */
function startHeartbeat(seconds: number, beat: () => void): NodeJS.Timeout | undefined {
  const every = Math.min(seconds * 1000, LONGEST_INTERVAL_MS)
  return every > 0 ? setInterval(beat, every).unref() : undefined
}

function stopHeartbeats(loggers: readonly { readonly heartbeat: NodeJS.Timeout | undefined }[]): void {
  for (const { heartbeat } of loggers) clearInterval(heartbeat)
}

function writeFailure({ settings, bouncelog }: OpenBounceLogger, event: ServerEvent, json: JsonFiles): void {
  if (event.kind === 'permanent-failure' && settings.log_inband_bounces)
    put(bouncelog, event, formatBouncelog, json)
  if (event.kind === 'transient-failure' && settings.log_transient_failures)
    put(bouncelog, event, formatBouncelog, json)
  if (event.kind === 'out-of-band-bounce' && settings.log_outofband_bounces)
    put(bouncelog, event, formatOutOfBand, json)
}

function writeEvent(logger: OpenLogger, event: ServerEvent, json: JsonFiles): void {
  const { settings, mainlog, rejectlog, paniclog, acctlog } = logger
  switch (event.kind) {
    case 'reception':
      if (settings.log_receptions) put(mainlog, event, formatMainlog, json)
      return
    case 'delivery':
      if (settings.log_deliveries) put(mainlog, event, formatMainlog, json)
      return
    case 'transient-failure':
      if (settings.log_transient_failures) put(mainlog, event, formatMainlog, json)
      return
    case 'permanent-failure':
      if (settings.log_permanent_failures) put(mainlog, event, formatMainlog, json)
      return
    case 'rejection':
      if (settings.log_rejections) put(rejectlog, event, formatRejectlog, json)
      return
    case 'panic':
      if (settings.log_errors) put(paniclog, event, formatPaniclog, json)
      return
    case 'authentication':
      if (event.account) put(acctlog, event, formatAcctlog, json)
      return
    case 'operator-act':
      put(acctlog, event, formatOperatorAct, json)
      return
    case 'configuration-change':
      put(acctlog, event, formatChange, json)
      return
    case 'operator':
      put(acctlog, event, formatOperator, json)
      return
    // these loggers have no line for them; the bouncelog, the tls_log, the console and the metrics listen to them
    case 'out-of-band-bounce':
    case 'connected':
    case 'disconnected':
    case 'tls-session':
    case 'tls':
    case 'decision':
    case 'expiry':
      return
  }
}

/** The line at once, the one of JSON when all who want it are known. */
// oxlint-disable-next-line max-params -- where to, what, how, and where else
function put<E extends LineEvent>(
  { lines, json: file }: OpenLog,
  event: E,
  format: (event: E) => string,
  json: JsonFiles,
): void {
  lines?.write(format(event))
  if (file !== undefined) json.add(file, event)
}
