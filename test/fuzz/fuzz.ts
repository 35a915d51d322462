/**
 * What the fuzz tests share: a time budget, and the ways in which octets can arrive.
 *
 * POSTERN_FUZZ_SECONDS is the time that each property may take. Without it a property takes at most half a second and
 * stops earlier, after 1,000 runs; with it, as in `npm run test:long`, it goes on until the time is over.
 */

import * as fc from 'fast-check'

export function fuzz<T extends unknown[]>(property: fc.IProperty<T>): void {
  fc.assert(property, budget())
}

/** The same for what has to be waited for. */
export async function fuzzAsync<T extends unknown[]>(property: fc.IAsyncProperty<T>): Promise<void> {
  await fc.assert(property, budget())
}

function budget(): { interruptAfterTimeLimit: number; markInterruptAsFailure: boolean; numRuns: number } {
  const seconds = process.env['POSTERN_FUZZ_SECONDS']
  return {
    interruptAfterTimeLimit: Number(seconds ?? 0.5) * 1000,
    markInterruptAsFailure: false,
    numRuns: seconds === undefined ? 1_000 : Number.MAX_SAFE_INTEGER,
  }
}

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
