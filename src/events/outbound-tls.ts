/** What TLS with a next hop came to, as plain data. Certificate text is escaped. */

/** How a session was protected. Absent where nobody asked for TLS. */
export interface OutboundTlsFacts {
  /** the demand in force: that of the configuration, or what DANE or MTA-STS made of it */
  readonly demand: 'ifavailable' | 'required'
  /** `TLSv1.3`; '' = in clear */
  readonly protocol: string
  readonly cipher: string
  readonly cipherAlgorithmBits: number
  readonly cipherUsedBits: number
  /** what the verification rests on; undefined = not verified */
  readonly verifiedBy?: 'ca' | 'host' | 'dane' | 'sts' | undefined
  /** why it is not verified, `not-asked` included; '' = it is, or there is no TLS */
  readonly cause: string
  /** RFC 4514; '' = no certificate */
  readonly subject: string
  readonly issuer: string
}

/** RFC 8460 §4.3 */
export type TlsResultType =
  | 'starttls-not-supported'
  | 'certificate-host-mismatch'
  | 'certificate-expired'
  | 'certificate-not-trusted'
  | 'validation-failure'
  | 'tlsa-invalid'
  | 'dnssec-invalid'
  | 'dane-required'
  | 'sts-policy-fetch-error'
  | 'sts-policy-invalid'
  | 'sts-webpki-invalid'

/** A policy that a domain has published about TLS (RFC 8460 §4.2). */
export interface TlsPolicyFacts {
  readonly type: 'tlsa' | 'sts'
  readonly domain: string
  /** its text, line by line */
  readonly strings: readonly string[]
  readonly mxHosts: readonly string[]
}

/** A session, or an attempt at one, with a host of a domain that has such a policy. */
export interface TlsSessionFact {
  readonly kind: 'tls-session'
  readonly at: number
  readonly policy: TlsPolicyFacts
  /** undefined: it is as the policy wants it */
  readonly failure: TlsResultType | undefined
  /** more about a failure; '' = nothing */
  readonly reason: string
  readonly sendingIp: string
  /** '' where no host was reached */
  readonly receivingHost: string
  readonly receivingIp: string
}
