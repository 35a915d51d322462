/** The options that shape a session with a next hop, as everything outside `config/` sees them: part of `settings.ts`. */

import type { FilePath } from './settings-tls.ts'

/** Names are Momentum's; those marked + are extensions. Part of the outbound scopes. */
export interface OutboundSessionValues {
  /** whether a session is encrypted */
  readonly tls: 'no' | 'ifavailable' | 'required'
  /** with `ifavailable`: mail goes in clear where TLS fails; otherwise it waits */
  readonly tls_ifavailable_fallback: boolean
  /** also a STARTTLS that was merely refused costs the connection */
  readonly tls_fallback_always_new_connection: boolean
  /** what is asked of the host's certificate; `optional` asks as `host` does and delivers anyway */
  readonly tls_verify: 'no' | 'ca' | 'host' | 'optional'
  readonly tls_ca: FilePath | undefined
  /** shown to a host that asks for a certificate */
  readonly tls_certificate: FilePath | undefined
  readonly tls_key: FilePath | undefined
  readonly tls_ciphers: string | undefined
  readonly tlsv13_ciphersuites: string | undefined
  readonly tls_protocols: string | undefined
  /** DNSSEC is looked at and TLSA records are fetched */
  readonly use_dane: boolean
  /** undefined: as use_dane says */
  readonly enable_dane: boolean | undefined
  readonly use_mta_sts: boolean
  /** undefined: as use_mta_sts says */
  readonly enable_mta_sts: boolean | undefined
  /** aliases that may lead to the TXT record of MTA-STS; where there are more the domain has none */
  readonly mta_sts_dns_cname_max_depth: number
  readonly xclient: 'no' | 'ifavailable' | 'required'
  /** `SMTP` says HELO and knows no extension; `LMTP` (RFC 2033) has an answer for each recipient */
  readonly delivery_method: DeliveryMethod
  readonly lmtp_port: number
  readonly outbound_smtp_auth_type: OutboundAuthType | undefined
  readonly outbound_smtp_auth_user: string | undefined
  /** never written anywhere */
  readonly outbound_smtp_auth_pass: string | undefined
  /** + the password is sent without TLS too */
  readonly outbound_smtp_auth_plaintext: boolean
}

export type DeliveryMethod = 'ESMTP' | 'SMTP' | 'LMTP'

export type OutboundAuthType = 'PLAIN' | 'LOGIN' | 'XOAUTH2'

/** Options of the global scope that go with them. */
export interface SessionGlobals {
  /** seconds that TLSA records may be old, whatever their TTL */
  readonly tlsa_expire_interval: number
  /** folder of MTA-STS policies; undefined: `mtasts` in Spoolbase */
  readonly mta_sts_policy_store: FilePath | undefined
  /** + roots in place of Node's own for policy hosts of MTA-STS, and for the hosts of their domains without TLS_CA */
  readonly mta_sts_ca: FilePath | undefined
  /** + file of daily TLS reports */
  readonly tls_rpt_log: FilePath | undefined
}
