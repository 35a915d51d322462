/**
 * Whether the certificates of a chain that verified are revoked, as far as OCSP responders know.
 *
 * The client's own certificate must have a responder. A CA between it and the root is asked about where its issuer has
 * one. Everything that the chain could be made of is asked about, not only the path that we see, and nothing of it may
 * be revoked. It can only lower a verdict; `soft` forgives an answer that is missing or worth nothing, never `revoked`,
 * and never a chain that we cannot follow: a client could hide a CA so, and of whom nobody was asked nothing is missing.
 */

import { type DecisionOcsp, type DecisionOcspAnswer, decisionLimits } from '../../events/decision.ts'
import type { ChainElement } from '../chain-element.ts'
import { possibleChain, type WalkInput } from '../chain-walk.ts'
import type { ParsedCrl } from '../crl.ts'
import type { Withdrawal } from '../peer.ts'
import type { OcspClient, Told } from './client.ts'
import { OcspFault } from './fault.ts'
import { type Responder, responderFor } from './responders.ts'

export interface ChainQuestion {
  readonly chain: WalkInput
  readonly mode: 'hard' | 'soft'
  readonly responders: readonly Responder[]
  /** all revocation lists that are at hand */
  readonly lists: readonly ParsedCrl[]
  /** milliseconds since the epoch */
  readonly now: number
}

/** What becomes of a verified peer. */
export interface OcspFinding {
  /** undefined: it stays what it is */
  readonly withdrawal: Withdrawal | undefined
  /** it stays so although an answer is missing or worth nothing */
  readonly forgiven: boolean
  readonly account: DecisionOcsp
}

/** Who answers: a client, or nobody. */
export interface Answering {
  ask(...question: Parameters<OcspClient['ask']>): Promise<Told | 'withheld'>
}

/** Nothing goes out, and whoever has a responder counts as good. */
export const withheldAnswers: Answering = { ask: () => Promise.resolve('withheld') }

type Found =
  | { readonly kind: 'fine' }
  | { readonly kind: 'revoked' | 'ocsp-unavailable' | 'ocsp-invalid'; readonly code: string }

interface Looked {
  readonly found: Found
  /** undefined: nobody speaks for it, and nobody has to */
  readonly answer: Omit<DecisionOcspAnswer, 'subject' | 'depth'> | undefined
}

const FINE: Found = { kind: 'fine' }

export async function checkChain(client: Answering, question: ChainQuestion): Promise<OcspFinding> {
  const { path, possible, whole } = possibleChain(question.chain)
  const [leaf] = path
  const results = await Promise.all(
    [...possible]
      // a root vouches for itself; a client's own certificate never does
      .filter((element) => element === leaf || element.subject !== element.issuer)
      .map(async (element) => ({
        element,
        ...(await lookUp(client, element, element === leaf, question)),
      })),
  )
  const account = (forgiven: boolean): DecisionOcsp => {
    return { mode: question.mode, forgiven, ...accountOf(path, results) }
  }
  const all = whole ? results : [{ element: leaf, found: NOT_WHOLE }, ...results]
  const revoked = all.find(({ found }) => found.kind === 'revoked')
  const bad = revoked ?? all.find(({ found }) => found.kind !== 'fine')
  if (bad === undefined || bad.found.kind === 'fine') {
    return { withdrawal: undefined, forgiven: false, account: account(false) }
  }
  if (revoked === undefined && whole && question.mode === 'soft') {
    return { withdrawal: undefined, forgiven: true, account: account(true) }
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
    account: account(false),
  }
}

const NOT_WHOLE: Found = { kind: 'ocsp-unavailable', code: 'OCSP_CHAIN_UNKNOWN' }

/** In the order of the chain; where there are too many, those of whom nothing bad was said are left out. */
function accountOf(
  path: readonly ChainElement[],
  results: readonly (Looked & { readonly element: ChainElement })[],
): Pick<DecisionOcsp, 'asked' | 'askedLeftOut'> {
  const place = (element: ChainElement): number => {
    const depth = path.indexOf(element)
    return depth < 0 ? path.length : depth
  }
  const told = results
    .flatMap(({ element, answer }) => (answer === undefined ? [] : [{ element, answer }]))
    .toSorted((a, b) => place(a.element) - place(b.element))
  const bad = told.filter(({ answer }) => !HARMLESS.has(answer.answer))
  const good = told.filter(({ answer }) => HARMLESS.has(answer.answer))
  const kept = new Set([...bad, ...good].slice(0, decisionLimits.ocsp))
  const asked = told
    .filter((each) => kept.has(each))
    .map(({ element, answer }) => {
      const depth = path.indexOf(element)
      return { ...(depth < 0 ? {} : { depth }), subject: element.facts.subject, ...answer }
    })
  return { asked, askedLeftOut: told.length - asked.length }
}

const HARMLESS: ReadonlySet<DecisionOcspAnswer['answer']> = new Set(['good', 'withheld'])

// oxlint-disable-next-line max-params -- who asks, about what, whether it must be known, by which rules
async function lookUp(
  client: Answering,
  element: ChainElement,
  needed: boolean,
  { responders, lists, now }: ChainQuestion,
): Promise<Looked> {
  const found = responderFor(element, responders)
  if (found === undefined) return needed ? NO_RESPONDER : { found: FINE, answer: undefined }
  const responder = found.responder.settings.name
  const told = await client.ask({ element, issuer: found.issuer }, found.responder, lists)
  if (told === 'withheld') return { found: FINE, answer: { responder, answer: 'withheld', reason: '' } }
  const { answer, remembered } = told
  const from = remembered ? 'memory' : 'responder'
  if (answer instanceof OcspFault) {
    const { kind, message } = answer
    const invalid = kind === 'ocsp-invalid'
    return {
      found: { kind, code: invalid ? 'OCSP_INVALID' : 'OCSP_UNAVAILABLE' },
      answer: { responder, answer: invalid ? 'invalid' : 'unavailable', reason: plain(message), from },
    }
  }
  const age = Math.max(0, Math.round((now - answer.thisUpdate) / 1000))
  return {
    found: FOUND[answer.status],
    answer: { responder, answer: answer.status, reason: '', from, age },
  }
}

const NO_RESPONDER: Looked = {
  found: { kind: 'ocsp-unavailable', code: 'OCSP_NO_RESPONDER' },
  answer: { answer: 'unavailable', reason: 'no TLS_OCSP speaks for its issuer' },
}

const FOUND: Readonly<Record<'good' | 'revoked' | 'unknown', Found>> = {
  good: FINE,
  revoked: { kind: 'revoked', code: 'OCSP_REVOKED' },
  unknown: { kind: 'ocsp-unavailable', code: 'OCSP_UNKNOWN' },
}

/** A responder's words may be in it. */
function plain(message: string): string {
  return message.replace(/[^ -~]+/g, '?').slice(0, decisionLimits.text)
}
