/**
 * IP addresses and CIDR blocks, read strictly (RFC 4291 §2.2, RFC 4632; dotted decimal without leading zeros).
 *
 * An IPv4 address mapped into IPv6 (`::ffff:a.b.c.d`) is that IPv4 address and a zone id is dropped, so that a
 * dual-stack socket's clients match the same blocks as any other. '' stands for a client on a UNIX socket, which
 * matches as loopback. What is not an address is `undefined`, never an exception.
 */

import type { Cidr } from './settings.ts'

export interface Address {
  readonly family: 4 | 6
  /** 4 or 16 */
  readonly bytes: Uint8Array
}

/** The one spelling of an address (RFC 5952), or undefined when the text is not an address. */
export function normaliseAddress(text: string): string | undefined {
  // dotted decimal is read so strictly that it has one spelling
  if (!text.includes(':')) return parseIPv4(text) && text
  const address = parseAddress(text)
  return address && formatAddress(address)
}

export function parseAddress(text: string): Address | undefined {
  if (!text.includes(':')) {
    const bytes = parseIPv4(text)
    return bytes && { family: 4, bytes: new Uint8Array(bytes) }
  }
  const zone = text.indexOf('%')
  if (zone === text.length - 1) return undefined
  const bytes = parseIPv6(zone === -1 ? text : text.slice(0, zone))
  if (bytes === undefined) return undefined
  return isMapped(bytes) ? { family: 4, bytes: bytes.slice(12) } : { family: 6, bytes }
}

export function formatAddress({ family, bytes }: Address): string {
  return family === 4 ? bytes.join('.') : formatIPv6(bytes)
}

/**
 * `a.b.c.d`, `a.b.c.d/n`, `v6` or `v6/n`. Bits beyond the prefix are cleared; `beyond` says whether there were any.
 * A block inside `::ffff:0:0/96` is the IPv4 block.
 */
export function parseCidr(text: string): (Cidr & { readonly beyond: boolean }) | undefined {
  const slash = text.indexOf('/')
  const host = slash === -1 ? text : text.slice(0, slash)
  if (host.includes('%')) return undefined
  const raw = host.includes(':') ? parseIPv6(host) : parseIPv4(host)
  if (raw === undefined) return undefined
  let bytes = Uint8Array.from(raw)
  let prefix = bytes.length * 8
  if (slash !== -1) {
    const digits = text.slice(slash + 1)
    if (!/^(?:0|[1-9]\d{0,2})$/.test(digits) || Number(digits) > prefix) return undefined
    prefix = Number(digits)
  }
  if (bytes.length === 16 && prefix >= 96 && isMapped(bytes)) {
    bytes = bytes.slice(12)
    prefix -= 96
  }
  const beyond = clearBeyond(bytes, prefix)
  return { family: bytes.length === 4 ? 4 : 6, bytes, prefix, text, beyond }
}

/** Whether a block holds an address: a normalised one, or '' for a UNIX client. What is not an address is in no block. */
export function cidrContains(cidr: Cidr, address: string): boolean {
  if (address === '') return loopback.some((each) => contains(cidr, each))
  const parsed = parseAddress(address)
  return parsed !== undefined && contains(cidr, parsed)
}

/** `10.0.0.0/8`: one spelling for each block. */
export function formatCidr(cidr: Cidr): string {
  return `${formatAddress(cidr)}/${cidr.prefix}`
}

/** What a client on a UNIX socket matches as. */
export const loopback: readonly Address[] = [
  { family: 4, bytes: Uint8Array.of(127, 0, 0, 1) },
  { family: 6, bytes: Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1) },
]

function contains(cidr: Cidr, { family, bytes }: Address): boolean {
  if (cidr.family !== family) return false
  const whole = cidr.prefix >> 3
  for (let index = 0; index < whole; index += 1) {
    if (cidr.bytes[index] !== bytes[index]) return false
  }
  const rest = cidr.prefix & 7
  return rest === 0 || ((cidr.bytes[whole] ?? 0) ^ (bytes[whole] ?? 0)) >> (8 - rest) === 0
}

function parseIPv4(text: string): number[] | undefined {
  const parts: number[] = []
  let part = -1
  for (let at = 0; at <= text.length; at++) {
    const code = at === text.length ? DOT : text.charCodeAt(at)
    if (code === DOT) {
      if (part < 0 || parts.length === 4) return undefined
      parts.push(part)
      part = -1
    } else {
      // no digit may follow a leading zero
      if (code < ZERO || code > NINE || part === 0) return undefined
      part = Math.max(part, 0) * 10 + code - ZERO
      if (part > 255) return undefined
    }
  }
  return parts.length === 4 ? parts : undefined
}

const DOT = 0x2e
const ZERO = 0x30
const NINE = 0x39

function parseIPv6(text: string): Uint8Array | undefined {
  const halves = text.split('::')
  if (halves.length > 2) return undefined
  const groups = halves.map((half) => (half === '' ? [] : half.split(':')))
  const last = groups.at(-1) ?? []
  const dotted = last.at(-1)
  if (dotted?.includes('.')) {
    const tail = parseIPv4(dotted)
    if (tail === undefined) return undefined
    const [a = 0, b = 0, c = 0, d = 0] = tail
    last.splice(-1, 1, ((a << 8) | b).toString(16), ((c << 8) | d).toString(16))
  }
  const [head = [], tail] = groups
  const count = head.length + (tail?.length ?? 0)
  // `::` stands for at least one group (RFC 4291 §2.2)
  if (tail === undefined ? count !== 8 : count > 7) return undefined
  const all = [...head, ...Array.from({ length: 8 - count }, () => '0'), ...(tail ?? [])]
  if (!all.every((group) => /^[0-9a-f]{1,4}$/i.test(group))) return undefined
  return Uint8Array.from(
    all.flatMap((group) => [Number.parseInt(group, 16) >> 8, Number.parseInt(group, 16) & 255]),
  )
}

/** Lower case, no leading zeros, the longest run of at least two zero groups as `::`, the first of equals (RFC 5952). */
function formatIPv6(bytes: Uint8Array): string {
  const groups = Array.from({ length: 8 }, (_, i) => ((bytes[2 * i] ?? 0) << 8) | (bytes[2 * i + 1] ?? 0))
  let start = -1
  let length = 1
  for (let from = 0; from < 8; from += 1) {
    let end = from
    while (end < 8 && groups[end] === 0) end += 1
    if (end - from > length) {
      start = from
      length = end - from
    }
  }
  const text = groups.map((group) => group.toString(16))
  if (start === -1) return text.join(':')
  return `${text.slice(0, start).join(':')}::${text.slice(start + length).join(':')}`
}

function isMapped(bytes: Uint8Array): boolean {
  return bytes[10] === 255 && bytes[11] === 255 && bytes.subarray(0, 10).every((byte) => byte === 0)
}

function clearBeyond(bytes: Uint8Array, prefix: number): boolean {
  let beyond = false
  for (let index = prefix >> 3; index < bytes.length; index += 1) {
    const keep = index === prefix >> 3 ? (0xff00 >> (prefix & 7)) & 0xff : 0
    const byte = bytes[index] ?? 0
    if ((byte & ~keep) !== 0) beyond = true
    bytes[index] = byte & keep
  }
  return beyond
}
