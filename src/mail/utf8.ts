/**
 * UTF-8 in byte strings, as international addresses have it (RFC 6531, RFC 6532, RFC 6533).
 *
 * A text counts as UTF-8 only when it is well-formed and shows what it holds: controls beyond ASCII, line and paragraph
 * separators, and marks that turn the direction of writing are refused, because they end lines or disguise an address
 * wherever somebody reads it.
 */

import { Buffer, isUtf8 } from 'node:buffer'

const UNFIT = /[\u0080-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb]/

/** Whether a byte string has octets beyond ASCII. */
export function isNonAscii(text: string): boolean {
  return /[\x80-\xff]/.test(text)
}

/** Whether a byte string is UTF-8 that may stand in an address. ASCII is. */
export function isUtf8Text(text: string): boolean {
  if (!/[^\0-\x7f]/.test(text)) return true
  // characters beyond an octet are no byte string, whatever is left of them when they are cut to one
  if (/[^\0-\xff]/.test(text)) return false
  const bytes = Buffer.from(text, 'latin1')
  return isUtf8(bytes) && !UNFIT.test(bytes.toString('utf8'))
}

/** Octets → characters. */
export function fromUtf8(bytes: string): string {
  return Buffer.from(bytes, 'latin1').toString('utf8')
}

/** Characters → octets. */
export function toUtf8(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1')
}

/** An address in ASCII, as a report has it that everybody can read: `\x{E9}` stands for a character (RFC 6533 §3). */
export function encodeUtf8Address(address: string): string {
  return Array.from(fromUtf8(address), (character) =>
    /^[!-*,-<>-[\]-~]$/.test(character)
      ? character
      : `\\x{${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(2, '0')}}`,
  ).join('')
}

/** Its inverse, which also takes UTF-8 as it is. undefined: it is no such form. */
export function decodeUtf8Address(text: string): string | undefined {
  if (!/^(?:[!-*,-<>-[\]-~\x80-\xff]|\\x\{[0-9A-Fa-f]{1,6}\})*$/.test(text)) return undefined
  const points: number[] = []
  const decoded = fromUtf8(text).replace(/\\x\{([0-9A-Fa-f]+)\}/g, (_, hex: string) => {
    const point = Number.parseInt(hex, 16)
    points.push(point)
    return point > 0x10ffff ? '' : String.fromCodePoint(point)
  })
  const bad = points.some((point) => point < 0x20 || point === 0x7f || point > 0x10ffff || isSurrogate(point))
  const address = toUtf8(decoded)
  return bad || !isUtf8Text(text) || !isUtf8Text(address) ? undefined : address
}

function isSurrogate(point: number): boolean {
  return point >= 0xd800 && point <= 0xdfff
}
