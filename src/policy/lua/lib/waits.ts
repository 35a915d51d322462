/**
 * How a function of the library waits: it suspends the script that called it, never the process.
 *
 * A host function begins a wait and says so to its wrapper in `library.lua`, which yields up to the engine. When the
 * wait is over the engine resumes the script, and the wrapper fetches what came of it.
 */

import type { Callout } from '../callout.ts'
import { type LuaState, ScriptError } from '../state.ts'

/** Pushes what a function that waited returns; returns how many values. May throw a ScriptError. */
export type Answer = (L: number) => number

export class Waits {
  readonly #state: LuaState
  readonly #current: () => Callout | undefined

  /** @param current the callout that runs */
  constructor(state: LuaState, current: () => Callout | undefined) {
    this.#state = state
    this.#current = current
  }

  /** Whether the running script can be suspended here. */
  get possible(): boolean {
    return this.#current() !== undefined && this.#state.obstacle() === undefined
  }

  /**
   * Begins a wait; what comes back is for the wrapper in `library.lua`.
   * @param name of the function, for the error where nothing can wait
   * @param start begins what is waited for; its signal aborts when nobody waits any more
   * @throws ScriptError where waiting is impossible, before anything has begun
   */
  begin(L: number, name: string, start: (signal: AbortSignal) => Promise<Answer>): number {
    const callout = this.#current()
    if (callout === undefined) throw new ScriptError(`${name} works only in a callout`)
    const obstacle = this.#state.obstacle()
    if (obstacle !== undefined) throw new ScriptError(`${name} cannot wait inside ${obstacle}`)
    const controller = new AbortController()
    const result: { answer: Answer } = { answer: () => 0 }
    const settled = start(controller.signal).then(
      (answer) => {
        result.answer = answer
      },
      (error: unknown) => {
        const message = error instanceof Error ? error.message : 'failed'
        result.answer = () => {
          throw new ScriptError(`${name}: ${message}`)
        }
      },
    )
    callout.wait = {
      settled,
      abort: () => controller.abort(),
      answer: (thread) => result.answer(thread),
    }
    this.#state.lua.lua_pushboolean(L, 1)
    return 1
  }

  /** For a function that may wait and has its results at once. */
  without(L: number, answer: Answer): number {
    this.#state.lua.lua_pushboolean(L, 0)
    return 1 + answer(L)
  }

  /** What the wait of the running callout has come to. */
  answer(L: number): number {
    const callout = this.#current()
    const answer = callout?.answer
    if (callout === undefined || answer === undefined) {
      throw new ScriptError('a coroutine that waits in one callout cannot be resumed by another')
    }
    callout.answer = undefined
    return answer(L)
  }
}
