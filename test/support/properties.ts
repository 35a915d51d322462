/**
 * What every property of the repository is held to: the only place that calls `fc.assert`. And text of any kind for them.
 *
 * Without further ado a property is tried a given number of times with the cases of a fixed seed: the same cases on each
 * run and on each machine, whatever its speed. `POSTERN_SEED` chooses others (seed.ts), and `POSTERN_FUZZ_TIMES=5` tries five
 * times as many, as `npm run test:long` does.
 *
 * `POSTERN_FUZZ_SECONDS=60` is for the search (`npm run test:fuzz`): each property is tried for a minute, with a seed of its
 * own that nobody chose, and says how often it was.
 *
 * A counterexample comes with the `POSTERN_SEED=<seed>:<path>` that brings this one case back, for the one test.
 */

import * as fc from 'fast-check'
import { chosenSeed, randomSeed } from './seed.ts'

const SEED = 5321
const RUNS = 300

interface Amount {
  /** how often it is tried, 300 times unless told */
  readonly numRuns?: number
}

/** @throws Error with the smallest counterexample that was found. */
export function holds<T extends unknown[]>(property: fc.IProperty<T>, { numRuns = RUNS }: Amount = {}): void {
  fc.assert(property, parameters<T>(numRuns))
}

/** The same for what has to be waited for. */
export async function holdsAsync<T extends unknown[]>(
  property: fc.IAsyncProperty<T>,
  { numRuns = RUNS }: Amount = {},
): Promise<void> {
  await fc.assert(property, parameters<T>(numRuns))
}

const character = fc
  .oneof(
    { weight: 4, arbitrary: fc.integer({ min: 0x20, max: 0x7e }) },
    { weight: 2, arbitrary: fc.integer({ min: 0, max: 0xff }) },
    // halves of surrogate pairs among them
    { weight: 2, arbitrary: fc.integer({ min: 0x80, max: 0xffff }) },
    { weight: 1, arbitrary: fc.integer({ min: 0x10000, max: 0x10ffff }) },
  )
  .map((code) => String.fromCodePoint(code))

/** Text of any characters. fast-check's own, `unit: 'binary'`, takes a second in each process for a table of them. */
export function anyText(constraints: fc.StringSharedConstraints = {}): fc.Arbitrary<string> {
  return fc.string({ unit: character, ...constraints })
}

function parameters<T>(numRuns: number): fc.Parameters<T> {
  const {
    POSTERN_FUZZ_SECONDS: seconds,
    POSTERN_FUZZ_TIMES: times = '1',
    POSTERN_SEED: seed = '',
  } = process.env
  const colon = seed.indexOf(':')
  if (colon !== -1)
    return { seed: chosenSeed(SEED), path: seed.slice(colon + 1), numRuns: 1, reporter: report }
  if (seconds === undefined)
    return { seed: chosenSeed(SEED), numRuns: numRuns * positive(times), reporter: report }
  return {
    seed: seed === '' ? randomSeed() : chosenSeed(SEED),
    numRuns: Number.MAX_SAFE_INTEGER,
    interruptAfterTimeLimit: positive(seconds) * 1000,
    markInterruptAsFailure: false,
    reporter: reportAndCount,
  }
}

function positive(text: string): number {
  const value = Number(text)
  if (value > 0 && value < Number.MAX_SAFE_INTEGER) return value
  throw new RangeError(`"${text}" is no amount of time or of runs`)
}

function report<T>(out: fc.RunDetails<T>): void {
  if (!out.failed) return
  const { seed, counterexamplePath } = out
  // none: it was interrupted before the first case
  const again =
    counterexamplePath === null
      ? ''
      : `\n\nAgain, with --test-name-pattern: POSTERN_SEED=${seed}:${counterexamplePath}`
  throw new Error(`${fc.defaultReportMessage(out)}${again}`, { cause: out.errorInstance })
}

function reportAndCount<T>(out: fc.RunDetails<T>): void {
  report(out)
  process.stdout.write(`held ${out.numRuns} times with seed ${out.seed}\n`)
}
