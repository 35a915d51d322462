/**
 * Whether the certificates of a chain that verified are revoked, as far as OCSP responders know.
 *
 * The client's own certificate must have a responder. A CA between it and the root is asked about where its issuer has
 * one. Everything that the chain could be made of is asked about, not only the path that we see, and nothing of it may
 * be revoked. It can only lower a verdict; `soft` forgives an answer that is missing or worth nothing, never `revoked`,
 * and never a chain that we cannot follow: a client could hide a CA so, and of whom nobody was asked nothing is missing.
 */

import type { ChainElement } from '../chain-element.ts'
import { possibleChain, type WalkInput } from '../chain-walk.ts'
import type { ParsedCrl } from '../crl.ts'
import type { Withdrawal } from '../peer.ts'
import type { OcspClient } from './client.ts'
import { OcspFault } from './fault.ts'
import { type Responder, responderFor } from './responders.ts'

export interface ChainQuestion {
  readonly chain: WalkInput
  readonly mode: 'hard' | 'soft'
  readonly responders: readonly Responder[]
  /** all revocation lists that are at hand */
  readonly lists: readonly ParsedCrl[]
}

/** What becomes of a verified peer. */
export interface OcspFinding {
  /** undefined: it stays what it is */
  readonly withdrawal: Withdrawal | undefined
  /** it stays so although an answer is missing or worth nothing */
  readonly forgiven: boolean
}

type Found =
  | { readonly kind: 'fine' }
  | { readonly kind: 'revoked' | 'ocsp-unavailable' | 'ocsp-invalid'; readonly code: string }

const FINE: Found = { kind: 'fine' }

export async function checkChain(client: OcspClient, question: ChainQuestion): Promise<OcspFinding> {
  const { path, possible, whole } = possibleChain(question.chain)
  const [leaf] = path
  const results = await Promise.all(
    [...possible]
      // a root vouches for itself; a client's own certificate never does
      .filter((element) => element === leaf || element.subject !== element.issuer)
      .map(async (element) => ({
        element,
        found: await lookUp(client, element, element === leaf, question),
      })),
  )
  const all = whole ? results : [{ element: leaf, found: NOT_WHOLE }, ...results]
  const revoked = all.find(({ found }) => found.kind === 'revoked')
  const bad = revoked ?? all.find(({ found }) => found.kind !== 'fine')
  if (bad === undefined || bad.found.kind === 'fine') return { withdrawal: undefined, forgiven: false }
  if (revoked === undefined && whole && question.mode === 'soft') {
    return { withdrawal: undefined, forgiven: true }
  }
  const depth = bad.element === undefined ? -1 : path.indexOf(bad.element)
  const { subject = '', subjectOneline = '' } = bad.element?.facts ?? {}
  return {
    withdrawal: {
      cause: bad.found.kind,
      code: bad.found.code,
      failing: depth < 0 ? undefined : { depth, subject, subjectOneline },
    },
    forgiven: false,
  }
}

const NOT_WHOLE: Found = { kind: 'ocsp-unavailable', code: 'OCSP_CHAIN_UNKNOWN' }

// oxlint-disable-next-line max-params -- who asks, about what, whether it must be known, by which rules
async function lookUp(
  client: OcspClient,
  element: ChainElement,
  needed: boolean,
  { responders, lists }: ChainQuestion,
): Promise<Found> {
  const found = responderFor(element, responders)
  if (found === undefined) return needed ? { kind: 'ocsp-unavailable', code: 'OCSP_NO_RESPONDER' } : FINE
  try {
    const { status } = await client.ask({ element, issuer: found.issuer }, found.responder, lists)
    if (status === 'good') return FINE
    if (status === 'revoked') return { kind: 'revoked', code: 'OCSP_REVOKED' }
    return { kind: 'ocsp-unavailable', code: 'OCSP_UNKNOWN' }
  } catch (error) {
    if (!(error instanceof OcspFault)) throw error
    return { kind: error.kind, code: error.kind === 'ocsp-invalid' ? 'OCSP_INVALID' : 'OCSP_UNAVAILABLE' }
  }
}
