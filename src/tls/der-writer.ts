/**
 * Writes DER (X.690 §10): the few types that certificates and revocation lists are made of.
 *
 * It writes what it is told. Names with hostile bytes or odd string types can be made on purpose: the tests need them.
 */

export const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  oid: 0x06,
  enumerated: 0x0a,
  utf8String: 0x0c,
  printableString: 0x13,
  t61String: 0x14,
  ia5String: 0x16,
  utcTime: 0x17,
  generalizedTime: 0x18,
  universalString: 0x1c,
  bmpString: 0x1e,
  sequence: 0x30,
  set: 0x31,
} as const

/** One element: tag, minimal length, content. */
export function element(tag: number, ...content: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(content)
  return Buffer.concat([Buffer.of(tag), lengthOctets(body.length), body])
}

export function sequence(...content: readonly Uint8Array[]): Buffer {
  return element(TAG.sequence, ...content)
}

/** A context-specific constructed element `[n]`. */
export function explicit(n: number, ...content: readonly Uint8Array[]): Buffer {
  return element(0xa0 | n, ...content)
}

export function integer(value: bigint): Buffer {
  if (value < 0n) throw new RangeError('only integers from 0 are written')
  let hex = value.toString(16)
  if (hex.length % 2 === 1) hex = `0${hex}`
  const bytes = Buffer.from(hex, 'hex')
  const needsSign = ((bytes[0] ?? 0) & 0x80) !== 0
  return element(TAG.integer, needsSign ? Buffer.concat([Buffer.of(0), bytes]) : bytes)
}

export function oid(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number)
  return element(TAG.oid, Buffer.from([first * 40 + second, ...rest].flatMap(base128)))
}

export function octetString(...content: readonly Uint8Array[]): Buffer {
  return element(TAG.octetString, ...content)
}

export function bitString(bytes: Uint8Array, unusedBits = 0): Buffer {
  return element(TAG.bitString, Buffer.of(unusedBits), bytes)
}

export function boolean(value: boolean): Buffer {
  return element(TAG.boolean, Buffer.of(value ? 0xff : 0))
}

/** UTCTime through 2049, GeneralizedTime after it and before 1950 (RFC 5280 §4.1.2.5). Whole seconds. */
export function time(milliseconds: number): Buffer {
  const digits = new Date(milliseconds).toISOString().replace(/[-:T]|\.\d+/g, '')
  const year = Number(digits.slice(0, 4))
  if (year >= 1950 && year < 2050) return element(TAG.utcTime, Buffer.from(digits.slice(2), 'latin1'))
  return element(TAG.generalizedTime, Buffer.from(digits, 'latin1'))
}

function lengthOctets(length: number): Buffer {
  if (length < 0x80) return Buffer.of(length)
  const octets: number[] = []
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) octets.unshift(rest % 256)
  return Buffer.from([0x80 | octets.length, ...octets])
}

function base128(value: number): number[] {
  const octets = [value & 0x7f]
  for (let rest = value >>> 7; rest > 0; rest >>>= 7) octets.unshift((rest & 0x7f) | 0x80)
  return octets
}
