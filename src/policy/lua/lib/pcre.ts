/** `msys.pcre` (momentum: lua/ref-msys-pcre-*): match, replace, split over octets. */

import { type LuaState, ScriptError } from '../state.ts'
import { Arguments } from './arguments.ts'
import type { Family, HostFunction } from './family.ts'
import { PatternError } from './pcre-reader.ts'
import { type CompiledPattern, PatternRunner } from './pcre-run.ts'
import { pushValue, pushValues } from './values.ts'

/** octets of the text that is searched, and of what replace makes of it */
const maxSubject = 4 * 1_048_576
const maxResult = 8 * 1_048_576
const maxPieces = 1_000_000

interface Search {
  readonly subject: string
  readonly pattern: CompiledPattern
}

export function pcreFamily(state: LuaState): Family {
  const runner = new PatternRunner(state)
  const searching =
    (name: string, work: (L: number, search: Search) => number): HostFunction =>
    (L) => {
      const args = new Arguments(state, L, name)
      const subject = args.string(1)
      const pattern = runner.compile(args.string(2))
      if (subject.length > maxSubject) throw args.refuse(1, `at most ${maxSubject} octets`)
      if (pattern instanceof PatternError)
        return pushValues(state, L, undefined, pattern.message, pattern.code)
      return work(L, { subject, pattern })
    }
  return {
    functions: {
      'msys.pcre.match': searching('msys.pcre.match', (L, { subject, pattern }) => {
        const found = runner.run(pattern, subject.length, () => {
          pattern.expression.lastIndex = 0
          return pattern.expression.exec(subject)
        })
        if (found === null) state.lua.lua_pushnil(L)
        else pushMatch(state, L, found, pattern)
        return 1
      }),
      'msys.pcre.replace': searching('msys.pcre.replace', (L, { subject, pattern }) => {
        const template = readTemplate(new Arguments(state, L, 'msys.pcre.replace').string(3))
        state.push(
          L,
          runner.run(pattern, subject.length, () => replaceAll(subject, pattern, template)),
        )
        return 1
      }),
      'msys.pcre.split': searching('msys.pcre.split', (L, { subject, pattern }) => {
        pushValue(
          state,
          L,
          runner.run(pattern, subject.length, () => split(subject, pattern)),
        )
        return 1
      }),
    },
  }
}

/** Index 0 is the whole match; a group that took no part has no entry. */
export function pushMatch(
  state: LuaState,
  L: number,
  found: RegExpExecArray,
  { names, groups }: CompiledPattern,
): void {
  const { lua } = state
  lua.lua_createtable(L, groups, names.size + 1)
  for (let group = 0; group <= groups; group++) {
    const text = found[group]
    if (text === undefined) continue
    state.push(L, text)
    lua.lua_rawseti(L, -2, group)
    const name = names.get(group)
    if (name !== undefined) state.setField(L, -1, name, () => state.push(L, text))
  }
}

/** All matches from left to right; behind an empty one the search goes on one octet further. */
function* matches(subject: string, { expression }: CompiledPattern): Iterable<RegExpExecArray> {
  expression.lastIndex = 0
  for (;;) {
    const found = expression.exec(subject)
    if (found === null) return
    yield found
    if (found[0] === '') expression.lastIndex++
  }
}

/** Text, or a reference to a group by number or name. */
export type TemplatePart = string | { readonly group: number | string }

/** `$1`, `${1}`, `${name}`, `\1`; `$$` and `\\` are the sign itself. */
export function readTemplate(text: string): TemplatePart[] {
  const parts: TemplatePart[] = []
  const pattern = /\$\$|\\\\|[$\\](?<number>\d{1,2})|\$\{(?<name>\w{1,40})\}|[^$\\]+|[^]/g
  for (const { 0: whole, groups } of text.matchAll(pattern)) {
    const reference = groups?.['number'] ?? groups?.['name']
    if (reference !== undefined)
      parts.push({ group: /^\d+$/.test(reference) ? Number(reference) : reference })
    else parts.push(whole === '$$' || whole === '\\\\' ? whole.slice(1) : whole)
  }
  return parts
}

export function replaceAll(
  subject: string,
  pattern: CompiledPattern,
  template: readonly TemplatePart[],
): string {
  const numbers = new Map([...pattern.names].map(([number, name]) => [name, number]))
  const out: string[] = []
  let at = 0
  let length = subject.length
  for (const found of matches(subject, pattern)) {
    const by = template
      .map((part) => {
        if (typeof part === 'string') return part
        const number = typeof part.group === 'number' ? part.group : numbers.get(part.group)
        return number === undefined ? '' : (found[number] ?? '')
      })
      .join('')
    length += by.length
    if (length > maxResult) throw new ScriptError(`msys.pcre.replace: more than ${maxResult} octets`)
    out.push(subject.slice(at, found.index), by)
    at = found.index + found[0].length
  }
  out.push(subject.slice(at))
  return out.join('')
}

/** An empty match separates only between two octets. */
function split(subject: string, pattern: CompiledPattern): string[] {
  const pieces: string[] = []
  let at = 0
  for (const found of matches(subject, pattern)) {
    const end = found.index + found[0].length
    if (found[0] === '' && (found.index === at || found.index >= subject.length)) continue
    pieces.push(subject.slice(at, found.index))
    if (pieces.length > maxPieces) throw new ScriptError(`msys.pcre.split: more than ${maxPieces} pieces`)
    at = end
  }
  pieces.push(subject.slice(at))
  return pieces
}
