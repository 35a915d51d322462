/**
 * Who is on the other end of a connection, and how do we know.
 *
 * The verdict is a type: only this file can make a `VerifiedPeer`, and whatever grants something because of a
 * certificate takes a `VerifiedPeer`, never a boolean or a string. Verified is not authorized: a verified certificate
 * grants nothing by itself.
 */

/** What a certificate says, read from DER (never from a printable rendering). Text is sanitised: see `names.ts`. */
export interface CertificateFacts {
  /** RFC 4514 string, hostile characters escaped; printable ASCII and UTF-8 as a byte string */
  readonly subject: string
  /** the most specific (last) CN, escaped; '' when there is none */
  readonly subjectCn: string
  readonly issuer: string
  readonly issuerCn: string
  /** `/C=…/CN=…` forms, for TLS_DN_Format = oneline */
  readonly subjectOneline: string
  readonly issuerOneline: string
  /** lower-case hex without leading zeros */
  readonly serial: string
  /** SHA-256 of the certificate, lower-case hex */
  readonly fingerprint: string
  /** SHA-256 of the SubjectPublicKeyInfo, lower-case hex */
  readonly spki: string
  readonly sanDns: readonly string[]
  readonly sanEmail: readonly string[]
  readonly sanUri: readonly string[]
  readonly sanIp: readonly string[]
  /** milliseconds since the epoch */
  readonly notBefore: number
  readonly notAfter: number
}

/** Why a certificate does not verify, in the words of policy, logs and metrics. */
export type VerifyCause =
  | 'untrusted'
  | 'expired'
  | 'not-yet-valid'
  | 'wrong-usage'
  | 'revoked'
  | 'crl-expired'
  | 'crl-invalid'
  | 'too-deep'
  | 'bad-signature'
  | 'name-constraint'
  | 'malformed'
  | 'other'

/** No TLS. */
export interface PlaintextPeer {
  readonly kind: 'plaintext'
}

/** TLS, and no certificate was asked for or presented. */
export interface AnonymousPeer {
  readonly kind: 'anonymous'
}

/** A certificate was presented that does not verify. Its facts are a claim, not an identity. */
export interface UnverifiedPeer {
  readonly kind: 'unverified'
  readonly certificate: CertificateFacts
  readonly cause: VerifyCause
  /** OpenSSL's own word, such as `CERT_HAS_EXPIRED` */
  readonly code: string
}

declare const verifiedBrand: unique symbol

/** A certificate was presented and verifies against the CAs of the scope. */
export interface VerifiedPeer {
  readonly kind: 'verified'
  readonly certificate: CertificateFacts
  readonly [verifiedBrand]: true
}

export type Peer = PlaintextPeer | AnonymousPeer | UnverifiedPeer | VerifiedPeer

/** Everything that policy, logs and headers may know of an established TLS session. */
export interface TlsFacts {
  /** `TLSv1.3` */
  readonly protocol: string
  /** OpenSSL's name of the suite */
  readonly cipher: string
  readonly cipherAlgorithmBits: number
  readonly cipherUsedBits: number
  /** the name the client asked for, escaped; '' when it sent none */
  readonly sni: string
  readonly resumed: boolean
  readonly mode: 'unset' | 'none' | 'require'
  /** FILE:LINE or `default` */
  readonly modeFrom: string
  readonly peer: Exclude<Peer, PlaintextPeer>
}

export const PLAINTEXT: PlaintextPeer = { kind: 'plaintext' }
