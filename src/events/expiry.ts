/** A certificate or revocation list that ends. */

/** `client` has been seen in a handshake, and verified; all others are of the configuration. */
export type EndingKind =
  | 'server'
  | 'client-ca'
  | 'crl'
  | 'ocsp-ca'
  | 'ocsp-signer'
  | 'responder-ca'
  | 'client'

export interface Ending {
  readonly what: EndingKind
  /** its subject, for a list its issuer: RFC 4514, escaped */
  readonly name: string
  readonly issuer: string
  /** SHA-256, hex */
  readonly fingerprint: string
  /** the file that it comes from; '' for a client's */
  readonly source: string
  /** milliseconds since the epoch; for a list thisUpdate and nextUpdate */
  readonly notBefore: number
  readonly notAfter: number
}

/** Told once a day for each number of days of TLS_Expiry_Warning that is reached, and each day after the end. */
export interface ExpiryWarning extends Ending {
  readonly kind: 'expiry'
  readonly at: number
  /** whole days that are left, below 0 after the end */
  readonly days: number
  /** the smallest number of days of TLS_Expiry_Warning that is reached; 0 after the end */
  readonly threshold: number
}
