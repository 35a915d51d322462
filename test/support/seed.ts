/**
 * The seed of the tests that make up their own cases: a constant, so that two runs on the same sources are the same run.
 * `POSTERN_SEED` chooses another: a number, or `random`. Whatever uses it says on failure which one it was.
 */

const LARGEST = 2 ** 31

/** @throws RangeError when `POSTERN_SEED` is neither `random` nor a number. */
export function chosenSeed(usual: number): number {
  const [given] = (process.env['POSTERN_SEED'] ?? '').split(':')
  if (given === undefined || given === '') return usual
  if (given === 'random') return randomSeed()
  if (!/^-?\d{1,10}$/.test(given))
    throw new RangeError(`POSTERN_SEED is "${given}", neither a number nor "random"`)
  return Number(given)
}

export function randomSeed(): number {
  return Math.floor(Math.random() * LARGEST)
}
