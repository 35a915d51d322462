/** One line of meaning for every option of delivery: of domains and hosts, and of the ways that lead to no host. */

import type { MaildirSettings, OutboundValues } from '../../src/config/settings.ts'
import type { PipeValues, WebhookValues } from '../../src/config/settings-delivery.ts'
import type { HostValues, OutboundQueueValues } from '../../src/config/settings-queue.ts'
import type { Notes } from './notes.ts'

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
