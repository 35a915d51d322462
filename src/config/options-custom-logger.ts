/** The options of custom_logger; defaults are Momentum's (modules/custom-logger), and no file has a default path. */

import { bool, filePath, permissions, scalar } from './codec.ts'
import { logFormat, sanitize } from './log-format.ts'
import type { OptionTable, ScopeName } from './option-row.ts'
import type { CustomLoggerValues } from './settings-custom-logger.ts'

const scopes: readonly ScopeName[] = ['custom_logger']
const file = { codec: filePath, default: undefined, scopes }
const mode = { codec: permissions, default: 0o644, scopes }
const format = { codec: logFormat, default: undefined, scopes }
const logged = { codec: bool, default: undefined, scopes }

const namespaces = scalar(
  'names of namespaces with commas between them, such as "custom_logger,outbound_tls"',
  (text) => {
    const names = text.split(',').map((name) => name.trim().toLowerCase())
    return names.every((name) => /^[a-z][a-z0-9_]*$/.test(name)) ? Object.freeze(names) : undefined
  },
)

export const customLoggerOptions: OptionTable<CustomLoggerValues> = {
  reception_logfile: file,
  delivery_logfile: file,
  transient_failure_logfile: file,
  permanent_failure_logfile: file,
  rejection_logfile: file,
  reception_format: format,
  delivery_format: format,
  transient_failure_format: format,
  permanent_failure_format: format,
  rejection_format: format,
  reception_log_mode: mode,
  delivery_log_mode: mode,
  transient_failure_log_mode: mode,
  permanent_failure_log_mode: mode,
  rejection_log_mode: mode,
  mainlog: file,
  mainlog_mode: mode,
  paniclog: file,
  paniclog_mode: mode,
  log_receptions: logged,
  log_deliveries: logged,
  log_transient_failures: logged,
  log_permanent_failures: logged,
  log_rejections: logged,
  log_errors: { codec: bool, default: false, scopes },
  namespace: { codec: namespaces, default: Object.freeze(['custom_logger', 'sieve']), scopes },
  sanitize: {
    codec: sanitize,
    default: { text: '', json: false, nonPrintable: false, translate: new Map() },
    scopes,
  },
}
