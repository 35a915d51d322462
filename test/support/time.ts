/** Measures of time that mean the same on a machine that has other work to do. */

import assert from 'node:assert/strict'

/** The milliseconds of processor time that the calling thread itself spent on the work, whoever else wanted it meanwhile. */
export function ownTime(work: () => void): number {
  const before = process.threadCpuUsage()
  work()
  const { user, system } = process.threadCpuUsage(before)
  return (user + system) / 1000
}

const LEAST_TURNS = 3
const MOST_TURNS = 20

/**
 * Fails unless two jobs take about the same time. They take turns, and the least time of each counts, so that the rest
 * of the machine can only disturb; while it may have, there are more turns.
 *
 * @returns the least time of the first in milliseconds
 */
export async function assertSameTime(
  what: string,
  first: () => Promise<unknown>,
  second: () => Promise<unknown>,
): Promise<number> {
  const least = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY] as [number, number]
  for (let turn = 1; ; turn++) {
    for (const [which, job] of [first, second].entries()) {
      const began = performance.now()
      await job()
      least[which as 0 | 1] = Math.min(least[which as 0 | 1], performance.now() - began)
    }
    const ratio = least[1] / least[0]
    if (turn >= LEAST_TURNS && ratio > 0.4 && ratio < 2.5) return least[0]
    assert.ok(turn < MOST_TURNS, `${what} takes ${ratio} times as long`)
  }
}
