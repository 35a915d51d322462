/**
 * DKIM (RFC 6376, 8301, 8463), ARC (RFC 8617) and DMARC (RFC 9989) for one message, by mailauth in its strict mode.
 *
 * The body streams through: memory does not grow with it, and it is not read at all where nothing signs it. Bounded:
 * signatures, their length, fields of the header, questions to the DNS, time. A signature that covers only the start of
 * the body does not pass, because anybody may have added the rest. Never throws for what a message holds or for what the
 * DNS does not say: that is a `temperror` or `permerror`; what reading the body throws comes through.
 */

import { createRequire } from 'node:module'
import { Readable } from 'node:stream'
import type { ARCData, ARCResult, DKIMResult, DKIMVerifyResult, DNSResolver } from 'mailauth'
import type * as Arc from 'mailauth/lib/arc/index.js'
import type * as Dkim from 'mailauth/lib/dkim/verify.js'
import type * as Dmarc from 'mailauth/lib/dmarc/index.js'
import { HeaderBlock } from '../mail/headers.ts'
import { boundedLines, LongLineError } from './lines.ts'
import { boundedLookup } from './lookups.ts'
import {
  type ArcOutcome,
  type DkimOutcome,
  type DkimResult,
  type DkimSignature,
  type DmarcOutcome,
  type DmarcPolicy,
  type MessageOutcome,
  type SpfOutcome,
  tellable,
} from './outcome.ts'
import { authorDomain } from './sign.ts'
import type { CheckBounds } from './spf.ts'

const require = createRequire(import.meta.url)

/** Read when it is needed: it takes a tenth of a second, and most processes verify nothing. */
function library() {
  const { arc } = require('mailauth/lib/arc/index.js') as typeof Arc
  const { dkimVerify } = require('mailauth/lib/dkim/verify.js') as typeof Dkim
  const { evaluateDmarc } = require('mailauth/lib/dmarc/index.js') as typeof Dmarc
  return { arc, dkimVerify, evaluateDmarc }
}

/** Reads the library now, so that no message waits for it. */
export function prepareVerification(): void {
  library()
}

export interface MessageQuestion {
  /** as received, a byte string; with or without the empty line at its end */
  readonly header: string
  /** the body as received; read at most once */
  readonly body: () => AsyncIterable<Uint8Array>
  /** what is asked for */
  readonly checks: { readonly dkim: boolean; readonly dmarc: boolean; readonly arc: boolean }
  /** for DMARC; undefined where nobody looked */
  readonly spf: SpfOutcome | undefined
}

/** the keys of ten signatures and fifty seals, and two walks up the tree of domains for each of ten domains */
const MOST_QUESTIONS = 150
/** signatures of a message that are looked at: the topmost */
const MAX_SIGNATURES = 10
/** of a header that is looked at: each name in h= is looked for among all fields */
const MAX_FIELDS = 1000
const MAX_HEADER = 128 * 1024
/** octets of From; mailauth's reader of addresses is not linear */
const MAX_FROM = 8192

/** @throws what reading the body throws */
export async function verifyMessage(question: MessageQuestion, bounds: CheckBounds): Promise<MessageOutcome> {
  const { checks, spf } = question
  const prepared = prepare(question.header)
  if (prepared === undefined) return tooMuch(checks, 'header too large')
  const resolver = boundedLookup({ ...bounds, most: MOST_QUESTIONS })
  let verified: DKIMVerifyResult
  try {
    const input = Readable.from(content(prepared, question.body), { objectMode: false })
    verified = await library().dkimVerify(input, { resolver, ...STRICT })
  } catch (error) {
    if (error instanceof LongLineError) return tooMuch(checks, 'line too long')
    throw error
  }
  const dkim = dkimOutcome(verified.results, prepared.surplus)
  const sealed = checks.arc ? await library().arc(chainOf(verified), { resolver, ...STRICT }) : undefined
  // with time of its own: names that a forger brings along must not use it up
  const dmarc = checks.dmarc
    ? await checkDmarc({
        verified,
        dkim,
        spf,
        author: authorDomain(question.header),
        resolver: boundedLookup({ ...bounds, most: MOST_QUESTIONS }),
      })
    : undefined
  return {
    ...(checks.dkim ? { dkim } : {}),
    ...(sealed === undefined ? {} : { arc: arcOutcome(sealed) }),
    ...(dmarc === undefined ? {} : { dmarc }),
  }
}

/** mailauth follows the RFCs where it is otherwise lenient; not in all of its types */
const STRICT = { strict: true }

/** What `dkimVerify` found is what `arc` takes; its types do not say so. */
function chainOf({ arc: found }: DKIMVerifyResult): ARCData {
  return (found ?? { chain: false }) as unknown as ARCData
}

interface Prepared {
  /** with the empty line at its end */
  readonly header: Buffer
  readonly signed: boolean
  /** signatures that are not looked at */
  readonly surplus: number
}

/** undefined: a header that takes more work than a message is worth */
function prepare(text: string): Prepared | undefined {
  const lines = text.split('\n').filter((line) => !/^[ \t]/.test(line)).length
  const block = new HeaderBlock(text)
  if (lines > MAX_FIELDS || text.length > MAX_HEADER || block.values('from').join().length > MAX_FROM)
    return undefined
  let seen = 0
  const surplus = block.deleteWhere('dkim-signature', () => ++seen > MAX_SIGNATURES)
  const header = block.toBytes()
  // as mailauth reads it: a colon may stand on the line after the name
  const left = header.toString('latin1').match(/^(?:dkim-signature|arc-[a-z-]+)[ \t\r\n]*:/gim) ?? []
  const signatures = left.filter((start) => /^dkim/i.test(start)).length
  return signatures > MAX_SIGNATURES ? undefined : { header, signed: left.length > 0, surplus }
}

async function* content(
  { header, signed }: Prepared,
  body: MessageQuestion['body'],
): AsyncIterable<Uint8Array> {
  yield header
  if (signed) yield* boundedLines(body())
}

function tooMuch(checks: MessageQuestion['checks'], reason: string): MessageOutcome {
  return {
    ...(checks.dkim ? { dkim: { result: 'policy', signatures: [unread(reason)] } } : {}),
    ...(checks.arc ? { arc: { result: 'fail', instance: undefined } } : {}),
    ...(checks.dmarc ? { dmarc: { result: 'permerror', policy: undefined, domain: undefined } } : {}),
  }
}

function unread(reason: string): DkimSignature {
  const nothing = undefined
  return {
    result: 'policy',
    reason,
    domain: nothing,
    selector: nothing,
    algorithm: nothing,
    start: nothing,
    keyBits: nothing,
    identity: nothing,
    canonicalization: nothing,
    headers: nothing,
  }
}

function dkimOutcome(results: readonly DKIMResult[], surplus: number): DkimOutcome {
  // a message without signatures has one result, which says so
  const signatures = results
    .filter(({ status }) => status.result !== 'none')
    .map(signatureOf)
    .concat(surplus > 0 ? [unread('too many signatures')] : [])
  const best = BEST_FIRST.find((each) => signatures.some(({ result }) => result === each))
  return { result: best ?? 'none', signatures }
}

const BEST_FIRST: readonly DkimResult[] = ['pass', 'temperror', 'policy', 'fail', 'neutral', 'permerror']

function signatureOf(signature: DKIMResult): DkimSignature {
  const { status, signingDomain, selector, algo, modulusLength, format } = signature
  const found = BEST_FIRST.find((each) => each === status.result) ?? 'permerror'
  // RFC 6376 §8.2: what comes after l= is nobody's
  const partial = found === 'pass' && (signature.status.underSized ?? 0) > 0
  const start = /^[A-Za-z0-9+/=]{1,8}/.exec(signature.signature ?? '')?.[0]
  return {
    result: partial ? 'policy' : found,
    reason: partial ? 'body not signed as a whole' : reasonOf(status.comment),
    domain: tellable(signingDomain),
    selector: tellable(selector),
    algorithm: tellable(algo),
    start,
    keyBits: modulusLength,
    identity: tellableIdentity(signature),
    canonicalization: /^(?:simple|relaxed)(?:\/(?:simple|relaxed))?$/i.exec(format ?? '')?.[0].toLowerCase(),
    headers: tellableHeaders(signature),
  }
}

/** i= as far as it can be told: of its local part nothing but the usual characters. */
function tellableIdentity({ status }: DKIMResult): string | undefined {
  const identity: unknown = status.header?.['i']
  if (typeof identity !== 'string') return undefined
  return /^[\w.+=-]{0,64}@[\w.-]{1,253}$/.test(identity) ? identity.toLowerCase() : undefined
}

/** The fields that are there and signed, where h= names nothing but fields. */
function tellableHeaders({ signingHeaders }: DKIMResult): readonly string[] | undefined {
  const names = signingHeaders?.keys ?? ''
  if (names === '' || names.length > 8192) return undefined
  const list = names.toLowerCase().split(/\s*:\s*/)
  return list.every((name) => /^[\w-]+$/.test(name)) ? list : undefined
}

/** mailauth's word where it is one of these; others may quote the message or the DNS. */
const REASONS = [
  'bad signature',
  'body hash did not verify',
  'expired',
  'From field not signed',
  'incompatible version',
  'invalid expiration',
  'no key',
  'signature missing required tag',
  'signature syntax error',
  'unknown algorithm',
  'unknown canonicalization',
  'weak algorithm',
  'weak key',
]

function reasonOf(comment: unknown): string | undefined {
  return REASONS.find((each) => each === comment)
}

function arcOutcome({ status, i }: ARCResult): ArcOutcome {
  const result = status.result === 'pass' || status.result === 'none' ? status.result : 'fail'
  return { result, instance: typeof i === 'number' && i > 0 ? i : undefined }
}

interface DmarcQuestion {
  readonly verified: DKIMVerifyResult
  readonly dkim: DkimOutcome
  readonly spf: SpfOutcome | undefined
  /** whom the From field names, strictly read; undefined where that is not one domain */
  readonly author: string | undefined
  readonly resolver: DNSResolver
}

async function checkDmarc({
  verified,
  dkim,
  spf,
  author: named,
  resolver,
}: DmarcQuestion): Promise<DmarcOutcome> {
  const passing = dkim.signatures.filter(({ result }) => result === 'pass')
  const domains = passing.flatMap(({ domain }) => (domain === undefined ? [] : [domain]))
  const { response } = await library().evaluateDmarc({
    headerFrom: verified.headerFrom,
    fromFields: verified.fromFields,
    spfDomains: spf?.result === 'pass' && spf.domain !== undefined ? [spf.domain] : [],
    dkimDomains: [...new Set(domains)].map((domain) => ({
      id: domain,
      domain,
      aligned: false,
      underSized: 0,
    })),
    resolver,
    ...STRICT,
  })
  if (response === false) return { result: 'permerror', policy: undefined, domain: undefined }
  const result = DMARC_RESULTS.find((each) => each === response.status.result) ?? 'temperror'
  const author = tellable(response.status.header?.['from'])
  // A field that can be read in two ways shows a reader somebody else than the one who is vouched for.
  if (result !== 'fail' && (author === undefined || author !== named))
    return { result: 'permerror', policy: undefined, domain: undefined }
  // An answer that did not come may be the one that would have let it pass. The author's own: whoever forges a message
  // can bring names of his own that never answer.
  const unanswered = [
    ...dkim.signatures.filter((each) => each.result === 'temperror').map(({ domain }) => domain),
    ...(spf?.result === 'temperror' ? [spf.domain] : []),
  ]
  const unsure = result === 'fail' && unanswered.some((domain) => related(domain, author))
  return {
    result: unsure ? 'temperror' : result,
    policy: POLICIES.find((each) => each === response.policy),
    domain: author,
  }
}

/** Whether one is the other, or lies in it. */
function related(one: string | undefined, other: string | undefined): boolean {
  if (one === undefined || other === undefined) return false
  return one === other || one.endsWith(`.${other}`) || other.endsWith(`.${one}`)
}

const DMARC_RESULTS: readonly DmarcOutcome['result'][] = ['pass', 'fail', 'none', 'temperror', 'permerror']
const POLICIES: readonly DmarcPolicy[] = ['none', 'quarantine', 'reject']
