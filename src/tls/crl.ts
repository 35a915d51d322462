/**
 * One certificate revocation list (RFC 5280 §5): its form, its signature, its dates and the serials that it holds.
 *
 * OpenSSL judges revocation in the handshake. What is found here decides which lists it is given, explains its verdict,
 * and can only add a refusal. Serials are kept as numbers of 53 bits: two serials that fall on one number would be taken
 * for each other, to the certificate's disadvantage.
 */

import { type ChainElement, comparable } from './chain-element.ts'
import { DerReader, type Element, readOid, readTime } from './der.ts'
import { readName, toRfc4514 } from './names.ts'
import type { CertificateFacts } from './peer.ts'
import { verifySignature } from './signature.ts'

const MAX_ELEMENTS = 4_000_000
/** CAs of one name whose keys are remembered */
const MAX_KEYS = 16

export interface CrlFacts {
  /** RFC 4514, escaped */
  readonly issuer: string
  /** milliseconds since the epoch */
  readonly thisUpdate: number
  readonly nextUpdate: number | undefined
  /** revoked certificates that are listed */
  readonly entries: number
}

export interface ParsedCrl {
  readonly facts: CrlFacts
  /** the issuer in a form in which equal names are equal */
  readonly issuer: string
  /** it speaks of all certificates of its issuer: neither a delta nor a part nor on behalf of others */
  readonly whole: boolean
  /** whether it lists a serial, given as in `CertificateFacts` */
  holds(serial: string): boolean
  /** undefined: signed in a way that is not known here. Checked once for each key: lists can be large */
  isSignedBy(issuer: ChainElement): boolean | undefined
}

export type CrlStatus = 'good' | 'revoked' | 'missing' | 'out-of-date' | 'unsigned'

/** @throws MalformedCertificate */
export function readCrl(der: Buffer): CrlFacts {
  return parseCrl(der).facts
}

/** @throws MalformedCertificate */
export function parseCrl(der: Buffer): ParsedCrl {
  const document = DerReader.of(der, MAX_ELEMENTS)
  const list = document.enter(0x30)
  document.end()
  const signed = list.read(0x30)
  const algorithm = readOid(list.enter(0x30).read(0x06).content)
  const signature = list.read(0x03).content.subarray(1)
  list.end()
  const body = list.inside(signed)
  body.optional(0x02)
  body.read(0x30)
  const issuer = toRfc4514(readName(body))
  const thisUpdate = readTime(body.read())
  const nextUpdate = body.peek() === 0x17 || body.peek() === 0x18 ? readTime(body.read()) : undefined
  const serials = readEntries(body)
  const whole = isWhole(body, body.optional(0xa0))
  body.end()
  const checked = new Map<string, boolean | undefined>()
  return {
    facts: { issuer, thisUpdate, nextUpdate, entries: serials.length },
    issuer: comparable(issuer),
    whole,
    holds: (serial) => includes(serials, serialNumber(serialOctets(serial))),
    isSignedBy: ({ facts, certificate }) => {
      const known = checked.get(facts.spki)
      if (known !== undefined || checked.has(facts.spki)) return known
      const result = verifySignature({ algorithm, signed: signed.raw, signature }, certificate.publicKey)
      if (checked.size < MAX_KEYS) checked.set(facts.spki, result)
      return result
    },
  }
}

export function isOutOfDate({ thisUpdate, nextUpdate }: CrlFacts, now: number): boolean {
  return now < thisUpdate || (nextUpdate !== undefined && now >= nextUpdate)
}

/** What the lists say of a certificate of this issuer. A serial that any of its lists holds is revoked. */
export function crlStatus(
  { serial }: CertificateFacts,
  issuer: ChainElement,
  lists: readonly ParsedCrl[],
  now: number,
): CrlStatus {
  const named = lists.filter((list) => list.issuer === issuer.subject && list.whole)
  const signed = named.filter((list) => list.isSignedBy(issuer) !== false)
  if (signed.some((list) => list.holds(serial))) return 'revoked'
  if (signed.some((list) => !isOutOfDate(list.facts, now))) return 'good'
  if (signed.length > 0) return 'out-of-date'
  return named.length > 0 ? 'unsigned' : 'missing'
}

/** The serials of all entries, sorted. */
function readEntries(body: DerReader): Float64Array {
  const revoked = body.optional(0x30)
  if (revoked === undefined) return new Float64Array()
  const entries = body.inside(revoked)
  const serials: number[] = []
  while (!entries.done) {
    const entry = entries.enter(0x30)
    serials.push(serialNumber(entry.read(0x02).content))
    readTime(entry.read())
    entry.optional(0x30)
    entry.end()
  }
  return Float64Array.from(serials).toSorted()
}

/** Deltas, parts and lists on behalf of others say so in an extension; what cannot be understood is not whole either. */
function isWhole(body: DerReader, wrapper: Element | undefined): boolean {
  if (wrapper === undefined) return true
  const extensions = body.inside(wrapper).enter(0x30)
  while (!extensions.done) {
    const extension = extensions.enter(0x30)
    const id = readOid(extension.read(0x06).content)
    const critical = (extension.optional(0x01)?.content[0] ?? 0) !== 0
    extension.read(0x04)
    if (critical || NOT_WHOLE.includes(id)) return false
  }
  return true
}

/** deltaCRLIndicator, issuingDistributionPoint */
const NOT_WHOLE = ['2.5.29.27', '2.5.29.28']

/** 53 bits of an INTEGER's content, without the zero that only says "not negative". */
function serialNumber(content: Uint8Array): number {
  let high = 0x811c9dc5
  let low = 0x9e3779b9
  let started = false
  for (const octet of content) {
    started ||= octet !== 0
    if (!started) continue
    high = Math.imul(high ^ octet, 0x01000193)
    low = Math.imul(low ^ octet ^ (high >>> 15), 0x85ebca6b)
  }
  return (high >>> 0) * 2 ** 21 + ((low ^ (low >>> 13)) >>> 11)
}

/** @param serial hex as in `CertificateFacts` */
function serialOctets(serial: string): Buffer {
  if (!serial.startsWith('-')) return Buffer.from(serial.length % 2 === 0 ? serial : `0${serial}`, 'hex')
  const size = BigInt(serial.length) * 4n
  return serialOctets((2n ** size - BigInt(`0x${serial.slice(1)}`)).toString(16))
}

function includes(sorted: Float64Array, wanted: number): boolean {
  let from = 0
  let to = sorted.length
  while (from < to) {
    const middle = (from + to) >>> 1
    if ((sorted[middle] ?? 0) < wanted) from = middle + 1
    else to = middle
  }
  return sorted[from] === wanted
}
