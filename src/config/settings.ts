/**
 * What a configuration comes to: typed values, each of which knows its file and line.
 *
 * Everything outside `config/` sees the configuration through these types. `load.ts` makes them from text; the
 * option tables hold one row for each name here (a mapped type makes a missing row a compile error).
 */

import type { Diagnostic, Origin, Position } from './diagnostic.ts'
import type { ScopeSpeaker } from './scope-speaker.ts'
import type { AuthenticitySettings } from './settings-authenticity.ts'
import type { ControlAccess, ControlAuthorization, RoleSettings } from './settings-control.ts'
import type { CustomLoggerSettings } from './settings-custom-logger.ts'
import type { AuthSchemeSettings, DatasourceSettings, GroupSchemeSettings } from './settings-datasource.ts'
import type { WaysOut } from './settings-delivery.ts'
import type { BounceLoggerSettings, LoggerSettings, TlsLogSettings } from './settings-logs.ts'
import type { NoticeValues } from './settings-notices.ts'
import type { OcspSettings } from './settings-ocsp.ts'
import type { PartnerSettings } from './settings-partner.ts'
import type { BindingNames, Egress, HostScope, OutboundQueueValues, QueueGlobals } from './settings-queue.ts'
import type { OutboundSessionValues, SessionGlobals } from './settings-session.ts'
import type { FilePath, TlsValues } from './settings-tls.ts'

/** A CIDR block in normal form. `family` 4 has 4 bytes, 6 has 16; host bits are zero. */
export interface Cidr {
  readonly family: 4 | 6
  readonly bytes: Uint8Array
  readonly prefix: number
  /** as written */
  readonly text: string
}

/** A dictionary value, keys as written. */
export type Dictionary = Readonly<Record<string, string>>

export type {
  AuthSchemeSettings,
  DatasourceSettings,
  DatasourceUri,
  PasswordType,
  PostgresLogin,
} from './settings-datasource.ts'
export type { BounceLoggerSettings, LoggerSettings, TlsLogSettings } from './settings-logs.ts'
export type { OcspSettings } from './settings-ocsp.ts'
export type { FilePath, SniCertificate, VerifyMode } from './settings-tls.ts'

/**
 * The options of the inbound scopes that act. Times are in seconds, sizes in octets; 0 means "no limit" unless said
 * otherwise; a list that is not set is empty. Names are Momentum's; those marked + are extensions.
 */
export interface InboundValues extends TlsValues {
  // sockets
  readonly enable: boolean
  readonly listen_backlog: number
  readonly file_mode: number
  readonly disable_nagle_algorithm: boolean
  // proxies; read for the address that connects, before any other address is known
  /** the connection begins with a PROXY header */
  readonly proxy_protocol: boolean
  /** seconds for the whole header */
  readonly proxy_protocol_timeout: number
  /** + who may connect where Proxy_Protocol is on; empty = everybody */
  readonly proxy_hosts: readonly Cidr[]
  /** + who may say in its header what it knows of its client's TLS; empty = nobody */
  readonly proxy_tls_hosts: readonly Cidr[]
  // limits
  readonly listener_sessions: number
  readonly service_sessions: number
  readonly idle_time: number
  readonly max_receptions_per_connection: number
  readonly max_recipients_per_connection: number
  readonly max_recipients_per_message: number
  readonly max_message_size: number
  /** + seconds from 354 to the final dot; 0 = no limit */
  readonly data_timeout: number
  /** + octets per second that a client must reach in DATA, averaged over 30 s; 0 = no minimum */
  readonly data_minimum_rate: number
  readonly max_received_headers: number
  // greeting
  readonly banner_hostname: string | undefined
  readonly static_banner: string | undefined
  readonly received_hostname: string | undefined
  readonly require_ehlo: boolean
  /** as written, in any case: `STARTTLS`, `AUTH PLAIN`, `XDUMPCONTEXT`, …; blanks are single, no control characters */
  readonly smtp_extensions: readonly string[]
  /** values are byte strings: Unicode text as its UTF-8 octets, one character for each */
  readonly context: Dictionary
  readonly pathway: string | undefined
  readonly reconfig_message: string
  // relaying and addresses
  readonly open_relay: boolean
  readonly relay_hosts: readonly Cidr[]
  readonly relay_domains: readonly string[]
  /** where reports about mail of ours come back to; taken like relay_domains, as far as bounce_pattern lets them */
  readonly bounce_domains: readonly string[]
  /** undefined = not set; an empty list = any sender (that is Momentum's meaning, and an open relay) */
  readonly relay_for_sending_domains: readonly string[] | undefined
  readonly allow_ip_literal: boolean
  readonly allow_null_envelope_sender: boolean
  readonly allow_trailing_whitespace_in_commands: boolean
  readonly domain_for_unqualified_recipient_addresses: string | undefined
  readonly domain_for_unqualified_sender_address: string | undefined
  readonly rfc2822_trace_headers: boolean
  // authentication
  readonly authplainparameters: Dictionary | undefined
  readonly authloginparameters: Dictionary | undefined
  readonly authcrammd5parameters: Dictionary | undefined
  readonly authdigestmd5parameters: Dictionary | undefined
  /** + `identity`, and optionally `uri` */
  readonly authexternalparameters: Dictionary | undefined
  /** + AUTH is offered and accepted without TLS, whatever the mechanism */
  readonly allow_plaintext_auth: boolean
  /** every AUTH passes, unless always_deny; who proves nothing is `anonymous` */
  readonly always_allow: boolean
  /** every AUTH fails */
  readonly always_deny: boolean
  /** + failures of one client address in the window after which AUTH answers 421; 0 = no limit */
  readonly auth_failure_limit: number
  /** + seconds from the first failure after which an address starts anew */
  readonly auth_failure_window: number
  /** + the longest wait before a failure is answered, seconds; 0 = none */
  readonly auth_failure_delay: number
  /** + how much of the user's name the Authentication-Results field of an authenticated session tells */
  readonly authentication_results: 'masked' | 'full' | 'none'
}

/** Options of the global scope that act by themselves. */
export interface GlobalValues extends SessionGlobals, QueueGlobals {
  /** addresses, and `@domain`, that no report of failure is about; lower case */
  readonly bounce_suppress_list: readonly string[]
  readonly hostname: string | undefined
  readonly spoolbase: FilePath
  readonly spool_mode: number
  /** + octets that stay free on the spool's file system; below it MAIL answers 452 */
  readonly spool_min_free: number
  /** + bodies under reception that may be in memory at once, octets */
  readonly reception_memory: number
  /** octets beyond which a body has a file of its own */
  readonly large_message_threshold: number
  /** seconds of silence after which a client of the console is cut off; 0 = never */
  readonly control_client_timeout: number
  /** permissions of the files of `trace smtp` */
  readonly trace_smtp_mode: number
  /** read after all other files, where it is there: the first change that is written back makes it */
  readonly local_changes_file: FilePath | undefined
  /** what is changed from the console is written back into Local_Changes_File, wherever it stands */
  readonly local_changes_only: boolean
  /** + sessions over all listeners; 0 = derived from the file-descriptor limit */
  readonly max_sessions: number
  /** + days before the end of a certificate or revocation list at which a warning is given, descending */
  readonly tls_expiry_warning: readonly number[]
  /** + name servers, `address` or `address:port`; empty = those of the system */
  readonly dns_servers: readonly string[]
}

/** Options of the outbound scopes that act, for one destination domain. */
export interface OutboundValues extends NoticeValues, OutboundSessionValues, OutboundQueueValues {
  /** whether mail of a dkim_domain is signed */
  readonly opendkim_sign: boolean
  /** host, address or `[v6]:port` */
  readonly gateway: string | undefined
  readonly routes: readonly string[]
  readonly remote_smtp_port: number
  /** unanswered questions for MX before the domain's own addresses are tried; -1 = after the first */
  readonly mx_failures_fallback_to_a: number
  /** addresses to which nothing is ever sent: mail for a domain that has one of them fails */
  readonly prohibited_hosts: readonly Cidr[]
  /** addresses that are passed over */
  readonly skip_hosts: readonly Cidr[]
  /** whether IPv6 addresses of MX hosts are looked up */
  readonly use_ipv6: boolean
  readonly prefer_ipv6_mxs: boolean
  /** seconds for which a host that could not be connected to is left alone */
  readonly host_failure_retry: number
  readonly ehlo_hostname: string | undefined
  /** seconds for which a connection is kept for the next message; 0 = it is not */
  readonly idle_timeout: number
}

/**
 * One effective set of inbound options: what holds for a client of one Listen, inside one set of Peer blocks, on one
 * pathway. Made once for each distinct combination, then shared by all its connections.
 */
export interface InboundScope {
  /** names Listen, Peer blocks and pathway; the same text after a reload of the same stanzas, on every worker */
  readonly id: string
  readonly options: InboundValues
  /** the narrowest Peer block that holds the client, and in which stanza it stands; absent: none does */
  readonly peer?: { readonly network: string; readonly inside: 'listen' | 'esmtp_listener' }
  /** the pathway's name, `default` when none is set; likewise its group */
  readonly pathway: string
  readonly pathwayGroup: string
  /** where the value of an option comes from (for a dictionary: the most specific stanza that sets it) */
  origin(option: keyof InboundValues): Origin
  /** what speaks for the client, most specific first; absent in a scope that no configuration made */
  readonly speakers?: () => readonly ScopeSpeaker[]
}

export interface OutboundScope {
  readonly options: OutboundValues
  origin(option: keyof OutboundValues): Origin
  /** the stanza that sets an option, the same text for the same stanza after a reload; '' for the default */
  definition(option: keyof OutboundValues): string
}

/** What a Listen instance binds to. */
export type ListenAddress =
  /** host undefined: any. `dual` = an IPv6 socket that also takes IPv4 */
  | {
      readonly kind: 'tcp'
      readonly host: string | undefined
      readonly port: number
      readonly family: 4 | 6 | 'dual'
    }
  | { readonly kind: 'unix'; readonly path: string }

export interface ListenSettings {
  /** as written: `:25`, `[::]:25`, `/run/postern.sock` */
  readonly instance: string
  readonly address: ListenAddress
  readonly at: Position
  /** the options of this Listen where no Peer matches */
  readonly scope: InboundScope
}

/** A Listen of an HTTP_Listener. */
export interface HttpListenSettings extends ListenSettings {
  /** a request is answered only where the client's certificate verifies */
  readonly authorizedByCertificate: boolean
  /** by which names it may be asked, besides this host's own and `localhost`; lower case */
  readonly hostNames: readonly string[]
  /** the endpoints of scripts are served here */
  readonly scriptEndpoints: boolean
  /** undefined: the operators' page is not served here */
  readonly page: PageSettings | undefined
}

/** The operators' page on a Listen of an HTTP_Listener. */
export interface PageSettings {
  /** whose passwords let somebody in; undefined: the certificate alone does */
  readonly users: Dictionary | undefined
  /** users and subjects of certificates that may act; all others only look */
  readonly operators: readonly string[]
  /** undefined: no roles are asked for, and `operators` says who may act */
  readonly authorization: ControlAuthorization | undefined
}

export interface ScriptSettings {
  readonly name: string
  /** as written */
  readonly source: string
  /** absolute path of the file; undefined when it is a module path that was not found */
  readonly path: string | undefined
  readonly at: Position
}

export interface MaildirSettings {
  readonly name: string
  readonly basedir: FilePath
  /** lower case */
  readonly domains: readonly string[]
  readonly create_users: boolean
  readonly domain_in_path: boolean
  readonly at: Position
}

export interface SecuritySettings {
  readonly user: string | undefined
  readonly group: string | undefined
  readonly at: Position
}

/** A Listen of a Control_Listener. `scope` is that of its socket and of TLS. */
export interface ControlListenSettings extends ListenSettings {
  /** What holds for a client, Peer stanzas included. @param address normalised, '' for one of a UNIX socket */
  access(address: string): ControlAccess
}

/** A configuration that can be served. Immutable: a reload makes a new one. */
export interface Settings extends BindingNames, WaysOut {
  /** the main file as named by the user */
  readonly file: string
  /** every file that was read, in order */
  readonly files: readonly string[]
  readonly global: GlobalValues
  globalOrigin(option: keyof GlobalValues): Origin
  readonly listens: readonly ListenSettings[]
  /** of all Control_Listeners */
  readonly controlListens: readonly ControlListenSettings[]
  /** of Authorization */
  readonly roles: readonly RoleSettings[]
  /** of all HTTP_Listeners */
  readonly httpListens: readonly HttpListenSettings[]
  readonly scripts: readonly ScriptSettings[]
  readonly loggers: readonly LoggerSettings[]
  readonly bounceLoggers: readonly BounceLoggerSettings[]
  readonly customLoggers: readonly CustomLoggerSettings[]
  readonly tlsLogs: readonly TlsLogSettings[]
  readonly maildirs: readonly MaildirSettings[]
  /** the Pathway_Group of a Pathway, `default` for one outside any group */
  pathwayGroup(pathway: string): string
  readonly partners: readonly PartnerSettings[]
  /** of TLS_OCSP */
  readonly ocsp: readonly OcspSettings[]
  /** of spf_v1, opendkim, openarc, dmarc */
  readonly authenticity: AuthenticitySettings
  readonly security: SecuritySettings | undefined
  readonly datasources: readonly DatasourceSettings[]
  /** of auth_ds */
  readonly schemes: readonly AuthSchemeSettings[]
  /** of auth_ds, those that have groups */
  readonly groupSchemes: readonly GroupSchemeSettings[]
  /** warnings; errors never get this far */
  readonly diagnostics: readonly Diagnostic[]
  /**
   * What holds for a client (design §3.1). Cached: the same combination gives the same object.
   * @param address a normalised IP address (`address.ts`), or '' for a UNIX client, which matches as loopback;
   *   undefined for a client that is in no Peer block
   * @param pathway a pathway that policy chose for this connection; it stands above all scopes. A name that no stanza
   *   has adds nothing
   * @throws TypeError for what is not an address, and for a Listen that this configuration does not have
   */
  resolveInbound(listen: ListenSettings, address: string | undefined, pathway?: string): InboundScope
  /** What holds for mail to a domain (lower case) that leaves by a binding, by default that of mail without one. */
  resolveOutbound(domain: string, egress?: Egress): OutboundScope
  /** whether the global Relay_Domains or Bounce_Domains have the domain, in lower case */
  isRelayDomain(domain: string): boolean
  /** What Host stanzas say of a host. @param names its name and its address, in lower case @returns undefined: nothing */
  resolveHost(names: readonly string[], egress?: Egress): HostScope | undefined
  /** Outbound scopes as the configuration writes them: for checks of certificates and for warnings. */
  outboundScopes(): Iterable<OutboundScope>
  /** Every inbound scope that some client could meet, each once: for checks of certificates and for warnings. */
  inboundScopes(): Iterable<{ readonly listen: ListenSettings; readonly scope: InboundScope }>
}
