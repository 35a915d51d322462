/**
 * The options that act outside a reception: global, outbound, logs, maildirs, scripts, Security.
 *
 * Defaults are Momentum's (config-options-summary, modules/ec-logger, modules/maildir) except that nothing is written
 * which the configuration does not name: logs have no default path. Rows marked + are extensions.
 */

import {
  bool,
  type Codec,
  count,
  countOrMinusOne,
  filePath,
  hostname,
  line,
  longSeconds,
  permissions,
  seconds,
  size,
} from './codec.ts'
import { domains, ehloName, nameServers, networks, nextHop, routes } from './codec-mail.ts'
import { warningDays } from './codec-tls.ts'
import { destinationScopes, domainScopes, type OptionTable, type ScopeName } from './option-row.ts'
import { noticeOptions, suppressList } from './options-notices.ts'
import { queueGlobals, queueOptions } from './options-queue.ts'
import { sessionGlobals, sessionOptions } from './options-session.ts'
import type {
  BounceLoggerSettings,
  GlobalValues,
  LoggerSettings,
  MaildirSettings,
  OutboundValues,
  ScriptSettings,
  SecuritySettings,
  TlsLogSettings,
} from './settings.ts'

const global: readonly ScopeName[] = ['global']

/** What is not in a file goes through memory, several bodies at once. */
const LARGEST_IN_MEMORY = 4 * 1024 ** 2
const largeBody: Codec<number> = (value, context) => {
  const octets = size(value, context)
  if (octets === undefined || octets.value <= LARGEST_IN_MEMORY) return octets
  return context.error('can be 4M at most', value.at)
}

export const globalOptions: OptionTable<GlobalValues> = {
  hostname: { codec: hostname, default: undefined, scopes: global },
  spoolbase: {
    codec: filePath,
    default: { path: '/var/spool/postern', text: '/var/spool/postern' },
    scopes: global,
  },
  spool_mode: { codec: permissions, default: 0o640, scopes: global },
  /** + */
  spool_min_free: { codec: size, default: 100 * 1024 ** 2, scopes: global },
  /** + */
  reception_memory: { codec: size, default: 64 * 1024 ** 2, scopes: global },
  large_message_threshold: { codec: largeBody, default: 256 * 1024, scopes: global },
  control_client_timeout: { codec: seconds, default: 60, scopes: global },
  trace_smtp_mode: { codec: permissions, default: 0o640, scopes: global },
  /** read where the configuration's files are read, and after all of them */
  local_changes_file: { codec: filePath, default: undefined, scopes: global },
  local_changes_only: { codec: bool, default: false, scopes: global },
  /** + */
  max_sessions: { codec: count(), default: 0, scopes: global },
  /** + */
  tls_expiry_warning: { codec: warningDays, default: Object.freeze([30, 14, 7, 1]), scopes: global },
  /** + */
  dns_servers: { codec: nameServers, default: Object.freeze([]), scopes: global },
  bounce_suppress_list: { codec: suppressList, default: Object.freeze([]), scopes: global },
  ...queueGlobals,
  ...sessionGlobals,
}

export const outboundOptions: OptionTable<OutboundValues> = {
  ...queueOptions,
  opendkim_sign: { codec: bool, default: true, scopes: destinationScopes },
  gateway: { codec: nextHop, default: undefined, scopes: destinationScopes },
  routes: { codec: routes, default: Object.freeze([]), scopes: domainScopes },
  remote_smtp_port: {
    codec: count('a port', { min: 1, max: 65535 }),
    default: 25,
    scopes: destinationScopes,
  },
  mx_failures_fallback_to_a: { codec: countOrMinusOne, default: 3, scopes: domainScopes },
  prohibited_hosts: { codec: networks, default: Object.freeze([]), scopes: global },
  skip_hosts: { codec: networks, default: Object.freeze([]), scopes: global },
  use_ipv6: { codec: bool, default: false, scopes: global },
  prefer_ipv6_mxs: { codec: bool, default: false, scopes: global },
  host_failure_retry: { codec: longSeconds, default: 120, scopes: domainScopes },
  ...noticeOptions,
  ehlo_hostname: { codec: ehloName, default: undefined, scopes: destinationScopes },
  idle_timeout: { codec: seconds, default: 5, scopes: destinationScopes },
  ...sessionOptions,
}

const logger: readonly ScopeName[] = ['ec_logger']
const logged = { codec: bool, default: true, scopes: logger }
const log = { codec: filePath, default: undefined, scopes: logger }
const logMode = { codec: permissions, default: 0o644, scopes: logger }

export const loggerOptions: OptionTable<Omit<LoggerSettings, 'name' | 'at'>> = {
  mainlog: log,
  rejectlog: log,
  paniclog: log,
  acctlog: log,
  /** + */
  mainlog_json: log,
  rejectlog_json: log,
  paniclog_json: log,
  acctlog_json: log,
  mainlog_mode: logMode,
  rejectlog_mode: logMode,
  paniclog_mode: logMode,
  acctlog_log_mode: logMode,
  heartbeat: { codec: seconds, default: 60, scopes: logger },
  log_receptions: logged,
  log_deliveries: logged,
  log_transient_failures: logged,
  log_permanent_failures: logged,
  log_rejections: logged,
  log_errors: logged,
}

const bounceLogger: readonly ScopeName[] = ['bounce_logger']

export const bounceLoggerOptions: OptionTable<Omit<BounceLoggerSettings, 'name' | 'at'>> = {
  bouncelog: { codec: filePath, default: undefined, scopes: bounceLogger },
  /** + */
  bouncelog_json: { codec: filePath, default: undefined, scopes: bounceLogger },
  bouncelog_mode: { codec: permissions, default: 0o644, scopes: bounceLogger },
  heartbeat: { codec: seconds, default: 60, scopes: bounceLogger },
  log_inband_bounces: { codec: bool, default: true, scopes: bounceLogger },
  log_outofband_bounces: { codec: bool, default: true, scopes: bounceLogger },
  log_transient_failures: { codec: bool, default: true, scopes: bounceLogger },
}

const tlsLog: readonly ScopeName[] = ['tls_log']

/** + */
export const tlsLogOptions: OptionTable<Omit<TlsLogSettings, 'name' | 'at'>> = {
  tlslog: { codec: filePath, default: undefined, scopes: tlsLog },
  tlslog_mode: { codec: permissions, default: 0o640, scopes: tlsLog },
  heartbeat: { codec: seconds, default: 0, scopes: tlsLog },
}

const maildir: readonly ScopeName[] = ['maildir']

export const maildirOptions: OptionTable<Omit<MaildirSettings, 'name' | 'at'>> = {
  /** required: the default is never used */
  basedir: { codec: filePath, default: { path: '', text: '' }, scopes: maildir },
  domains: { codec: domains, default: Object.freeze([]), scopes: maildir },
  create_users: { codec: bool, default: false, scopes: maildir },
  domain_in_path: { codec: bool, default: false, scopes: maildir },
}

export const securityOptions: OptionTable<Omit<SecuritySettings, 'at'>> = {
  user: { codec: line, default: undefined, scopes: ['security'] },
  group: { codec: line, default: undefined, scopes: ['security'] },
}

export const scriptOptions: OptionTable<Pick<ScriptSettings, 'source'>> = {
  /** required: the default is never used */
  source: { codec: line, default: '', scopes: ['script'] },
}
