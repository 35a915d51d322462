/**
 * A walk along a client's chain that finds out which certificate is at fault, and what with (RFC 5280 §6.1).
 *
 * It may explain and never grants: OpenSSL's verdict stands whatever comes out here. OpenSSL tells one error of several
 * and not where it happened; the walk follows the chain as OpenSSL does (a CA of ours before what the client sent) and
 * lists everything that is wrong. What it costs is bounded: so many certificates, so many signatures.
 */

import type { X509Certificate } from 'node:crypto'
import { type ChainElement, CLIENT_AUTH, chainElement, isIssuedBy, KEY_USAGE } from './chain-element.ts'
import { type CrlStatus, crlStatus, type ParsedCrl } from './crl.ts'
import type { ClientCas } from './material.ts'
import type { ChainFindings, ChainProblem, VerifyCause } from './peer.ts'

export interface WalkInput {
  readonly leaf: X509Certificate
  /** what the client sent besides its own certificate */
  readonly sent: readonly X509Certificate[]
  /** the session was resumed: what the client had sent is no longer known */
  readonly resumed: boolean
  readonly cas: ClientCas | undefined
  /** undefined: the scope has no revocation lists */
  readonly lists: readonly ParsedCrl[] | undefined
  /** milliseconds since the epoch */
  readonly now: number
}

/** certificates of a path; certificates that were sent and are looked at; signatures that are checked */
const MAX_PATH = 10
const MAX_SENT = 20
const MAX_SIGNATURES = 40

export function walkChain(input: WalkInput): ChainFindings {
  const { path, brokenAt, anchored, cut } = findPath(input)
  const problems: ChainProblem[] = []
  const elements = path.map(({ facts }, depth) => {
    return { depth, subject: facts.subject, subjectOneline: facts.subjectOneline }
  })
  const add = (cause: VerifyCause, depth: number): void => {
    const element = elements[depth]
    if (element !== undefined) problems.push({ cause, ...element })
  }
  if (brokenAt !== undefined) add('bad-signature', brokenAt)
  if (!anchored) add('untrusted', path.length - 1)
  addDates(path, input.now, add)
  addUsages(path, add)
  addConstraints(path, add)
  // only a chain that ends in a CA of ours can say anything about revocation
  if (anchored && brokenAt === undefined && input.lists !== undefined) {
    addRevocation(path, input.lists, { now: input.now, add })
  }
  return { complete: !input.resumed && !cut, reachesCa: anchored, path: elements, problems }
}

type Add = (cause: VerifyCause, depth: number) => void

interface Path {
  /** the leaf first */
  readonly path: readonly ChainElement[]
  /** depth of a certificate whose issuer's signature is wrong */
  readonly brokenAt: number | undefined
  /** it ends in a root of ours */
  readonly anchored: boolean
  /** a bound of this walk was met */
  readonly cut: boolean
}

/** Every certificate that a chain could be made of. */
export interface PossibleChain {
  /** one path as it was found, the leaf first */
  readonly path: readonly ChainElement[]
  /** the path, and what was sent or is ours and bears the name of an issuer of any of these */
  readonly possible: ReadonlySet<ChainElement>
  /** it leads to a CA of ours and nothing of it was left out; otherwise the rest proves nothing */
  readonly whole: boolean
}

export function possibleChain(input: WalkInput): PossibleChain {
  const { path, brokenAt, anchored } = findPath(input)
  // what OpenSSL took is in its dates: anything else is not the chain that verified
  const inDates = path.every(({ facts }) => facts.notBefore <= input.now && input.now < facts.notAfter)
  const whole =
    anchored && brokenAt === undefined && inDates && !input.resumed && input.sent.length <= MAX_SENT
  const bySubject = Map.groupBy(input.sent.slice(0, MAX_SENT).map(chainElement), ({ subject }) => subject)
  const possible = new Set(path)
  for (const element of possible) {
    const above = [
      ...(bySubject.get(element.issuer) ?? []),
      ...(input.cas?.bySubject.get(element.issuer) ?? []),
    ]
    for (const each of above) possible.add(each)
  }
  return { path, possible, whole }
}

/**
 * Whether nothing but revocation lists that are missing or out of date can be what keeps a chain from verifying. Every
 * certificate that could be part of it is looked up in every list of its issuer, also in one that is out of date or
 * whose signature cannot be checked: whoever is listed stays revoked.
 */
export function lacksOnlyLists(input: WalkInput): boolean {
  const { path, possible, whole } = possibleChain(input)
  const lists = input.lists ?? []
  if (!whole) return false
  for (const element of possible) {
    const named = lists.filter(({ issuer }) => issuer === element.issuer)
    if (named.some((list) => !list.whole || list.holds(element.facts.serial))) return false
  }
  return path.every((element, depth) => {
    return crlStatus(element.facts, path[depth + 1] ?? element, lists, input.now) !== 'unsigned'
  })
}

function findPath({ leaf, sent, cas }: WalkInput): Path {
  const others = sent.slice(0, MAX_SENT).map(chainElement)
  const path = [chainElement(leaf)]
  const budget = { signatures: MAX_SIGNATURES }
  let brokenAt: number | undefined
  for (let depth = 0; depth < MAX_PATH; depth += 1) {
    const current = path[depth]
    if (current === undefined || budget.signatures <= 0) break
    if (current.subject === current.issuer) {
      const anchored = cas?.digests.has(current.facts.fingerprint) ?? false
      if (anchored || isIssuedBy(current, current)) return { path, brokenAt, anchored, cut: false }
    }
    const ours = cas?.bySubject.get(current.issuer) ?? []
    const candidates = [...ours, ...others].filter(
      (each) => each.subject === current.issuer && !path.includes(each),
    )
    const issuer = signerOf(current, candidates, budget)
    const next = issuer ?? candidates.find((each) => current.certificate.checkIssued(each.certificate))
    if (next === undefined) return { path, brokenAt, anchored: false, cut: sent.length > MAX_SENT }
    if (issuer === undefined) brokenAt ??= depth
    path.push(next)
  }
  return { path, brokenAt, anchored: false, cut: true }
}

function signerOf(
  child: ChainElement,
  candidates: readonly ChainElement[],
  budget: { signatures: number },
): ChainElement | undefined {
  return candidates.find((candidate) => {
    budget.signatures -= 1
    return budget.signatures >= 0 && isIssuedBy(child, candidate)
  })
}

function addDates(path: readonly ChainElement[], now: number, add: Add): void {
  path.forEach(({ facts }, depth) => {
    if (now >= facts.notAfter) add('expired', depth)
    else if (now < facts.notBefore) add('not-yet-valid', depth)
  })
}

/** What each certificate is used for here: the leaf to identify a client, the others to sign certificates for that. */
function addUsages(path: readonly ChainElement[], add: Add): void {
  let between = 0
  path.forEach((element, depth) => {
    const { keyUsage, extendedUsage, isCa, pathLength } = element
    const needed = depth === 0 ? KEY_USAGE.digitalSignature | KEY_USAGE.keyAgreement : KEY_USAGE.certSign
    const forClients = extendedUsage === undefined || extendedUsage.includes(CLIENT_AUTH)
    const forThis = keyUsage === undefined || (keyUsage & needed) !== 0
    if (!forClients || !forThis || (depth > 0 && !isCa)) add('wrong-usage', depth)
    if (depth === 0) return
    if (pathLength !== undefined && between > pathLength) add('too-deep', depth)
    if (element.subject !== element.issuer) between += 1
  })
}

/** Which name breaks a constraint is not found out: told only where one certificate alone stands under it. */
function addConstraints(path: readonly ChainElement[], add: Add): void {
  const highest = path.findLastIndex(({ constrainsNames }) => constrainsNames)
  if (highest === 1) add('name-constraint', 0)
}

function addRevocation(
  path: readonly ChainElement[],
  lists: readonly ParsedCrl[],
  { now, add }: { readonly now: number; readonly add: Add },
): void {
  path.forEach((element, depth) => {
    // a root is under its own list
    const issuer = path[depth + 1] ?? element
    const cause = CRL_CAUSES[crlStatus(element.facts, issuer, lists, now)]
    if (cause !== undefined) add(cause, depth)
  })
}

const CRL_CAUSES: Readonly<Record<CrlStatus, VerifyCause | undefined>> = {
  good: undefined,
  revoked: 'revoked',
  missing: 'crl-missing',
  'out-of-date': 'crl-expired',
  unsigned: 'crl-invalid',
}
