/** One line of meaning for every option of the logs. */

import type { BounceLoggerSettings, LoggerSettings, TlsLogSettings } from '../../src/config/settings.ts'
import type { CustomLoggerValues } from '../../src/config/settings-custom-logger.ts'
import type { Notes } from './notes.ts'

export const loggerNotes: Notes<Omit<LoggerSettings, 'name' | 'at'>> = {
  mainlog: 'file of receptions (`R`) and deliveries (`D`, `T`, `P`)',
  rejectlog: 'file of refusals',
  paniclog: 'file of what an operator must know, and of `print` in scripts',
  acctlog: 'file of authentications (`N`, `T`), where `log_authentication` asks for them',
  mainlog_json: '+ file of the same events as lines of JSON; see [json-lines.md](json-lines.md)',
  rejectlog_json: '+ likewise',
  paniclog_json: '+ likewise',
  acctlog_json: '+ likewise',
  mainlog_mode: 'permissions of `Mainlog` and `Mainlog_JSON`',
  rejectlog_mode: 'likewise',
  paniclog_mode: 'likewise',
  acctlog_log_mode: 'likewise, of acctlog',
  heartbeat: 'seconds between marker lines; 0 = none',
  log_receptions: 'R lines',
  log_deliveries: 'D lines',
  log_transient_failures: 'T lines',
  log_permanent_failures: 'P lines',
  log_rejections: 'rejectlog lines',
  log_errors: 'paniclog lines',
}

export const bounceLoggerNotes: Notes<Omit<BounceLoggerSettings, 'name' | 'at'>> = {
  bouncelog: 'file of failures (`B`, `T`) with their class',
  bouncelog_json: '+ file of the same events as lines of JSON; see [json-lines.md](json-lines.md)',
  bouncelog_mode: 'permissions of both',
  heartbeat: 'seconds between marker lines; 0 = none',
  log_inband_bounces: 'B lines',
  log_outofband_bounces: 'B lines of reports that came back (Bounce_Domains)',
  log_transient_failures: 'T lines',
}

export const customLoggerNotes: Notes<CustomLoggerValues> = {
  reception_logfile: 'file of this stage; without it the lines go to `Mainlog`',
  delivery_logfile: 'the same',
  transient_failure_logfile: 'the same',
  permanent_failure_logfile: 'the same',
  rejection_logfile: 'the same',
  reception_format:
    'the line of a message that was accepted, made of text and macros; see [logs.md](logs.md#custom_logger)',
  delivery_format: 'of one that was delivered',
  transient_failure_format: 'of an attempt that failed for now',
  permanent_failure_format: 'of one that failed for good',
  rejection_format: 'of a command, message or connection that was refused',
  reception_log_mode: 'permissions of the file of the stage',
  delivery_log_mode: 'the same',
  transient_failure_log_mode: 'the same',
  permanent_failure_log_mode: 'the same',
  rejection_log_mode: 'the same',
  mainlog: 'file of the stages that have none of their own',
  mainlog_mode: 'permissions',
  paniclog: 'file of what an operator must know',
  paniclog_mode: 'permissions',
  log_receptions: 'whether the stage is logged; not set: if it has a format',
  log_deliveries: 'the same',
  log_transient_failures: 'the same',
  log_permanent_failures: 'the same',
  log_rejections: 'the same',
  log_errors: 'whether `Paniclog` is written',
  namespace: 'where macros are looked for; `outbound_tls` has those about TLS',
  sanitize:
    '`tr/from/to/` exchanges characters of values, `non_printable` writes octets that are not printable ASCII as `\\` and three decimal digits, `special_characters` is always on; + `json` escapes values for [lines of JSON](logs.md#lines-of-json)',
}

export const tlsLogNotes: Notes<Omit<TlsLogSettings, 'name' | 'at'>> = {
  tlslog:
    'file of decision records, one line of JSON for each TLS connection; see [decision-record.md](decision-record.md)',
  tlslog_mode: 'permissions',
  heartbeat: 'seconds between marker lines; 0 = none',
}
