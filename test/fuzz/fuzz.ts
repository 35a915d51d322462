/** What the fuzz tests share: octets that mean something, and the ways in which they can arrive. */

import * as fc from 'fast-check'

/** Octets that look like mail just enough to reach the odd corners: made of pieces that mean something. */
export function octets(pieces: readonly string[], maxLength = 24): fc.Arbitrary<Buffer> {
  const piece = fc.oneof(
    { weight: 6, arbitrary: fc.constantFrom(...pieces) },
    {
      weight: 1,
      arbitrary: fc.uint8Array({ maxLength: 6 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
    },
  )
  return fc.array(piece, { maxLength, size: 'max' }).map((parts) => Buffer.from(parts.join(''), 'latin1'))
}

/**
 * Ways to cut the same octets into chunks: whole, in two at every position, octet by octet. Empty chunks are left out: a
 * socket never gives one.
 */
export function* arrivals(whole: Buffer): Generator<Buffer[]> {
  yield [whole]
  for (let at = 1; at < whole.length; at++) yield [whole.subarray(0, at), whole.subarray(at)]
  yield [...whole].map((octet) => Buffer.of(octet))
}
