/** One line of meaning for every option that acts: a missing row does not compile. For docs/options.md. */

import type { HttpValues } from '../src/config/options-services.ts'
import type {
  AuthSchemeSettings,
  BounceLoggerSettings,
  DatasourceSettings,
  GlobalValues,
  InboundValues,
  LoggerSettings,
  MaildirSettings,
  OcspSettings,
  OutboundValues,
  TlsLogSettings,
} from '../src/config/settings.ts'
import type {
  CheckSettings,
  OpendkimSettings,
  SigningValues,
  SpfSettings,
} from '../src/config/settings-authenticity.ts'
import type { CustomLoggerValues } from '../src/config/settings-custom-logger.ts'
import type { PipeValues, WebhookValues } from '../src/config/settings-delivery.ts'
import type { PartnerValues } from '../src/config/settings-partner.ts'
import type { HostValues, OutboundQueueValues, QueueGlobals } from '../src/config/settings-queue.ts'

export const httpNotes: Notes<HttpValues> = {
  enable: 'whether the Listen is bound',
  listen_backlog: 'connections that the system holds until they are accepted; a change needs a restart',
  file_mode: 'permissions of a UNIX socket',
  use_ssl: 'TLS from the first octet; the TLS options are errors without it',
  tls_certificate: 'the server’s certificate and its intermediates, PEM',
  tls_key: 'its key; in the certificate’s file when not set',
  tls_client_ca: 'the CAs of client certificates',
  tls_client_crl: '+ their revocation lists',
  tls_client_ocsp:
    '+ whether the responders of the `TLS_OCSP` stanzas are asked about certificates that verify',
  tls_verify_mode:
    '`none` asks for no certificate, `require` demands one, unset asks; none of them decides who is answered',
  tls_verified_peer_is_authorized: 'only a client whose certificate verifies is answered, the others get 403',
  allowed_hosts:
    '+ names by which it is asked, in lists `( … )`, besides `Hostname`, `localhost` and any address; a request by another name gets 421; see [metrics.md](metrics.md#who-may-ask)',
  script_endpoints:
    '+ whether what scripts register with `msys.httpsrv.register` is served here; see [metrics.md](metrics.md#endpoints-of-scripts)',
  page: '+ whether the operators’ page is served here; it needs users or certificates, see [page.md](page.md)',
  authloginparameters:
    'whose passwords let somebody in to the page: `[ uri = "file:///…" ]`, `digest:///…` or the `name://` of a Scheme of `auth_ds`',
  enable_authorization:
    'whether roles decide who may see and do what on the page; not set: where `AuthorizationParameters` are given',
  authorizationparameters:
    'where the groups of the page’s users come from, as on [the console](console.md#who-may-use-it)',
  page_operators:
    '+ who may act on the page, in lists `( … )`: users, or subjects of certificates; all others who get in look only',
  tls_ciphers: 'OpenSSL cipher list up to TLS 1.2',
  tlsv13_ciphersuites: 'suites of TLS 1.3',
  tls_protocols: 'such as `+ALL:-TLSv1.2`',
  tls_handshake_timeout: '+ seconds',
  tls_max_handshakes_per_address: '+ handshakes that one address may have under way; 0 = no limit',
}

type Notes<Values> = { readonly [Name in keyof Values]: string }

export const inboundNotes: Notes<InboundValues> = {
  enable: 'whether the Listen is bound',
  listen_backlog: 'connections that the system holds until they are accepted; a change needs a restart',
  file_mode: 'permissions of a UNIX socket',
  disable_nagle_algorithm: 'TCP_NODELAY; on unless it is set to false (differs: Momentum leaves it off)',
  proxy_protocol:
    'each connection begins with a PROXY header, version 1 or 2; without one it is closed; see [proxies.md](proxies.md)',
  proxy_protocol_timeout: 'seconds in which the whole header must come; 0 = no limit',
  proxy_hosts:
    '+ networks that may connect where Proxy_Protocol is on; all others are closed; empty = everybody',
  proxy_tls_hosts:
    '+ networks whose version 2 headers may tell of their clients’ TLS (`proxy_tls_…` keys); empty = none; see [proxies.md](proxies.md)',
  listener_sessions: 'sessions at once in this scope; in a Peer, in that Peer. Over it: `421 4.4.5`',
  service_sessions: 'the same over all listeners',
  idle_time: 'seconds without a word from the client before the session is closed; 0 = never',
  max_receptions_per_connection: 'messages in one session; over it `452 4.5.3`',
  max_recipients_per_connection: 'recipients in one session; over it `452 4.5.3`',
  max_recipients_per_message: 'recipients of one message; 0 = 1000; over it `452 4.5.3`',
  max_message_size: 'octets; announced as SIZE; over it `552 5.3.4`; 0 = no limit',
  data_timeout: '+ seconds from 354 to the final dot; 0 = no limit',
  data_minimum_rate:
    '+ octets per second that a client must reach in DATA, averaged over 30 s; 0 = no minimum',
  max_received_headers: 'Received fields a message may have; over it `554 5.4.6`',
  banner_hostname: 'the name in the banner',
  static_banner: 'the whole banner, begins with 220',
  received_hostname: 'the `by` name in Received',
  require_ehlo: 'commands before EHLO or HELO are refused',
  smtp_extensions:
    '`STARTTLS`, `ENHANCEDSTATUSCODES`, `AUTH` with PLAIN, LOGIN, CRAM-MD5, DIGEST-MD5 or EXTERNAL, `XDUMPCONTEXT`, `DSN`, `SMTPUTF8`, `CHUNKING` ([extensions.md](extensions.md)), and for proxies that are trusted `XCLIENT`, `XREMOTEIP`, `XSETCONTEXT` ([proxies.md](proxies.md)); what is not listed is not offered (PIPELINING, 8BITMIME and SIZE always are)',
  context: 'keys that are put into the connection context at connect; merged over the scopes, key by key',
  pathway: 'the Pathway whose options count as if they were written here',
  reconfig_message: 'text of the 421 that a session meets after a reload',
  open_relay: 'anybody in this scope may relay',
  relay_hosts: 'networks that may relay',
  bounce_domains:
    'domains to which reports about our mail come back; taken from everybody as far as Bounce_Pattern fits; see [extensions.md](extensions.md#reports-that-come-back)',
  relay_domains:
    'recipient domains that are accepted from anybody; `*.example.com` and `*example.com` are patterns',
  relay_for_sending_domains: 'sender domains that may relay; an empty list means any sender',
  allow_ip_literal: 'whether `user@[192.0.2.1]` is accepted',
  allow_null_envelope_sender: 'whether `MAIL FROM:<>` is accepted',
  allow_trailing_whitespace_in_commands: 'whether white space at the end of MAIL and RCPT is tolerated',
  domain_for_unqualified_recipient_addresses: 'what is appended to a recipient without a domain',
  domain_for_unqualified_sender_address: 'the same for the sender',
  rfc2822_trace_headers: 'whether Received is added',
  authplainparameters:
    '`[ uri = "file:///path" ]`: users for AUTH PLAIN; `log_authentication = true` for lines in acctlog; see [authentication.md](authentication.md)',
  authloginparameters: 'the same for AUTH LOGIN',
  authcrammd5parameters: 'the same for AUTH CRAM-MD5, which needs clear text',
  authdigestmd5parameters:
    'the same for AUTH DIGEST-MD5, from `digest:///path`, or from `file://` with `stored_cleartext = true`; `realm` is Hostname unless given',
  authexternalparameters:
    '+ `[ identity = "san_email" ]` (or `san_dns`, `cn`, `fingerprint`): the user is who a verified certificate says; `uri = "file:///path"` lists or maps who may',
  allow_plaintext_auth: '+ AUTH is offered and taken outside TLS, whatever the mechanism',
  always_allow: 'every AUTH passes, unless Always_Deny; who proves nothing is `anonymous`',
  always_deny: 'every AUTH fails',
  auth_failure_limit:
    '+ failures of one client address (IPv6: /64) within Auth_Failure_Window after which AUTH answers `421 4.7.0`; 0 = no limit',
  auth_failure_window: '+ seconds from the first failure after which an address starts anew',
  auth_failure_delay:
    '+ the longest wait before a failure is answered, in seconds: a quarter of a second, doubled with each failure of the address; 0 = none',
  authentication_results:
    '+ what the `Authentication-Results` field of an authenticated session tells: `masked` hides the user’s name, `full` shows it, `none` adds no field',
  use_ssl: 'TLS from the first octet',
  tls_certificate: 'PEM file of the server’s certificate; `none` cancels an inherited one',
  tls_key: 'PEM file of its key; may be in the certificate’s file',
  tls_sni:
    '+ a stanza: `TLS_SNI "host" { TLS_Certificate = … TLS_Key = … }` is shown to clients that ask for this name',
  tls_client_ca: 'PEM bundle of the CAs that client certificates are verified against',
  tls_client_crl:
    '+ revocation lists: a file, or a directory of files; changes are in force within a second or two',
  tls_client_crl_mode:
    '+ `hard`, or `soft`: a list that is missing or out of date is forgiven, a listed serial is not',
  tls_client_crl_alarm_age:
    '+ seconds after which a list that was not replaced raises an alarm in paniclog; 0 = none',
  tls_client_ocsp:
    '+ whether the responders of the `TLS_OCSP` stanzas are asked about clients’ certificates that verify; see [tls.md](tls.md#ocsp)',
  tls_client_ocsp_mode:
    '+ `hard`, or `soft`: an answer that is missing or worth nothing is forgiven, `revoked` is not',
  tls_verify_mode:
    '`none`, `require`, or `optional` (+) for what holds when it is not set; see [tls.md](tls.md)',
  tls_verify_mode_shadow:
    '+ `require` tells who would be refused, and refuses nobody; `none`, or `optional` for no such report; see [decision-record.md](decision-record.md)',
  tls_client_eku:
    '+ what a client’s certificate must be for: `clientAuth`; `any`: for clients or for servers; `report`: as `clientAuth`, and who has one for servers alone is told',
  tls_verify_depth:
    '+ CAs that may stand between a client’s certificate and a root, 0 to 8, or `unlimited`; a longer chain is `too-deep`',
  tls_verified_peer_can_relay: 'a client with a verified certificate may relay',
  tls_ciphers: 'cipher list up to TLS 1.2, in OpenSSL’s language',
  tlsv13_ciphersuites: 'suites of TLS 1.3, separated by colons',
  tls_protocols: '`+ALL:-TLSv1.2` and the like',
  tls_ec_curve_names: 'groups, separated by colons',
  tls_allow_renegotiation: 'renegotiation is always off; `true` gets a warning',
  starttls_injection_policy: '`reject`, `ignore` or `allow` what came after STARTTLS in clear',
  require_tls: '+ MAIL is refused with 530 outside TLS',
  require_tls_shadow:
    '+ tells whom `Require_TLS` would refuse, and refuses nobody; see [decision-record.md](decision-record.md)',
  tls_session_tickets: '+ whether sessions can be resumed',
  tls_authentication_results:
    '+ `Authentication-Results` tells what came of the client’s certificate (`x-tls-client-cert`); see [partners.md](partners.md)',
  tls_dn_format: '+ `rfc4514`, or `oneline` for `/C=…/CN=…`',
  tls_handshake_timeout: '+ seconds',
  tls_max_handshakes_per_address: '+ handshakes of one client address under way at once; 0 = no limit',
}

const queueGlobalNotes: Notes<QueueGlobals> = {
  default_binding:
    'mail for which policy chose no binding: `normal` goes out, `none` gets 451 instead of 250, `suspended` waits in the queue',
  server_reserve_outbound_connections:
    'of the deliveries that may be under way at once, those kept for domains that have none; at most a quarter of them',
  soft_bounce_drain_rate: 'bounces and other notices of an end that are made at once; never more than 32',
  disk_queue_drain_rate:
    'messages that are taken over from the spool in one go at a start; other work goes on in between',
}

export const globalNotes: Notes<GlobalValues> = {
  bounce_suppress_list: 'addresses, and `@domain`, that a report is never taken to be about',
  hostname: 'this host’s name; default: the system’s',
  spoolbase: 'folder of the spool; a change needs a restart',
  spool_mode: 'permissions of new spool files; a change needs a restart',
  spool_min_free: '+ octets that stay free on the spool’s file system; below it MAIL is answered `452 4.3.1`',
  reception_memory:
    '+ octets of bodies under reception in memory at once; more goes to files; a change needs a restart',
  large_message_threshold:
    'octets beyond which a body has a file of its own; at most 4M; a change needs a restart',
  local_changes_file:
    'read after all other files, where it is there; what is set live is written back into it where no other file may be written; [live-configuration.md](live-configuration.md)',
  local_changes_only:
    'what is set live is written back into Local_Changes_File, wherever it stands; [live-configuration.md](live-configuration.md)',
  trace_smtp_mode: 'permissions of the files of `trace smtp`, see [console.md](console.md#traces)',
  control_client_timeout:
    'seconds of silence after which a client of the console is cut off; 0 = never; see [console.md](console.md)',
  max_sessions: '+ sessions over all listeners; 0 = from the limit of open files',
  tls_expiry_warning:
    '+ days before the end of a certificate or revocation list at which paniclog warns, once a day each; `none` switches it off',
  ...queueGlobalNotes,
  dns_servers:
    '+ name servers, `address` or `address:port`; names of next hops are then asked of them too; default: those of /etc/resolv.conf',
  tlsa_expire_interval: 'seconds that TLSA records may be old, whatever their TTL',
  mta_sts_policy_store: 'folder in which MTA-STS policies are kept; default: `mtasts` in Spoolbase',
  mta_sts_ca:
    '+ PEM bundle in place of Node’s own roots, for policy hosts of MTA-STS, and for the MX hosts of such domains where TLS_CA is not set',
  tls_rpt_log: '+ file of daily TLS reports (RFC 8460), one JSON object for each domain and day',
}

const queueNotes: Notes<OutboundQueueValues> = {
  fully_resolve_before_smtp:
    '`false`: a host is tried as soon as all of its preference and of better ones are looked up; no matter for domains in the global Relay_Domains and Bounce_Domains',
  only_use_best_mx_for_relay_domains:
    'for domains in the global Relay_Domains and Bounce_Domains only MX hosts of the best preference are tried',
  connection_allocation_aggressiveness:
    '`high`: as many deliveries at once as Max_Outbound_Connections allows; `normal`: one, and one more with each that reaches a host, until one reaches none',
  max_resident_transfails:
    'messages that wait for a retry whose envelopes are in memory, in all; of others they are read when the time comes',
  drop_body_after_trans_fail:
    'failures after which a message’s envelope is in memory no more while it waits for a retry; 0 = after the first',
  retry_interval: 'seconds before the first retry; doubles with each failure',
  max_retry_interval: 'seconds between two attempts at most',
  message_expiration: 'seconds after which a message fails',
  suspend_delivery: 'mail is queued and not delivered',
  max_outbound_connections: 'connections to one domain at once',
  connect_timeout: 'seconds',
  ehlo_timeout: 'seconds',
  mailfrom_timeout: 'seconds',
  rcptto_timeout: 'seconds',
  body_timeout: 'seconds',
  rset_timeout: 'seconds; then a new connection is made',
  max_deliveries_per_connection: 'messages over one connection; 0 = no limit',
  bind_address: 'the address of this machine from which connections are made; `*` = the system chooses',
  max_retries: 'retries after which a message fails; `auto` and `none`: Message_Expiration alone says when',
  never_retry: 'the first failure is the last',
  never_attempt_expired_messages: 'a message that has expired fails without a last attempt',
  blackhole: '`true`, `inline`: refused at RCPT, and fails where it is queued; `internal`: taken and dropped',
  connect_timeout_to_delay: 'seconds that one attempt looks for a host that answers; 0 = no limit',
  mx_failures_to_delay:
    'look-ups in a row that fail before the whole domain waits for Retry_Interval; 0 = never',
  max_recipients_per_batch: 'recipients of one message that are sent in one transaction',
  max_recipients_per_connection: 'recipients over one connection; 0 = no limit',
  outbound_throttle_messages:
    'messages in any second, or `"N/secs"`: in any so many seconds; domains that have it from the same stanza share it',
  outbound_throttle_connections: 'connections, likewise',
  max_resident_active_queue:
    'envelopes of one domain in one binding that are held in memory while they are ready to go',
  max_resident_messages: 'envelopes that are held in memory in all; others are read when their turn comes',
  server_max_outbound_connections:
    'deliveries under way at once, over all domains; never more than the limit of open files allows',
}

export const hostNotes: Notes<HostValues> = {
  max_outbound_connections: 'connections to the host at once; default: no limit',
  outbound_throttle_messages: 'messages in any second, or `"N/secs"`; hosts that share the stanza share it',
  outbound_throttle_connections: 'connections, likewise',
}

export const outboundNotes: Notes<OutboundValues> = {
  ...queueNotes,
  opendkim_sign:
    'whether mail that leaves this way is signed where its author’s domain has a `dkim_domain`, see [message-authentication.md](message-authentication.md)',
  gateway:
    'next hop: host, address, `host:port` or `[v6]:port`. Differs: the Domain that names it keeps supplying every other option',
  routes:
    'next hops in their order, `__mx__` for the domain’s MX hosts, or `smtp://host?pref=P&port=N&type=mx&ttl=S`; see [delivery.md](delivery.md)',
  remote_smtp_port: 'port of the next hop',
  mx_failures_fallback_to_a:
    'questions for MX that may stay unanswered in a row before the domain’s own addresses are tried, without Use_DANE; -1 and 0 = 1',
  prohibited_hosts:
    'addresses to which nothing is sent; mail for a domain that has one of them fails: `551 5.4.6`',
  skip_hosts: 'addresses that are passed over for the domain’s other hosts',
  use_ipv6: 'whether MX hosts are looked up in IPv6 too; hosts that Gateway and Routes name always are',
  prefer_ipv6_mxs: 'whether hosts with IPv6 come first among those of equal preference',
  host_failure_retry:
    'seconds for which a host that could not be connected to is not tried again, at most Retry_Interval',
  generate_bounces:
    'whether senders are told of failures, and of success and delays that they asked about; without it, failures are logged and the message is forgotten; see [delivery.md](delivery.md)',
  mailerdaemon: 'the From of bounces; default: mailer-daemon at Hostname',
  bounces_inline_original:
    'how much of the message a bounce brings along at most: `headers`, `all` (up to 1 MiB) or `none`; a sender may ask for less',
  mdn_failures_notify:
    'the mailbox that is told of mail from the null sender that cannot be delivered; never of what was sent to it for that',
  generate_delay_dsn: 'whether senders are told that mail is late; see [extensions.md](extensions.md)',
  delay_dsn_retry_interval: 'seconds to the first such notice; the time to the next one doubles',
  delay_dsn_max_retry_interval: 'the longest time between two of them; 0 = no bound',
  send_8bitmime:
    'whether `BODY=8BITMIME` is said to hosts that know it: `ifavailable` or `no` (differs: Momentum says `no` unless it is set)',
  transform_8bitmime_content:
    'eight-bit parts for a host without 8BITMIME: `ifneeded` and `strict` encode them (what cannot be is refused, `554 5.6.3`), `no` sends them as they are, `strip` takes the eighth bit of the body off',
  bounce_pattern:
    'which addresses in Bounce_Domains are meant: a regular expression of JavaScript over the whole address, domain in lower case',
  bounce_behavior:
    'what becomes of a report for such an address: `pass`, or `blackhole`: it is logged and dropped',
  ehlo_hostname: 'the name we give ourselves; default: Hostname',
  idle_timeout: 'seconds for which a connection is kept for the next message to the same host; 0 = it is not',
  tls: 'whether sessions are encrypted: `no`, `ifavailable` or `required`; see [delivery.md](delivery.md#tls)',
  tls_ifavailable_fallback:
    'with `ifavailable`: where TLS fails mail goes in clear at once; `false`: it waits for TLS',
  tls_fallback_always_new_connection:
    'a fallback after a STARTTLS that was merely refused takes a new connection; `false`: the same one',
  tls_verify:
    'what is asked of the host’s certificate: `no`, `ca` (the chain), `host` (chain and name) or `optional` (as `host`, and delivered anyway)',
  tls_ca: 'PEM bundle of the CAs that hosts are verified against; the system’s are never used',
  tls_certificate:
    'PEM file of the certificate that is shown to a host that asks for one; `none` cancels an inherited one',
  tls_key: 'PEM file of its key; may be in the certificate’s file',
  tls_ciphers: 'OpenSSL cipher list for TLS 1.2 and older; `DEFAULT` is the unset behaviour',
  tlsv13_ciphersuites: 'suites of TLS 1.3, by preference',
  tls_protocols: 'such as `+ALL:-TLSv1.0:-TLSv1.1`; default: TLS 1.2 and 1.3',
  use_dane: 'TLSA records of hosts are looked up where the DNS is signed',
  enable_dane: 'whether they count; default: as Use_DANE says',
  use_mta_sts: 'MTA-STS policies of domains are fetched',
  enable_mta_sts: 'whether they count; default: as Use_MTA_STS says',
  delivery_method:
    '`ESMTP`, `SMTP` (HELO alone, no extensions) or `LMTP` (an answer for each recipient); the others of Momentum are errors',
  lmtp_port: 'port of the next hop with LMTP',
  mta_sts_dns_cname_max_depth:
    'aliases (CNAME) that may lead to the TXT record of MTA-STS, 0 to 15; where there are more no policy is found by it',
  xclient: 'the client a message came from is told with XCLIENT: `no`, `ifavailable` or `required`',
  outbound_smtp_auth_type: '`PLAIN`, `LOGIN` or `XOAUTH2`: we log in at the host',
  outbound_smtp_auth_user: 'the user',
  outbound_smtp_auth_pass: 'the password, or the token of XOAUTH2; never logged',
  outbound_smtp_auth_plaintext: '+ the password is sent without TLS too',
}

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

export const datasourceNotes: Notes<Omit<DatasourceSettings, 'name' | 'at'>> = {
  uri: '`( "sqlite:/path" )` or `( "pgsql:host=…;dbname=…;user=…;password=…" )`; several are asked in turn',
  cache_life: 'seconds that a result may be used again',
  cache_size: 'results that are kept; the one used longest ago goes first',
  max_rows: 'rows of one result that are read; `-1` reads all',
  no_cache: 'whether every query goes to the database',
  max_connections: '+ connections to each database at once',
  query_timeout: '+ seconds for one query, waiting for a connection included',
}

export const authenticateNotes: Notes<Omit<AuthSchemeSettings, 'name' | 'at'>> = {
  query: 'SQL with `:name` where values go',
  cache: 'name of the datasource',
  map: '`[ user = "%{username}" ]`: what each `:name` of the query is',
  returns_password: 'whether the query returns the password, rather than whether it is right',
  password_column: 'column of the password; the first one unless given',
  type: 'how passwords are kept',
  type_column: 'column that says how this password is kept',
  type_map: '`[ S = "ssha1" ]`: what the values of that column mean',
}

export const ocspNotes: Notes<Omit<OcspSettings, 'name' | 'at'>> = {
  ca: 'PEM file of the CAs whose certificates the responder knows; required, and one stanza for each CA',
  responder: 'an http or https URL; required',
  signer:
    'PEM file of the certificates of which one signs every answer; without it the CA does, or whom the CA has appointed',
  responder_ca: 'PEM file of the roots against which an https responder is verified; required there',
  timeout: 'seconds for one question, 1 to 60',
  cache_time: 'seconds for which an answer is used again at most; its own next update may come earlier',
  nonce: '`send`: one that comes back must be ours; `require`: it must come back; `off`',
}

export const tlsLogNotes: Notes<Omit<TlsLogSettings, 'name' | 'at'>> = {
  tlslog:
    'file of decision records, one line of JSON for each TLS connection; see [decision-record.md](decision-record.md)',
  tlslog_mode: 'permissions',
  heartbeat: 'seconds between marker lines; 0 = none',
}

export const partnerNotes: Notes<PartnerValues> = {
  issuer: 'distinguished names, RFC 4514, of which one is the issuer’s',
  issuer_certificate: 'files of CAs of which one has signed the certificate',
  subject: 'distinguished names, RFC 4514, of which one is the certificate’s own',
  san_dns: 'host names of which it has one; no patterns',
  san_email: 'addresses of which it has one',
  san_uri: 'URIs of which it has one',
  san_ip: 'addresses of which it has one',
  spki_pin:
    'its key: `sha256:` and 64 hexadecimal digits, or `file:` and a certificate; the second one is the successor',
  certificate_pin: 'itself, likewise',
  valid_from: 'the first day, or the moment, in UTC',
  valid_until: 'the last day, or the moment, in UTC',
  sender_domains:
    'MAIL FROM is accepted from these domains; `.example.com` means every subdomain; not set: from all',
  sender_domains_exclusive: 'and from nobody else',
  pathway: 'the Pathway that the session goes on with',
  relay: 'whether the partner may relay',
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

export const spfNotes: Notes<Omit<SpfSettings, 'name' | 'at'>> = {
  context_variable: 'key of the message’s context that holds the result',
  add_headers: 'whether the `Received-SPF` field is added',
  add_authentication_results: 'whether the result stands in `Authentication-Results`',
  timeout: '+ seconds for all questions to the DNS; then the result is `temperror`',
}

export const opendkimNotes: Notes<Pick<OpendkimSettings, 'validate' | 'timeout'>> = {
  validate: '+ whether the signatures of every message are verified',
  timeout: '+ seconds for all questions to the DNS about one message, those of DMARC and ARC included',
}

export const signingNotes: Notes<SigningValues> = {
  base_domain: 'the domain that signs (`d=`) instead of the author’s: one that this lies in',
  selector: 'the name under which the public key stands in the DNS; required, here or there',
  key: 'the private key, PEM, RSA or (+) Ed25519; `%{d}` is the domain that signs, `%{s}` the selector; required',
  digest: '`rsa-sha256`, or (+) `ed25519-sha256`; by default what fits the key. `rsa-sha1` is an error',
  header_canon: '`simple` or `relaxed` (differs: Momentum’s default is `simple`, which a new fold breaks)',
  body_canon: 'likewise',
  headerlist:
    'names of the fields that are signed, each as often as it is there; From is always among them (differs: Momentum has no default)',
  oversign_headerlist:
    'fields that are signed once more than they are there, so that nobody can add one (differs: Momentum has no default)',
  skip_headerlist: 'fields of the lists above that are not signed',
  lifetime: 'hours for which a signature holds; 0 = for ever',
  sign_condition:
    'the key of the context without which nothing is signed; `none`: everything is, also mail of strangers (differs: that is Momentum’s default)',
  body_length_limit: 'only `false`: with `l=` anybody could add to the body',
}

export const openarcNotes: Notes<Pick<CheckSettings, 'validate'>> = {
  validate: '+ whether the chain of every message is verified',
}

export const dmarcNotes: Notes<Pick<CheckSettings, 'validate'>> = {
  validate: 'whether the policy of the author’s domain is looked at for every message',
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

export const maildirNotes: Notes<Omit<MaildirSettings, 'name' | 'at'>> = {
  basedir: 'folder of the mailboxes',
  domains: 'domains whose mail ends here',
  create_users: 'whether a missing mailbox is made; otherwise its recipient is refused at RCPT',
  domain_in_path: 'whether the path is `BASEDIR/DOMAIN/LOCALPART` rather than `BASEDIR/LOCALPART`',
}

export const pipeNotes: Notes<PipeValues> = {
  program_name: 'file of the program; needed',
  domain: 'domains whose mail ends here',
  code: 'exit status → reply, such as `[ 100 = "550 no" 111 = "450 later" ]`, in place of what sysexits.h says',
  output_file:
    'file that gets what the program writes to its output; without it, its first line is in the outcome',
  error_file: 'likewise for its errors',
  arguments: '+ list of arguments, with macros',
  environment: '+ all its variables, with macros',
  directory: '+ folder in which it runs',
  timeout: '+ seconds for one run; then its process group gets SIGTERM, and SIGKILL five seconds later',
  max_concurrent: '+ runs at once',
}

export const webhookNotes: Notes<WebhookValues> = {
  url: 'where messages are posted; needed',
  domains: 'domains whose mail ends here',
  key_file: 'file of the key that signs, or while it is replaced two files; needed',
  tls_ca: 'CAs of the receiver, PEM; needed with https',
  tls_certificate: 'shown to a receiver that asks for a certificate',
  tls_key: 'its key; in the certificate’s file when not set',
  context_keys: 'values of the validation context that the receiver is told',
  timeout: 'seconds for one request, from the connection to the answer',
  max_concurrent: 'requests at once',
}
