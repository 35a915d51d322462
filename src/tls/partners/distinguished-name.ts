/**
 * A distinguished name as an operator writes it (RFC 4514) → the one text that stands for it in `CertificateFacts`.
 *
 * Names are compared as such texts, which no two different names share (`names.ts`): character by character, case and
 * blanks included, with the types of their attributes, in their order. Only how a string is encoded in DER makes no
 * difference (PrintableString or UTF8String): RFC 4514 has no way to write it. Never a pattern.
 */

import { DerReader, type Element, MalformedCertificate } from '../der.ts'
import { type Attribute, attributeTypes, toRfc4514 } from '../names.ts'

/** What is written is no such name. The message says why, without the name. */
export class NameSyntaxError extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'NameSyntaxError'
  }
}

export interface WrittenName {
  /** as in `CertificateFacts`: a byte string */
  readonly canonical: string
  /** it begins with a country or the like and ends with a CN: the order of openssl's output, the wrong way round */
  readonly reversed: boolean
}

/** @throws NameSyntaxError */
export function readWrittenName(text: string): WrittenName {
  if (text.startsWith('/')) {
    throw new NameSyntaxError(
      'is in the form of openssl’s oneline; write "CN=…,O=…", the most specific first',
    )
  }
  const rdns = split(Buffer.from(text, 'utf8').toString('latin1'), ',').map((rdn) =>
    split(rdn, '+').map(readAttribute),
  )
  const canonical = toRfc4514(rdns.toReversed())
  if (canonical.endsWith('\\...')) throw new NameSyntaxError('is too long')
  const [first, last] = [rdns[0], rdns.at(-1)].map((rdn) => rdn?.[0]?.type)
  const reversed = rdns.length > 1 && last === COMMON_NAME && BROAD.includes(first ?? '')
  return { canonical, reversed }
}

const COMMON_NAME = '2.5.4.3'
/** C, L, ST, O, DC */
const BROAD = ['2.5.4.6', '2.5.4.7', '2.5.4.8', '2.5.4.10', '0.9.2342.19200300.100.1.25']

/** Parts between separators that are not escaped. */
function split(text: string, separator: string): string[] {
  const parts: string[] = ['']
  for (let at = 0; at < text.length; at += 1) {
    const char = text.charAt(at)
    if (char === separator) parts.push('')
    else {
      const whole = char === '\\' ? text.slice(at, at + 2) : char
      parts[parts.length - 1] += whole
      at += whole.length - 1
    }
  }
  return parts
}

function readAttribute(text: string): Attribute {
  const [, keyword = '', written = ''] = /^ *([A-Za-z][A-Za-z0-9-]*|\d+(?:\.\d+)+) *=(.*)$/s.exec(text) ?? []
  if (keyword === '') throw new NameSyntaxError('has a part that is not "type=value"')
  const known = [...attributeTypes].find(([, short]) => short.toLowerCase() === keyword.toLowerCase())?.[0]
  const type = known ?? keyword
  if (!/^\d/.test(type))
    throw new NameSyntaxError(`has the type "${keyword}", which is not known; write its number`)
  const value = written.replace(/^ +/, '')
  if (value.startsWith('#')) return { type, value: readHex(value.trimEnd().slice(1)) }
  // without a word for the type it is shown, and so compared, as hex
  if (!attributeTypes.has(type))
    throw new NameSyntaxError(`needs the value of ${type} as "#" and its DER in hex`)
  return { type, value: utf8String(unescape(value)) }
}

function readHex(hex: string): Element {
  try {
    if (!/^(?:[0-9a-f]{2})+$/i.test(hex)) throw new MalformedCertificate('no hex')
    const reader = DerReader.of(Buffer.from(hex, 'hex'), 1)
    const element = reader.read()
    reader.end()
    return element
  } catch (error) {
    if (error instanceof MalformedCertificate)
      throw new NameSyntaxError('has a "#" value that is not DER in hex')
    throw error
  }
}

/** RFC 4514 §3: a backslash, then a special character or two hexadecimal digits. Blanks at the end need one. */
function unescape(text: string): string {
  let value = ''
  let end = 0
  for (let at = 0; at < text.length; at += 1) {
    const char = text.charAt(at)
    if (char === '\\') {
      const [escape, hex, special] =
        /^\\(?:([0-9A-Fa-f]{2})|([ "#+,;<=>\\]))/.exec(text.slice(at, at + 3)) ?? []
      if (escape === undefined) throw new NameSyntaxError('has a backslash before what needs none')
      value += hex === undefined ? special : String.fromCharCode(Number.parseInt(hex, 16))
      at += escape.length - 1
      end = value.length
    } else {
      if ('";<>'.includes(char)) throw new NameSyntaxError(`has ${char} without a backslash before it`)
      value += char
      if (char !== ' ') end = value.length
    }
  }
  if (end === 0) throw new NameSyntaxError('has a part without a value')
  return value.slice(0, end)
}

/** How a value reads that is one; only its content is looked at. */
function utf8String(value: string): Element {
  const content = Buffer.from(value, 'latin1')
  return { tag: 0x0c, content, raw: content }
}
