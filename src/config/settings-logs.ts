/** What the options of ec_logger, bounce_logger and tls_log come to (Momentum: modules/ec-logger, modules/bounce-logger). */

import type { Position } from './diagnostic.ts'
import type { FilePath } from './settings-tls.ts'

export interface LoggerSettings {
  readonly name: string
  readonly mainlog: FilePath | undefined
  readonly rejectlog: FilePath | undefined
  readonly paniclog: FilePath | undefined
  readonly acctlog: FilePath | undefined
  /** + the same events as lines of JSON; permissions are those of the log beside it */
  readonly mainlog_json: FilePath | undefined
  readonly rejectlog_json: FilePath | undefined
  readonly paniclog_json: FilePath | undefined
  readonly acctlog_json: FilePath | undefined
  readonly mainlog_mode: number
  readonly rejectlog_mode: number
  readonly paniclog_mode: number
  /** Momentum spells this one differently */
  readonly acctlog_log_mode: number
  /** seconds between marker lines, 0 = none */
  readonly heartbeat: number
  readonly log_receptions: boolean
  readonly log_deliveries: boolean
  readonly log_transient_failures: boolean
  readonly log_permanent_failures: boolean
  readonly log_rejections: boolean
  readonly log_errors: boolean
  readonly at: Position
}

export interface BounceLoggerSettings {
  readonly name: string
  readonly bouncelog: FilePath | undefined
  /** + */
  readonly bouncelog_json: FilePath | undefined
  readonly bouncelog_mode: number
  /** seconds between marker lines, 0 = none */
  readonly heartbeat: number
  readonly log_inband_bounces: boolean
  readonly log_outofband_bounces: boolean
  readonly log_transient_failures: boolean
  readonly at: Position
}

/** + */
export interface TlsLogSettings {
  readonly name: string
  readonly tlslog: FilePath | undefined
  readonly tlslog_mode: number
  /** seconds between marker lines, 0 = none */
  readonly heartbeat: number
  readonly at: Position
}
