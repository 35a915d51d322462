/**
 * Who is on the other end of a connection, and how do we know.
 *
 * The verdict is a type: only this file can make a `VerifiedPeer`, and whatever grants something because of a
 * certificate takes a `VerifiedPeer`, never a boolean or a string. Verified is not authorized: a verified certificate
 * grants nothing by itself.
 */

import type { DecisionOcsp } from '../events/decision.ts'

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
  | 'crl-missing'
  | 'ocsp-unavailable'
  | 'ocsp-invalid'
  | 'too-deep'
  | 'bad-signature'
  | 'name-constraint'
  | 'malformed'
  | 'policy'
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
  /** where in the chain it failed; undefined where that is not known */
  readonly failing?: FailingElement | undefined
}

/** The certificate of a chain at which the verification failed. */
export interface FailingElement {
  /** 0 is the client's own certificate */
  readonly depth: number
  /** RFC 4514, as in `CertificateFacts` */
  readonly subject: string
  readonly subjectOneline: string
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
  /** the certificate verifies as a TLS server's and not as a client's (TLS_Client_EKU = any or report) */
  readonly serverOnly?: boolean
  /** it verifies although a revocation list is missing or out of date (TLS_Client_CRL_Mode = soft) */
  readonly crlForgiven?: boolean
  /** it verifies although an OCSP answer is missing or worth nothing (TLS_Client_OCSP_Mode = soft) */
  readonly ocspForgiven?: boolean
  /** what OCSP responders were asked; absent where none was */
  readonly ocsp?: DecisionOcsp
  readonly peer: Exclude<Peer, PlaintextPeer>
}

export const PLAINTEXT: PlaintextPeer = { kind: 'plaintext' }

/** What a handshake brought to light about the other end. */
export interface Evidence {
  readonly mode: TlsFacts['mode']
  /** the leaf that was presented, now or when a resumed session began; undefined when there was none */
  readonly leaf: { readonly facts: CertificateFacts; readonly malformed: boolean } | undefined
  /** OpenSSL's verdict on the chain; undefined means no error */
  readonly failure: VerifyFailure | undefined
  /** a verification that asks for less, where the scope allows it */
  readonly second?: SecondVerdict | undefined
  /** what a walk of the chain found; only explains, never grants */
  readonly chain: () => ChainFindings
  /** CAs that may stand between the leaf and the root (TLS_Verify_Depth) */
  readonly maxDepth?: number | undefined
  /** milliseconds since the epoch */
  readonly now: number
}

/** What a second verification found: it stands for the first only when it ended without any error. */
export interface SecondVerdict {
  readonly failure: VerifyFailure | undefined
}

/** What is wrong with a chain, as far as a walk of ours can see. */
export interface ChainFindings {
  /** all that the client sent is known; not so on a resumed session, whose ticket carries the leaf alone */
  readonly complete: boolean
  /** it ends in a root of the scope */
  readonly reachesCa: boolean
  /** every certificate from the leaf to the last that was found */
  readonly path: readonly FailingElement[]
  /** for each cause the leaf's side first */
  readonly problems: readonly ChainProblem[]
}

export interface ChainProblem extends FailingElement {
  readonly cause: VerifyCause
}

/** An error in OpenSSL's words. Node knows the names of some; the others are all `UNSPECIFIED` with their own text. */
export interface VerifyFailure {
  readonly code: string
  readonly message: string
}

/**
 * The verdict (design: verified = a certificate is present AND OpenSSL's result is OK AND the dates hold now).
 *
 * "No error" alone proves nothing: OpenSSL also says it of a TLS 1.3 session that was resumed without a certificate,
 * and of a certificate that has expired since its session began.
 */
export function judgePeer(evidence: Evidence): Exclude<Peer, PlaintextPeer> {
  const { mode, leaf, second, now } = evidence
  if (mode === 'none' || leaf === undefined) return { kind: 'anonymous' }
  const certificate = leaf.facts
  const unverified = (cause: VerifyCause, code: string, failing?: FailingElement): UnverifiedPeer => {
    return { kind: 'unverified', certificate, cause, code, failing }
  }
  const failure = second !== undefined && second.failure === undefined ? undefined : evidence.failure
  if (failure !== undefined) {
    const { cause, code, failing } = explain(failure, evidence.chain())
    return unverified(cause, code, failing)
  }
  const here = { depth: 0, subject: certificate.subject, subjectOneline: certificate.subjectOneline }
  if (leaf.malformed) return unverified('malformed', 'UNREADABLE', here)
  // as OpenSSL has it: a certificate is no longer valid in the very second of its notAfter
  if (!(now < certificate.notAfter)) return unverified('expired', 'CERT_HAS_EXPIRED', here)
  if (!(now >= certificate.notBefore)) return unverified('not-yet-valid', 'CERT_NOT_YET_VALID', here)
  if (evidence.maxDepth !== undefined) {
    const { reachesCa, path, problems } = evidence.chain()
    // A chain whose length is not known is not short enough: what is out of date is not what OpenSSL took
    const followed = reachesCa && !problems.some(({ cause }) => OUT_OF_DATE.includes(cause))
    const last = evidence.maxDepth + 1
    if (!followed || path.length > last + 1) return unverified('too-deep', 'VERIFY_DEPTH', path[last])
  }
  return { kind: 'verified', certificate } as VerifiedPeer
}

const OUT_OF_DATE: readonly VerifyCause[] = ['expired', 'not-yet-valid']

/** Why a certificate that verified does not count after all. */
export interface Withdrawal {
  readonly cause: 'policy' | 'revoked' | 'ocsp-unavailable' | 'ocsp-invalid'
  readonly code: string
  readonly failing?: FailingElement | undefined
}

/**
 * What becomes of a peer whose certificate turns out not to count. It can only lower: there is no function that makes
 * a verified peer of another one. A peer that was not verified keeps its own cause.
 */
export function withdraw(
  peer: Exclude<Peer, PlaintextPeer>,
  { cause, code, failing }: Withdrawal,
): Exclude<Peer, PlaintextPeer> {
  if (peer.kind !== 'verified') return peer
  return { kind: 'unverified', certificate: peer.certificate, cause, code, failing }
}

/** The same where policy does not accept it. */
export function distrust(peer: Exclude<Peer, PlaintextPeer>): Exclude<Peer, PlaintextPeer> {
  return withdraw(peer, { cause: 'policy', code: 'REFUSED_BY_POLICY' })
}

/** Every word of OpenSSL and what it means to an operator. */
const CAUSES: ReadonlyMap<string, VerifyCause> = new Map([
  ['UNABLE_TO_GET_ISSUER_CERT', 'untrusted'],
  ['DEPTH_ZERO_SELF_SIGNED_CERT', 'untrusted'],
  ['SELF_SIGNED_CERT_IN_CHAIN', 'untrusted'],
  ['UNABLE_TO_GET_ISSUER_CERT_LOCALLY', 'untrusted'],
  ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'untrusted'],
  ['CERT_UNTRUSTED', 'untrusted'],
  ['CERT_REJECTED', 'untrusted'],
  ['CERT_HAS_EXPIRED', 'expired'],
  ['CERT_NOT_YET_VALID', 'not-yet-valid'],
  ['INVALID_PURPOSE', 'wrong-usage'],
  ['INVALID_CA', 'wrong-usage'],
  ['KEYUSAGE_NO_CERTSIGN', 'wrong-usage'],
  ['CERT_REVOKED', 'revoked'],
  ['CRL_HAS_EXPIRED', 'crl-expired'],
  ['CRL_NOT_YET_VALID', 'crl-expired'],
  ['CRL_SIGNATURE_FAILURE', 'crl-invalid'],
  ['UNABLE_TO_DECRYPT_CRL_SIGNATURE', 'crl-invalid'],
  ['ERROR_IN_CRL_LAST_UPDATE_FIELD', 'crl-invalid'],
  ['ERROR_IN_CRL_NEXT_UPDATE_FIELD', 'crl-invalid'],
  ['KEYUSAGE_NO_CRL_SIGN', 'crl-invalid'],
  ['UNHANDLED_CRITICAL_CRL_EXTENSION', 'crl-invalid'],
  ['CRL_PATH_VALIDATION_ERROR', 'crl-invalid'],
  ['UNABLE_TO_GET_CRL', 'crl-missing'],
  ['UNABLE_TO_GET_CRL_ISSUER', 'crl-missing'],
  ['DIFFERENT_CRL_SCOPE', 'crl-missing'],
  ['CERT_CHAIN_TOO_LONG', 'too-deep'],
  ['PATH_LENGTH_EXCEEDED', 'too-deep'],
  ['CERT_SIGNATURE_FAILURE', 'bad-signature'],
  ['UNABLE_TO_DECRYPT_CERT_SIGNATURE', 'bad-signature'],
  ['UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY', 'bad-signature'],
  ['PERMITTED_VIOLATION', 'name-constraint'],
  ['EXCLUDED_VIOLATION', 'name-constraint'],
  ['SUBTREE_MINMAX', 'name-constraint'],
  ['UNSUPPORTED_CONSTRAINT_TYPE', 'name-constraint'],
  ['UNSUPPORTED_CONSTRAINT_SYNTAX', 'name-constraint'],
  ['UNSUPPORTED_NAME_SYNTAX', 'name-constraint'],
  ['ERROR_IN_CERT_NOT_BEFORE_FIELD', 'malformed'],
  ['ERROR_IN_CERT_NOT_AFTER_FIELD', 'malformed'],
  ['INVALID_EXTENSION', 'malformed'],
])

/** The words for errors that Node calls `UNSPECIFIED`, by OpenSSL's text. */
const UNNAMED: ReadonlyMap<string, string> = new Map([
  ['permitted subtree violation', 'PERMITTED_VIOLATION'],
  ['excluded subtree violation', 'EXCLUDED_VIOLATION'],
  ['name constraints minimum and maximum not supported', 'SUBTREE_MINMAX'],
  ['unsupported name constraint type', 'UNSUPPORTED_CONSTRAINT_TYPE'],
  ['unsupported or invalid name constraint syntax', 'UNSUPPORTED_CONSTRAINT_SYNTAX'],
  ['unsupported or invalid name syntax', 'UNSUPPORTED_NAME_SYNTAX'],
  ['key usage does not include certificate signing', 'KEYUSAGE_NO_CERTSIGN'],
  ['key usage does not include CRL signing', 'KEYUSAGE_NO_CRL_SIGN'],
  ['unable to get CRL issuer certificate', 'UNABLE_TO_GET_CRL_ISSUER'],
  ['unhandled critical CRL extension', 'UNHANDLED_CRITICAL_CRL_EXTENSION'],
  ['unhandled critical extension', 'UNHANDLED_CRITICAL_EXTENSION'],
  ['CRL path validation error', 'CRL_PATH_VALIDATION_ERROR'],
  ['Different CRL scope', 'DIFFERENT_CRL_SCOPE'],
  ['invalid or inconsistent certificate extension', 'INVALID_EXTENSION'],
  ['EE certificate key too weak', 'EE_KEY_TOO_SMALL'],
  ['CA certificate key too weak', 'CA_KEY_TOO_SMALL'],
  ['CA signature digest algorithm too weak', 'CA_MD_TOO_WEAK'],
])

/** What OpenSSL's word means by itself, where there is no chain of ours to look at. */
export function causeOf(failure: VerifyFailure): { readonly cause: VerifyCause; readonly code: string } {
  const code = failure.code === 'UNSPECIFIED' ? (UNNAMED.get(failure.message) ?? failure.code) : failure.code
  return { cause: CAUSES.get(code) ?? 'other', code }
}

interface Explanation {
  readonly cause: VerifyCause
  readonly code: string
  readonly failing: FailingElement | undefined
}

function explain(failure: VerifyFailure, chain: ChainFindings): Explanation {
  const { cause: own, code } = causeOf(failure)
  const cause = truest(own, chain)
  const problem = FROM_THE_ROOT.includes(cause)
    ? chain.problems.findLast((each) => each.cause === cause)
    : chain.problems.find((each) => each.cause === cause)
  const failing = problem && {
    depth: problem.depth,
    subject: problem.subject,
    subjectOneline: problem.subjectOneline,
  }
  return { cause, code, failing }
}

/** Causes of which the certificate nearest to the root counts, since all below it falls with it. */
const FROM_THE_ROOT: readonly VerifyCause[] = ['revoked', 'untrusted']

/**
 * OpenSSL tells only the last of several errors. An expired certificate of an unknown CA is first of all untrusted; in a
 * scope with CRLs it may even end in "no CRL found". What says most about a chain counts: that it leads to no CA of ours,
 * that a signature is wrong, that it was revoked. What is not known, because a resumed session tells nothing of the
 * intermediates, changes nothing.
 */
function truest(own: VerifyCause, chain: ChainFindings): VerifyCause {
  const found = (cause: VerifyCause): boolean => chain.problems.some((problem) => problem.cause === cause)
  if (!chain.reachesCa) return chain.complete || own === 'crl-missing' ? 'untrusted' : own
  if (found('bad-signature')) return 'bad-signature'
  // OpenSSL does not even look for the signature of an issuer that may not sign certificates
  if (own === 'untrusted') return found('wrong-usage') ? 'wrong-usage' : own
  return found('revoked') ? 'revoked' : own
}
