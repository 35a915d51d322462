/** Ways in which DER that was right goes wrong: octets changed, cut, doubled, nested, with lengths that lie. */

import * as fc from 'fast-check'

type Change =
  | { readonly kind: 'set'; readonly at: number; readonly octet: number }
  | { readonly kind: 'cut' | 'double'; readonly at: number; readonly count: number }
  | { readonly kind: 'insert'; readonly at: number; readonly octets: Uint8Array }
  | { readonly kind: 'truncate'; readonly at: number }
  | { readonly kind: 'nest'; readonly tag: number; readonly times: number }

const at = fc.nat({ max: 65_535 })
const octet = fc.oneof(
  fc.nat({ max: 255 }),
  fc.constantFrom(0x00, 0x30, 0x31, 0x7f, 0x80, 0x84, 0xa0, 0xa1, 0xff),
)
const change: fc.Arbitrary<Change> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('set' as const), at, octet }) },
  fc.record({ kind: fc.constantFrom('cut' as const, 'double' as const), at, count: fc.nat({ max: 40 }) }),
  fc.record({
    kind: fc.constant('insert' as const),
    at,
    octets: fc.oneof(
      fc.uint8Array({ maxLength: 12 }),
      // lengths that are huge, indefinite or not minimal
      fc
        .constantFrom('3084ffffffff', '3080', '308100', '30820001', '020100', '1f8101')
        .map((hex) => Buffer.from(hex, 'hex')),
    ),
  }),
  fc.record({ kind: fc.constant('truncate' as const), at }),
  fc.record({
    kind: fc.constant('nest' as const),
    tag: fc.constantFrom(0x30, 0x31, 0xa0, 0x04),
    times: fc.nat({ max: 40 }),
  }),
)

/** One of these, changed. */
export function mutated(seeds: readonly Buffer[]): fc.Arbitrary<Buffer> {
  return fc
    .tuple(fc.constantFrom(...seeds), fc.array(change, { minLength: 1, maxLength: 6 }))
    .map(([seed, changes]) => changes.reduce(apply, seed))
}

function apply(der: Buffer, step: Change): Buffer {
  const place = 'at' in step && der.length > 0 ? step.at % der.length : 0
  switch (step.kind) {
    case 'set': {
      const copy = Buffer.from(der)
      if (copy.length > 0) copy[place] = step.octet
      return copy
    }
    case 'cut':
      return Buffer.concat([der.subarray(0, place), der.subarray(place + step.count)])
    case 'double':
      return Buffer.concat([der.subarray(0, place + step.count), der.subarray(place)])
    case 'insert':
      return Buffer.concat([der.subarray(0, place), step.octets, der.subarray(place)])
    case 'truncate':
      return der.subarray(0, place)
    default:
      return Array.from({ length: step.times }).reduce<Buffer>((inner) => wrap(step.tag, inner), der)
  }
}

function wrap(tag: number, content: Buffer): Buffer {
  const length = Buffer.alloc(4)
  length.writeUInt32BE(content.length)
  const minimal = content.length < 128 ? Buffer.of(content.length) : trimmed(length)
  return Buffer.concat([Buffer.of(tag), minimal, content])
}

function trimmed(length: Buffer): Buffer {
  const octets = length.subarray(length.findIndex((each) => each !== 0))
  return Buffer.concat([Buffer.of(0x80 | octets.length), octets])
}
