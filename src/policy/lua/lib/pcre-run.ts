/**
 * Runs translated patterns. One whose worst case is small runs at once; any other runs under V8's watchdog, which ends
 * it when the callout's time is used up (about a millisecond more for each call). Compiled patterns are kept, some.
 */

import { createContext, Script } from 'node:vm'
import { type LuaState, ScriptError } from '../state.ts'
import { BoundedMap } from './bounded-map.ts'
import { PatternError } from './pcre-reader.ts'
import { stepBound } from './pcre-risk.ts'
import { type Translation, translate } from './pcre-translate.ts'

export interface CompiledPattern extends Translation {
  readonly expression: RegExp
}

const maxCompiled = 500
/** steps that may run without a watch: some hundred milliseconds at worst */
const harmless = 50_000_000

export class PatternRunner {
  readonly #state: LuaState
  readonly #compiled = new BoundedMap<CompiledPattern | PatternError>(maxCompiled)
  readonly #task: { run: () => void } = { run: () => undefined }
  /** made when it is first needed */
  #watched: (() => (timeout: number) => void) | undefined

  constructor(state: LuaState) {
    this.#state = state
  }

  compile(pattern: string): CompiledPattern | PatternError {
    const known = this.#compiled.get(pattern)
    if (known !== undefined) return known
    const compiled = compile(pattern)
    this.#compiled.set(pattern, compiled)
    return compiled
  }

  /**
   * Runs something that uses the pattern on a text of this length.
   * @throws ScriptError when the callout's time is used up
   */
  run<T>(pattern: CompiledPattern, length: number, work: () => T): T {
    if (stepBound(pattern.risk, length, pattern.anchored) <= harmless) return work()
    const result: { value: T | undefined; done: boolean } = { value: undefined, done: false }
    this.#task.run = () => {
      result.value = work()
      result.done = true
    }
    try {
      this.#watch(Math.max(1, Math.ceil(this.#state.budget.remaining())))
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ERR_SCRIPT_EXECUTION_TIMEOUT')
        throw this.#state.outOfTime()
      throw error
    } finally {
      this.#task.run = () => undefined
    }
    this.#state.spend()
    if (!result.done) throw new ScriptError('the pattern could not be matched')
    return result.value as T
  }

  #watch(timeout: number): void {
    this.#watched ??= () => {
      const context = createContext({ run: () => this.#task.run() })
      const script = new Script('run()')
      return (limit) => void script.runInContext(context, { timeout: limit })
    }
    this.#watched()(timeout)
  }
}

function compile(pattern: string): CompiledPattern | PatternError {
  try {
    const translation = translate(pattern)
    return { ...translation, expression: new RegExp(translation.source, 'g') }
  } catch (error) {
    if (error instanceof PatternError) return error
    // V8's own limits
    return new PatternError(error instanceof Error ? error.message : 'does not compile', 0, 2)
  }
}
