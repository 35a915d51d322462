/**
 * The decision record: what one TLS connection was judged by, what came of it, and what policy answered.
 *
 * Plain data and bounded: text of a certificate is escaped and cut by `tls/names.ts`, lists are cut at the limits below
 * and say how much was left out. Text is byte strings unless said otherwise. A connection without TLS has no record, unless
 * Require_TLS would have refused it and Require_TLS_Shadow asks who that is.
 */

import type { Endpoint } from '../mail/envelope.ts'

/** entries that a record keeps of each kind */
export const decisionLimits = { answers: 32, alternativeNames: 32, ocsp: 8, changes: 16, text: 512 } as const

/**
 * Where a certificate stood when a handshake came to its end; `failed`: there was no end; `plaintext`: there was no
 * handshake, and Require_TLS_Shadow had something to tell of that.
 */
export type DecisionOutcome = 'failed' | 'anonymous' | 'unverified' | 'verified' | 'plaintext'

export interface DecisionRecord {
  readonly kind: 'decision'
  /** when the handshake, or the command that Require_TLS would have refused, came to an end, milliseconds since the epoch */
  readonly at: number
  readonly connectionId: string
  /** the client, as it was known at the handshake; `changes` say who it was before and after */
  readonly remote: Endpoint
  readonly local: Endpoint
  /** effective TLS_Verify_Mode */
  readonly mode: 'unset' | 'none' | 'require'
  /** FILE:LINE of the value that decided the mode, `policy`, or `default`; Unicode text */
  readonly modeFrom: string
  /** absent where TLS_Verify_Mode_Shadow is not set */
  readonly shadow?: ShadowVerdict
  /** Require_TLS would have refused a command in clear text; FILE:LINE of the Require_TLS_Shadow that asks; Unicode text */
  readonly requireTlsShadow?: { readonly from: string }
  readonly scope: DecisionScope
  /** what certificates were verified against; absent where no TLS_Client_CA is set: then nothing verifies */
  readonly ca?: { readonly path: string; readonly digest: string }
  readonly crl?: DecisionCrl
  /** absent where no responder was asked about anybody */
  readonly ocsp?: DecisionOcsp
  readonly outcome: DecisionOutcome
  /** why the certificate does not verify, in `tls/peer.ts`' words, or what ended the handshake; '' otherwise */
  readonly cause: string
  /** OpenSSL's own word, such as `CERT_HAS_EXPIRED` or `PEER_DID_NOT_RETURN_A_CERTIFICATE`; '' when there is none */
  readonly code: string
  /** the certificate of the chain at which the verification failed, where that is known; 0 is the client's own */
  readonly failing?: { readonly depth: number; readonly subject: string }
  /** the client's certificate. Only where the outcome is `verified` is it more than a claim */
  readonly identity?: DecisionIdentity
  /** the partner that the verified certificate stands for */
  readonly partner?: string
  /** `TLSv1.3`; '' without a handshake that succeeded, as are cipher and sni */
  readonly protocol: string
  readonly cipher: string
  readonly sni: string
  readonly resumed: boolean
  /** another client was named, or another scope came into force, in their order; before TLS, too */
  readonly changes: readonly DecisionChange[]
  /** changes that there was no room for: they stood in the middle */
  readonly changesLeftOut: number
  /** refusals and whatever else did not simply let a command pass, in their order; before TLS, too */
  readonly answers: readonly DecisionAnswer[]
  /** answers that there was no room for: they stood in the middle */
  readonly answersLeftOut: number
  /** absent while the connection lasts */
  readonly end?: DecisionEnd
}

/** What TLS_Verify_Mode_Shadow would have done in the place of TLS_Verify_Mode. */
export interface ShadowVerdict {
  readonly mode: 'none' | 'require'
  /** FILE:LINE; Unicode text */
  readonly from: string
  /** `unknown`: nobody can say, because the client was not asked for a certificate, or did not get that far */
  readonly verdict: 'would-refuse' | 'would-continue' | 'unknown'
  readonly reason: ShadowReason
}

export type ShadowReason =
  /** none was presented although one was asked for: the handshake would fail */
  | 'no-certificate'
  /** one was presented that verifies */
  | 'verified'
  /** one was presented that does not verify: policy would decide, and sees the cause */
  | 'unverified'
  /** the active mode is none, so no certificate was asked for */
  | 'not-asked-for'
  /** the shadow mode is none, which asks for no certificate */
  | 'would-not-ask'
  /** the handshake failed for another reason */
  | 'handshake-failed'

/** Which part of the configuration governed the handshake; Unicode text. */
export interface DecisionScope {
  /** names Listen, Peer blocks and pathway */
  readonly id: string
  /** the Listen's instance, such as `:25` */
  readonly listen: string
  /** the narrowest Peer block that matched, and whether it stands in the Listen or in the ESMTP_Listener */
  readonly peer?: { readonly network: string; readonly inside: 'listen' | 'esmtp_listener' }
  readonly pathway: string
  readonly pathwayGroup: string
}

export interface DecisionCrl {
  /** file or directory */
  readonly path: string
  /** SHA-256 over all lists, hex */
  readonly digest: string
  readonly lists: number
  /** of the list that is oldest, milliseconds since the epoch */
  readonly thisUpdate: number
  /** of the list that ends first; absent where none says when */
  readonly nextUpdate?: number
  /** the verdict needed TLS_Client_CRL_Mode = soft */
  readonly forgiven: boolean
}

/** What OCSP responders were asked, and what came of it. */
export interface DecisionOcsp {
  /** effective TLS_Client_OCSP_Mode */
  readonly mode: 'hard' | 'soft'
  /** the certificate verifies although an answer is missing or worth nothing */
  readonly forgiven: boolean
  /** the client's certificate and the CAs that have a responder, the client's first */
  readonly asked: readonly DecisionOcspAnswer[]
  /** certificates that there was no room for; those of which nothing bad was said go first */
  readonly askedLeftOut: number
}

export interface DecisionOcspAnswer {
  /** place in the chain, 0 is the client's own; absent for a certificate from which another chain could be made */
  readonly depth?: number
  readonly subject: string
  /** name of the TLS_OCSP stanza; absent where none speaks for the certificate's issuer */
  readonly responder?: string
  /** `withheld`: nobody was asked, because nothing goes out (postern explain) */
  readonly answer: 'good' | 'revoked' | 'unknown' | 'unavailable' | 'invalid' | 'withheld'
  /** why there is no answer, or none that counts; '' otherwise. Printable ASCII */
  readonly reason: string
  /** `memory`: said before, to another connection; absent where nobody was asked */
  readonly from?: 'responder' | 'memory'
  /** seconds since what the answer says was known to be so; absent without an answer */
  readonly age?: number
}

export interface DecisionIdentity {
  readonly subject: string
  readonly issuer: string
  /** hex */
  readonly serial: string
  /** SHA-256 of the certificate, hex */
  readonly fingerprint: string
  /** SHA-256 of the public key, hex */
  readonly spki: string
  readonly sanDns: readonly string[]
  readonly sanEmail: readonly string[]
  readonly sanUri: readonly string[]
  readonly sanIp: readonly string[]
  /** names that there was no room for, as far as they were counted */
  readonly sansLeftOut: number
  /** milliseconds since the epoch; absent in a certificate that cannot be read */
  readonly notBefore?: number
  readonly notAfter?: number
}

/** What the verdict of the handshake is worth from now on. */
export interface DecisionChange {
  readonly at: number
  /** `pathway`: a script or a partner's stanza chose one after the handshake */
  readonly by: 'XCLIENT' | 'XREMOTEIP' | 'pathway'
  /** the client from now on, and before */
  readonly remote: Endpoint
  readonly was: Endpoint
  /** the scope from now on: its name, effective TLS_Verify_Mode and FILE:LINE of that; Unicode text */
  readonly scope: string
  readonly mode: 'unset' | 'none' | 'require'
  readonly modeFrom: string
  /** what the other end counts as from now on */
  readonly peer: 'plaintext' | 'anonymous' | 'unverified' | 'verified'
  /** TLS is up and the scope requires a certificate, which this client has not: the next command is answered with 421 */
  readonly lacksCertificate: boolean
}

export interface DecisionAnswer {
  readonly at: number
  /** what policy was asked about; absent for a rule of the server's own */
  readonly phase?: string
  /** `refuse`: the session went on; `disconnect`: it ended with this; `reply`: another text of success */
  readonly answer: 'refuse' | 'disconnect' | 'discard' | 'reply' | 'tarpit'
  /** of the reply; 0 where the answer is none */
  readonly code: number
  readonly text: string
  /** who decided, as in the rejectlog: `scriptlet`, `relay`, `auth`, `tls`, `core`, … */
  readonly module: string
  /** the script that decided, where one did */
  readonly script?: DecisionScript
}

/** Unicode text. */
export interface DecisionScript {
  readonly name: string
  /** the function that was asked */
  readonly callout: string
  /** FILE:LINE of the call that answered; absent where it is not known */
  readonly from?: string
  /** FILE:LINE on which the function begins, where it answered by its return value alone */
  readonly defined?: string
}

export interface DecisionEnd {
  /** milliseconds since the epoch */
  readonly at: number
  /**
   * `quit`: the client said so; `left`: it was gone; `closed`: we closed, after a refusal, a silence that was too long or
   * because the server stops; `failed`: the handshake did not come about
   */
  readonly how: 'quit' | 'left' | 'closed' | 'failed'
  /** messages taken over for one recipient at least; what policy dropped is refused */
  readonly accepted: number
  /** commands, recipients and messages refused: lines of the rejectlog */
  readonly refused: number
}

/** A connection under way, whose record can be read at any time. */
export interface LiveDecision {
  readonly connectionId: string
  record(): DecisionRecord
}

/** Who wants to know of the connections under way. Must not throw. */
export interface LiveDecisions {
  add(live: LiveDecision): void
  remove(live: LiveDecision): void
}
