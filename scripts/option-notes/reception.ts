/** One line of meaning for every option of reception, of the responders it asks and of the partners it knows. */

import type { InboundValues, OcspSettings } from '../../src/config/settings.ts'
import type { PartnerValues } from '../../src/config/settings-partner.ts'
import type { Notes } from './notes.ts'

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
