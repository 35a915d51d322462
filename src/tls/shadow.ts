/**
 * TLS_Verify_Mode_Shadow: what a stricter mode would have done with a client that the active one has let in, or not.
 *
 * A report and nothing else: no handshake, ticket or verdict depends on it. What cannot be known is said to be unknown:
 * where the active mode is none nobody was asked for a certificate, so nobody can say who has one.
 */

import { describeOrigin } from '../config/diagnostic.ts'
import type { InboundScope } from '../config/settings.ts'
import type { ShadowVerdict } from '../events/decision.ts'
import type { TlsFacts } from './peer.ts'

/** What the handshake showed; `failed` carries OpenSSL's code, if it gave one. */
export type ShadowEvidence =
  | { readonly kind: 'done'; readonly mode: TlsFacts['mode']; readonly peer: TlsFacts['peer'] }
  | { readonly kind: 'failed'; readonly code: string }

/** undefined where the scope has no shadow mode */
export function shadowVerdict(scope: InboundScope, evidence: ShadowEvidence): ShadowVerdict | undefined {
  const mode = scope.options.tls_verify_mode_shadow
  if (mode === undefined) return undefined
  const from = describeOrigin(scope.origin('tls_verify_mode_shadow'))
  return { mode, from, ...judge(mode, evidence) }
}

function judge(
  shadow: ShadowVerdict['mode'],
  evidence: ShadowEvidence,
): Pick<ShadowVerdict, 'verdict' | 'reason'> {
  if (evidence.kind === 'failed') {
    // the active mode is require as well, and has refused
    return evidence.code === NO_CERTIFICATE && shadow === 'require'
      ? { verdict: 'would-refuse', reason: 'no-certificate' }
      : { verdict: 'unknown', reason: 'handshake-failed' }
  }
  if (shadow === 'none') return { verdict: 'would-continue', reason: 'would-not-ask' }
  if (evidence.mode === 'none') return { verdict: 'unknown', reason: 'not-asked-for' }
  const { kind } = evidence.peer
  if (kind === 'anonymous') return { verdict: 'would-refuse', reason: 'no-certificate' }
  return { verdict: 'would-continue', reason: kind }
}

/** OpenSSL's code of a handshake that fails for want of a certificate */
const NO_CERTIFICATE = 'PEER_DID_NOT_RETURN_A_CERTIFICATE'
