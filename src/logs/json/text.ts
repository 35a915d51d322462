/**
 * Values of a line of JSON (RFC 8259), and the line itself: printable ASCII throughout, so that whatever somebody has
 * written can neither end the line, nor the JSON, nor do anything to a terminal.
 *
 * A byte string becomes the text that it encodes in UTF-8; an octet that is part of none is written as `\xe9`, as control
 * characters are in the other logs. Long text is cut, so that no line grows without end.
 */

import { Buffer, isUtf8 } from 'node:buffer'
import { asBytes } from '../escape.ts'

export type JsonValue =
  | string
  | number
  | boolean
  | readonly JsonValue[]
  | { readonly [key: string]: JsonValue }

/** octets that a text takes in a line at most; what is cut off is shown as `…` */
export const MAX_TEXT = 2048
/** the same of what an operator does: a line of the console fits, so that nobody hides its end */
export const MAX_DEED = 20_480

/** The text of a byte string. What is no byte string (a file name in an error, say) is text already. */
export function text(bytes: string, most = MAX_TEXT): string {
  // one octet takes one octet of the line at least
  const start = bytes.length > most ? bytes.slice(0, most + 4) : bytes
  return cut(PLAIN.test(start) ? start : decode(asBytes(start)), most)
}

/** Unicode text; half a surrogate pair becomes U+FFFD. */
export function unicode(value: string, most = MAX_TEXT): string {
  return cut(value.slice(0, most + 4).toWellFormed(), most)
}

/** A name of the configuration: Unicode text, or the octets of it where a script has chosen it. */
export function nameText(value: string): string {
  const isOctets = !PLAIN.test(value) && OCTETS.test(value) && isUtf8(Buffer.from(value, 'latin1'))
  return isOctets ? text(value) : unicode(value)
}

/** RFC 3339 in UTC with milliseconds. Certificates may have years that JavaScript can tell and some that it cannot. */
export function time(milliseconds: number | undefined): string | undefined {
  if (milliseconds === undefined || !(Math.abs(milliseconds) <= LAST_DATE)) return undefined
  return new Date(milliseconds).toISOString()
}

/** JSON in printable ASCII: what is not, JSON can write with escapes. */
export function asciiJson(value: JsonValue): string {
  // most values need nothing
  if (typeof value === 'string' && SIMPLE.test(value)) return `"${value}"`
  if (typeof value === 'number' && Number.isFinite(value)) return String(value)
  return JSON.stringify(value).replace(BEYOND, escaped)
}

/** octets that a text takes in a line, without its quotes */
export function octetsOf(value: string): number {
  return asciiJson(value).length - 2
}

function decode(octets: string): string {
  return octets.replace(UTF8, (found, sequences: string | undefined) =>
    sequences === undefined
      ? `\\x${found.charCodeAt(0).toString(16)}`
      : Buffer.from(sequences, 'latin1').toString('utf8'),
  )
}

function cut(value: string, most: number): string {
  if (value.length * LONGEST_ESCAPE <= most || octetsOf(value) <= most) return value
  let room = most - LONGEST_ESCAPE
  let kept = 0
  for (const character of value) {
    room -= octetsOf(character)
    if (room < 0) break
    kept += character.length
  }
  return `${value.slice(0, kept)}…`
}

function escaped(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`
}

/** `\u2026` */
const LONGEST_ESCAPE = 6
const LAST_DATE = 8.64e15
const PLAIN = /^[ -~]*$/
// oxlint-disable-next-line no-control-regex -- every octet there is
const OCTETS = /^[\0-\xff]*$/
/** printable ASCII without the quotation mark and the backslash */
const SIMPLE = /^[ !#-[\]-~]*$/
const BEYOND = /[\u007f-\uffff]/g
/** sequences of RFC 3629 §4 in brackets, or an octet that is part of none */
const UTF8 =
  /((?:[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]{2}|\xed[\x80-\x9f][\x80-\xbf]|\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}|\xf4[\x80-\x8f][\x80-\xbf]{2})+)|[\x80-\xff]/g
