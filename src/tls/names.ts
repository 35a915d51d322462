/**
 * Names in certificates as text that can do no harm.
 *
 * What comes out is a byte string (one character per octet, text in UTF-8). Control characters, NUL, ESC, line and
 * paragraph separators, bidirectional and other invisible characters and bytes that are no valid text are written as
 * `\XX` for each of their UTF-8 bytes, a backslash as `\\`. So no name can start a line, end a field or pose as another,
 * and two different names never read the same. Long text is cut at a bound and ends in `\...`, which nothing else makes.
 *
 * RFC 4514 for distinguished names; `oneline` is OpenSSL's `/C=…/CN=…` with `/`, `=` and `\` written as `\xHH` too.
 */

import { type DerReader, type Element, MalformedCertificate, readOid } from './der.ts'

export interface Attribute {
  /** dotted */
  readonly type: string
  readonly value: Element
}

/** RDNs in the order of the certificate: country first, most specific last. */
export type DistinguishedName = readonly (readonly Attribute[])[]

/** octets */
const MAX_NAME = 1024
const MAX_COMMON_NAME = 512
const MAX_TOKEN = 512
const CUT = '\\...'

const COMMON_NAME = '2.5.4.3'

/** RFC 4514 §3, and the usual words for other attributes whose values are plain strings. */
export const attributeTypes: ReadonlyMap<string, string> = new Map([
  ['2.5.4.3', 'CN'],
  ['2.5.4.4', 'SN'],
  ['2.5.4.5', 'serialNumber'],
  ['2.5.4.6', 'C'],
  ['2.5.4.7', 'L'],
  ['2.5.4.8', 'ST'],
  ['2.5.4.9', 'STREET'],
  ['2.5.4.10', 'O'],
  ['2.5.4.11', 'OU'],
  ['2.5.4.12', 'title'],
  ['2.5.4.15', 'businessCategory'],
  ['2.5.4.17', 'postalCode'],
  ['2.5.4.42', 'GN'],
  ['2.5.4.43', 'initials'],
  ['2.5.4.44', 'generationQualifier'],
  ['2.5.4.46', 'dnQualifier'],
  ['2.5.4.65', 'pseudonym'],
  ['2.5.4.97', 'organizationIdentifier'],
  ['0.9.2342.19200300.100.1.1', 'UID'],
  ['0.9.2342.19200300.100.1.25', 'DC'],
  ['1.2.840.113549.1.9.1', 'emailAddress'],
])

/** One piece of a text: a character, or a byte that is part of none. */
type Unit = { readonly character: number } | { readonly byte: number }

type Escape = (unit: Unit) => string

/** Reads a Name (RFC 5280 §4.1.2.4). */
export function readName(reader: DerReader): DistinguishedName {
  const names = reader.enter(0x30)
  const result: Attribute[][] = []
  while (!names.done) {
    const set = names.enter(0x31)
    const rdn: Attribute[] = []
    while (!set.done) {
      const pair = set.enter(0x30)
      rdn.push({ type: readOid(pair.read(0x06).content), value: pair.read() })
      pair.end()
    }
    if (rdn.length === 0) throw new MalformedCertificate('an empty RDN')
    result.push(rdn)
  }
  return result
}

/** RFC 4514: most specific first, `CN=gate,O=Example`. */
export function toRfc4514(name: DistinguishedName): string {
  const text = new BoundedText(MAX_NAME)
  name.toReversed().forEach((rdn, index) => {
    rdn.forEach((attribute, second) => {
      text.add(second > 0 ? '+' : index > 0 ? ',' : '')
      const label = attributeTypes.get(attribute.type)
      text.add(`${label ?? attribute.type}=`)
      const units = label === undefined ? undefined : decode(attribute.value)
      if (units === undefined) addHex(text, attribute.value)
      else addDnValue(text, units)
    })
  })
  return text.toString()
}

/** `/C=NL/O=Example/CN=gate`, in the order of the certificate. */
export function toOneline(name: DistinguishedName): string {
  const text = new BoundedText(MAX_NAME)
  for (const attribute of name.flat()) {
    text.add(`/${attributeTypes.get(attribute.type) ?? attribute.type}=`)
    const units = decode(attribute.value)
    if (units === undefined) addHex(text, attribute.value)
    else addUnits(text, units, escapeOneline)
  }
  return text.toString()
}

/** The last, most specific CN; '' when there is none. */
export function commonName(name: DistinguishedName): string {
  const attribute = name.flat().findLast(({ type }) => type === COMMON_NAME)
  if (attribute === undefined) return ''
  const text = new BoundedText(MAX_COMMON_NAME)
  const units = decode(attribute.value)
  if (units === undefined) addHex(text, attribute.value)
  else addUnits(text, units, escapeText)
  return text.toString()
}

/**
 * Bytes from outside (a SAN, an SNI) as one word of printable ASCII: spaces and every byte above 0x7e are escaped too,
 * so that words can be joined by spaces.
 */
export function escapeWord(bytes: Buffer): string {
  const text = new BoundedText(MAX_TOKEN)
  for (const octet of bytes) {
    if (text.full) break
    if (octet === 0x5c) text.add('\\\\')
    else text.add(octet > 0x20 && octet < 0x7f ? String.fromCharCode(octet) : backslashHex(octet))
  }
  return text.toString()
}

/** Gathers whole pieces until the bound is met; a text that did not fit ends in the mark. */
class BoundedText {
  readonly #limit: number
  #text = ''
  #full = false

  constructor(limit: number) {
    this.#limit = limit
  }

  get full(): boolean {
    return this.#full
  }

  add(piece: string): void {
    if (this.#full) return
    if (this.#text.length + piece.length > this.#limit - CUT.length) {
      this.#full = true
      this.#text += CUT
    } else {
      this.#text += piece
    }
  }

  toString(): string {
    return this.#text
  }
}

function addUnits(text: BoundedText, units: Iterable<Unit>, escape: Escape): void {
  for (const unit of units) {
    if (text.full) return
    text.add(escape(unit))
  }
}

/** RFC 4514 §2.4: a leading `#` or space and a final space are escaped as well. */
function addDnValue(text: BoundedText, units: Iterable<Unit>): void {
  let first = true
  let spaces = 0
  for (const unit of units) {
    if (text.full) return
    const character = 'character' in unit ? unit.character : -1
    if (character === 0x20 && !first) {
      spaces += 1
      continue
    }
    for (; spaces > 0 && !text.full; spaces -= 1) text.add(' ')
    if (first && character === 0x20) text.add('\\20')
    else if (first && character === 0x23) text.add('\\#')
    else text.add(escapeDn(unit))
    first = false
  }
  for (; spaces > 1 && !text.full; spaces -= 1) text.add(' ')
  if (spaces > 0) text.add('\\20')
}

/** A value that is no string: `#` and its DER in hex (RFC 4514 §2.4). */
function addHex(text: BoundedText, value: Element): void {
  text.add('#')
  for (const octet of value.raw.subarray(0, MAX_NAME)) {
    if (text.full) return
    text.add(octet.toString(16).padStart(2, '0'))
  }
}

function escapeText(unit: Unit): string {
  if ('byte' in unit) return backslashHex(unit.byte)
  if (unit.character === 0x5c) return '\\\\'
  return isPlain(unit.character)
    ? utf8(unit.character)
    : [...Buffer.from(utf8(unit.character), 'latin1')].map(backslashHex).join('')
}

function escapeDn(unit: Unit): string {
  if (
    'character' in unit &&
    unit.character < 0x80 &&
    '"+,;<>'.includes(String.fromCharCode(unit.character))
  ) {
    return `\\${String.fromCharCode(unit.character)}`
  }
  return escapeText(unit)
}

function escapeOneline(unit: Unit): string {
  const bytes = 'byte' in unit ? [unit.byte] : [...Buffer.from(utf8(unit.character), 'latin1')]
  return bytes
    .map((octet) => {
      const plain = octet >= 0x20 && octet < 0x7f && octet !== 0x2f && octet !== 0x3d && octet !== 0x5c
      return plain ? String.fromCharCode(octet) : `\\x${octet.toString(16).toUpperCase().padStart(2, '0')}`
    })
    .join('')
}

function backslashHex(octet: number): string {
  return `\\${octet.toString(16).toUpperCase().padStart(2, '0')}`
}

/** Visible, or the ordinary space: no control, format, separator, private or unassigned character. */
function isPlain(character: number): boolean {
  if (character < 0x7f) return character >= 0x20
  return !/[\p{C}\p{Z}]/u.test(String.fromCodePoint(character))
}

/** UTF-8 bytes in latin1 form. */
function utf8(character: number): string {
  return Buffer.from(String.fromCodePoint(character), 'utf8').toString('latin1')
}

/** The text of a directory string, undefined when the value is not one. */
function decode(value: Element): Iterable<Unit> | undefined {
  const { tag, content } = value
  switch (tag) {
    case 0x0c:
    // NumericString, PrintableString, IA5String, VisibleString: what is beyond ASCII there is UTF-8 in the wrong place
    case 0x12:
    case 0x13:
    case 0x16:
    case 0x1a:
      return utf8Units(content)
    // TeletexString: read as Latin-1, as everybody does
    case 0x14:
      return Array.from(content.subarray(0, MAX_NAME + 2), (character) => ({ character }))
    // BMPString and UniversalString
    case 0x1e:
      return content.length % 2 === 0 ? characters(wide(content, 2)) : undefined
    case 0x1c:
      return content.length % 4 === 0 ? characters(wide(content, 4)) : undefined
    default:
      return undefined
  }
}

/** The codes of a text that is not cut, and more than enough of one that is. */
function wide(content: Buffer, width: 2 | 4): number[] {
  const most = content.subarray(0, width * (MAX_NAME + 2))
  const codes = Array.from({ length: most.length / width }, (_, at) => most.readUIntBE(at * width, width))
  // the half of two that was cut off
  const isHalf = most.length < content.length && ((codes.at(-1) ?? 0) & 0x1ffc00) === 0xd800
  return isHalf ? codes.slice(0, -1) : codes
}

/** Undefined when one of the codes is no character. Two surrogates are one, as Windows writes them. */
function characters(codes: readonly number[]): Unit[] | undefined {
  if (codes.some((code) => code > 0x10ffff)) return undefined
  const text = codes.map((code) => String.fromCodePoint(code)).join('')
  return text.isWellFormed() ? Array.from(text, (one) => ({ character: one.codePointAt(0) ?? 0 })) : undefined
}

/** UTF-8 by RFC 3629; each byte that is part of no valid character comes alone. */
function* utf8Units(content: Buffer): Generator<Unit> {
  let at = 0
  while (at < content.length) {
    const lead = content[at] ?? 0
    const length =
      lead < 0x80
        ? 1
        : lead >= 0xc2 && lead < 0xe0
          ? 2
          : lead >= 0xe0 && lead < 0xf0
            ? 3
            : lead >= 0xf0 && lead < 0xf5
              ? 4
              : 0
    const character = length === 0 ? undefined : sequenceOf(content.subarray(at, at + length), length)
    if (character === undefined) {
      yield { byte: lead }
      at += 1
    } else {
      yield { character }
      at += length
    }
  }
}

function sequenceOf(octets: Buffer, length: number): number | undefined {
  const [lead = 0, ...rest] = octets
  if (octets.length < length || rest.some((octet) => (octet & 0xc0) !== 0x80)) return undefined
  if (length === 1) return lead
  const character = rest.reduce((value, octet) => value * 64 + (octet & 0x3f), lead & (0xff >> (length + 1)))
  const smallest = length === 2 ? 0x80 : length === 3 ? 0x800 : 0x10000
  const surrogate = character >= 0xd800 && character <= 0xdfff
  return character < smallest || character > 0x10ffff || surrogate ? undefined : character
}
