/** What the options of a custom_logger come to (Momentum: modules/custom-logger). */

import type { Position } from './diagnostic.ts'
import type { LogFormat, LogStage, Sanitize } from './log-format.ts'
import type { FilePath } from './settings-tls.ts'

type OfStages = {
  /** undefined: the stage is not logged */
  readonly [Stage in LogStage as `${Stage}_format`]: LogFormat | undefined
} & {
  /** undefined: the stanza's mainlog */
  readonly [Stage in LogStage as `${Stage}_logfile`]: FilePath | undefined
} & {
  readonly [Stage in LogStage as `${Stage}_log_mode`]: number
}

export interface CustomLoggerValues extends OfStages {
  readonly mainlog: FilePath | undefined
  readonly mainlog_mode: number
  readonly paniclog: FilePath | undefined
  readonly paniclog_mode: number
  /** undefined: where there is a format */
  readonly log_receptions: boolean | undefined
  readonly log_deliveries: boolean | undefined
  readonly log_transient_failures: boolean | undefined
  readonly log_permanent_failures: boolean | undefined
  readonly log_rejections: boolean | undefined
  readonly log_errors: boolean
  readonly namespace: readonly string[]
  readonly sanitize: Sanitize
}

export interface CustomLoggerSettings extends CustomLoggerValues {
  readonly name: string
  readonly at: Position
}
