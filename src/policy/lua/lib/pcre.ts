/** `msys.pcre` (momentum: lua/ref-msys-pcre-*): match, replace, split over octets. */

import { type LuaState, ScriptError } from '../state.ts'
import { Arguments } from './arguments.ts'
import type { Family, HostFunction } from './family.ts'
import { PatternError } from './pcre-reader.ts'
import { PatternRunner, type Search } from './pcre-run.ts'
import { pushValue, pushValues } from './values.ts'

/** octets of the text that is searched, and of what replace makes of it */
const maxSubject = 4 * 1_048_576
const maxResult = 8 * 1_048_576
const maxPieces = 1_000_000

export function pcreFamily(state: LuaState): Family {
  const patterns = new PatternRunner(state)
  const searching =
    (name: string, work: (L: number, search: Search) => number): HostFunction =>
    (L) => {
      const args = new Arguments(state, L, name)
      const subject = args.string(1)
      const pattern = args.string(2)
      if (subject.length > maxSubject) throw args.refuse(1, `at most ${maxSubject} octets`)
      const program = patterns.compile(pattern)
      if (program instanceof PatternError)
        return pushValues(state, L, undefined, program.message, program.code)
      return work(L, patterns.search(program, subject))
    }
  return {
    functions: {
      'msys.pcre.match': searching('msys.pcre.match', (L, search) => {
        if (search.matcher.search(0)) pushMatch(state, L, search)
        else state.lua.lua_pushnil(L)
        return 1
      }),
      'msys.pcre.replace': searching('msys.pcre.replace', (L, search) => {
        const template = readTemplate(new Arguments(state, L, 'msys.pcre.replace').string(3))
        state.push(L, replaceAll(search, template).text)
        return 1
      }),
      'msys.pcre.split': searching('msys.pcre.split', (L, search) => {
        pushValue(state, L, split(search))
        return 1
      }),
    },
  }
}

/** Index 0 is the whole match; a group that took no part has no entry. */
export function pushMatch(state: LuaState, L: number, search: Search): void {
  const { lua } = state
  const { groups, names } = search.program
  lua.lua_createtable(L, groups, names.size + 1)
  for (let group = 0; group <= groups; group++) {
    const text = groupText(search, group)
    if (text === undefined) continue
    state.push(L, text)
    lua.lua_rawseti(L, -2, group)
    const name = names.get(group)
    if (name !== undefined) state.setField(L, -1, name, () => state.push(L, text))
  }
}

function groupText({ subject, matcher }: Search, group: number): string | undefined {
  const found = matcher.group(group)
  return found && subject.slice(found.from, found.to)
}

/** All matches from left to right; behind an empty one the search goes on one octet further. */
function* matches({ subject, matcher }: Search): Iterable<{ readonly from: number; readonly to: number }> {
  let at = 0
  while (at <= subject.length && matcher.search(at)) {
    const found = matcher.group(0)
    if (found === undefined) return
    yield found
    at = Math.max(at, found.to === found.from ? found.to + 1 : found.to)
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

/** The text with each match replaced, and how many there were. */
export function replaceAll(
  search: Search,
  template: readonly TemplatePart[],
): { readonly text: string; readonly count: number } {
  const { subject, program } = search
  const numbers = new Map([...program.names].map(([number, name]) => [name, number]))
  const out: string[] = []
  let at = 0
  let count = 0
  let length = subject.length
  for (const { from, to } of matches(search)) {
    count++
    const by = template
      .map((part) => {
        if (typeof part === 'string') return part
        const number = typeof part.group === 'number' ? part.group : numbers.get(part.group)
        return number === undefined || number > program.groups ? '' : (groupText(search, number) ?? '')
      })
      .join('')
    length += by.length
    if (length > maxResult) throw new ScriptError(`msys.pcre.replace: more than ${maxResult} octets`)
    out.push(subject.slice(at, from), by)
    at = to
  }
  out.push(subject.slice(at))
  return { text: out.join(''), count }
}

/** An empty match separates only between two octets. */
function split(search: Search): string[] {
  const { subject } = search
  const pieces: string[] = []
  let at = 0
  for (const { from, to } of matches(search)) {
    if (from === to && (from === at || from >= subject.length)) continue
    pieces.push(subject.slice(at, from))
    if (pieces.length > maxPieces) throw new ScriptError(`msys.pcre.split: more than ${maxPieces} pieces`)
    at = to
  }
  pieces.push(subject.slice(at))
  return pieces
}
