/** Compiles patterns, keeps some of them, and runs them over texts on the callout's budget. */

import type { LuaState } from '../state.ts'
import { BoundedMap } from './bounded-map.ts'
import { compile, type Program } from './pcre-compile.ts'
import { PatternMatcher } from './pcre-match.ts'
import { parsePattern } from './pcre-parse.ts'
import { PatternError } from './pcre-reader.ts'

export type CompiledPattern = Program

/** A text and what looks for matches in it. */
export interface Search {
  readonly subject: string
  readonly program: CompiledPattern
  readonly matcher: PatternMatcher
}

const maxCompiled = 500

export class PatternRunner {
  readonly #state: LuaState
  readonly #compiled = new BoundedMap<CompiledPattern | PatternError>(maxCompiled)

  constructor(state: LuaState) {
    this.#state = state
  }

  compile(pattern: string): CompiledPattern | PatternError {
    const compiled = this.#compiled.get(pattern) ?? read(pattern)
    this.#compiled.set(pattern, compiled)
    return compiled
  }

  /** The search ends with a ScriptError when the callout's budget is used up. */
  search(program: CompiledPattern, subject: string): Search {
    const matcher = new PatternMatcher(program, Buffer.from(subject, 'latin1'), () => this.#state.spend())
    return { subject, program, matcher }
  }
}

function read(pattern: string): CompiledPattern | PatternError {
  try {
    return compile(parsePattern(pattern))
  } catch (error) {
    if (error instanceof PatternError) return error
    throw error
  }
}
