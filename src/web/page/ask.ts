/**
 * Where the page's data come from: the console's own table of commands, so that the two cannot disagree. An answer is kept for a
 * moment: turning a page of ten thousand rows gathers them once.
 */

import { type Answer, ConsoleError } from '../../console/answer.ts'
import { runCommand } from '../../console/commands.ts'
import type { Operator } from '../../console/operator.ts'
import type { GatheredServices } from '../../console/server.ts'
import { joinWords } from '../../console/words.ts'
import { PageError } from './http.ts'

export interface Asked {
  readonly answer: Answer
  /** whose part is not there, in words */
  readonly missing: readonly string[]
}

/** What a command works with. */
export type Gather = (words: readonly string[]) => Promise<GatheredServices>

/** milliseconds; an act goes on when nobody waits for it any more */
const LOOK_MS = 20_000
const ACT_MS = 50_000
const KEPT_MS = 1000
const MAX_KEPT = 16

export class Asking {
  readonly #gather: Gather
  readonly #clock: () => number
  readonly #kept = new Map<string, { readonly at: number; readonly asked: Promise<Asked> }>()

  constructor(gather: Gather, clock: () => number) {
    this.#gather = gather
    this.#clock = clock
  }

  /** For commands that change nothing. @throws PageError with what the console would say */
  async look(words: readonly string[], operator: Operator): Promise<Asked> {
    const key = joinWords(words)
    const now = this.#clock()
    const known = this.#kept.get(key)
    if (known !== undefined && now - known.at < KEPT_MS) return await known.asked
    const asked = inTime(
      this.#run(words, operator),
      LOOK_MS,
      'Not every process of the gate answers. Try again in a while.',
    )
    this.#kept.delete(key)
    this.#kept.set(key, { at: now, asked })
    const [oldest] = this.#kept.keys()
    if (this.#kept.size > MAX_KEPT && oldest !== undefined) this.#kept.delete(oldest)
    return await asked
  }

  /** For commands that act. What was kept is no longer so. @throws PageError */
  async act(words: readonly string[], operator: Operator): Promise<Asked> {
    try {
      const late = 'It has not come to its end yet, and goes on. The acctlog will say what became of it.'
      return await inTime(this.#run(words, operator), ACT_MS, late)
    } finally {
      this.#kept.clear()
    }
  }

  async #run(words: readonly string[], operator: Operator): Promise<Asked> {
    try {
      const { services, missing } = await this.#gather(words)
      return { answer: await runCommand(words, services, { operator }), missing }
    } catch (error) {
      if (error instanceof ConsoleError) throw new PageError(422, error.message, { cause: error })
      throw error
    }
  }
}

/** @throws PageError when it takes longer */
async function inTime<T>(work: Promise<T>, milliseconds: number, late: string): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(new PageError(504, late)), milliseconds)
  try {
    return await Promise.race([work, promise])
  } finally {
    clearTimeout(timer)
  }
}
