/** Patterns of msys.pcre over a message's content. */

import { pushMatch, readTemplate, replaceAll } from './lib/pcre.ts'
import { PatternError } from './lib/pcre-reader.ts'
import { type CompiledPattern, PatternRunner } from './lib/pcre-run.ts'
import { type LuaState, ScriptError } from './state.ts'

export class ContentPatterns {
  readonly #state: LuaState
  readonly #runner: PatternRunner

  constructor(state: LuaState) {
    this.#state = state
    this.#runner = new PatternRunner(state)
  }

  /** @throws ScriptError for a pattern that is none */
  compile(pattern: string): CompiledPattern {
    const compiled = this.#runner.compile(pattern)
    if (compiled instanceof PatternError) throw new ScriptError(compiled.message)
    return compiled
  }

  /** Pushes the first match in the first text that has one, as msys.pcre.match has it, or false. */
  pushFirstMatch(L: number, pattern: CompiledPattern, texts: readonly string[]): void {
    for (const text of texts) {
      const search = this.#runner.search(pattern, text)
      if (search.matcher.search(0)) return pushMatch(this.#state, L, search)
    }
    this.#state.lua.lua_pushboolean(L, 0)
  }

  /** @returns undefined when nothing matches */
  replace(pattern: CompiledPattern, text: string, by: string): string | undefined {
    const { text: made, count } = replaceAll(this.#runner.search(pattern, text), readTemplate(by))
    return count === 0 ? undefined : made
  }
}
