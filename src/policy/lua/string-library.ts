/**
 * The functions of Lua's string library that can run for long or make much, on the matcher of `pattern.ts`:
 * find, match, gmatch, gsub, rep. Semantics of 5.1. They end when the callout's budget is used up.
 *
 * `gsub` with a table or function as replacement is a loop in `prelude.lua` around `gsubNext`, so that the callback
 * is called from Lua and may wait.
 */

import { isPlain, Matcher, type Span } from './pattern.ts'
import { firstUpvalue, type LuaState, ScriptError, TYPE } from './state.ts'

const ESCAPE = 37
const ZERO = 48
const NINE = 57

/** Host functions by the name under which `prelude.lua` knows them. */
export function stringFunctions(state: LuaState): Readonly<Record<string, (L: number) => number>> {
  const { lua } = state
  const iterator = state.hostFunction((L) => nextMatch(state, L))
  return {
    find: (L) => find(state, L, true),
    match: (L) => find(state, L, false),
    gmatch: (L) => {
      state.checkSpan(L, 1)
      state.checkSpan(L, 2)
      lua.lua_settop(L, 2)
      lua.lua_pushnumber(L, 0)
      lua.lua_pushcclosure(L, iterator, 3)
      return 1
    },
    gsubText: (L) => gsubText(state, L),
    gsubNext: (L) => gsubNext(state, L),
    rep: (L) => repeat(state, L),
  }
}

function matcherFor(state: LuaState, subject: Span, pattern: Span): Matcher {
  return new Matcher(state.machine.bytes, subject, pattern, () => state.spend())
}

function find(state: LuaState, L: number, wantsPlace: boolean): number {
  const subject = state.checkSpan(L, 1)
  const pattern = state.checkSpan(L, 2)
  const start = startOffset(state.optionalNumber(L, 3, 1), subject.length)
  const { bytes } = state.machine
  if (wantsPlace && (state.lua.lua_toboolean(L, 4) === 1 || isPlain(bytes, pattern))) {
    return findPlain(state, L, { subject, pattern, start })
  }
  const matcher = matcherFor(state, subject, pattern)
  if (!matcher.search(subject.at + start, matcher.anchored)) {
    state.lua.lua_pushnil(L)
    return 1
  }
  if (!wantsPlace) return pushCaptures(state, L, matcher)
  state.lua.lua_pushnumber(L, matcher.start - subject.at + 1)
  state.lua.lua_pushnumber(L, matcher.end - subject.at)
  return 2 + (matcher.captureCount > 0 ? pushCaptures(state, L, matcher) : 0)
}

interface PlainSearch {
  readonly subject: Span
  readonly pattern: Span
  readonly start: number
}

function findPlain(state: LuaState, L: number, { subject, pattern, start }: PlainSearch): number {
  const found = indexOf(state, { subject, pattern, start })
  if (found < 0) {
    state.lua.lua_pushnil(L)
    return 1
  }
  state.lua.lua_pushnumber(L, found + 1)
  state.lua.lua_pushnumber(L, found + pattern.length)
  return 2
}

/** Buffer.indexOf cannot be interrupted and is quadratic for hostile pairs of texts. */
function indexOf(state: LuaState, { subject, pattern, start }: PlainSearch): number {
  const { bytes } = state.machine
  const last = subject.length - pattern.length
  let steps = 0
  for (let offset = start; offset <= last; offset++) {
    let same = 0
    while (same < pattern.length && bytes[subject.at + offset + same] === bytes[pattern.at + same]) same++
    if (same === pattern.length) return offset
    steps += same + 1
    if (steps > 100_000) {
      state.spend()
      steps = 0
    }
  }
  return -1
}

/** The iterator of gmatch: upvalues subject, pattern, offset. A `^` has no meaning here in 5.1. */
function nextMatch(state: LuaState, L: number): number {
  const subject = state.checkSpan(L, firstUpvalue)
  const pattern = state.checkSpan(L, firstUpvalue - 1)
  const offset = state.lua.lua_tonumber(L, firstUpvalue - 2)
  const matcher = matcherFor(state, subject, pattern)
  if (offset > subject.length || !matcher.search(subject.at + offset, false)) return 0
  const next = matcher.end - subject.at + (matcher.end === matcher.start ? 1 : 0)
  state.lua.lua_pushnumber(L, next)
  state.lua.lua_replace(L, firstUpvalue - 2)
  return pushCaptures(state, L, matcher)
}

/** gsubNext(subject, pattern, position): first and last + 1 of the next match, then what the callback gets. */
function gsubNext(state: LuaState, L: number): number {
  const subject = state.checkSpan(L, 1)
  const pattern = state.checkSpan(L, 2)
  const from = subject.at + state.lua.lua_tonumber(L, 3) - 1
  const matcher = matcherFor(state, subject, pattern)
  if (!matcher.search(from, matcher.anchored)) return 0
  state.lua.lua_pushnumber(L, matcher.start - subject.at + 1)
  state.lua.lua_pushnumber(L, matcher.end - subject.at + 1)
  return 2 + pushCaptures(state, L, matcher)
}

/** gsub(subject, pattern, text[, limit]) */
function gsubText(state: LuaState, L: number): number {
  const subject = state.checkSpan(L, 1)
  const pattern = state.checkSpan(L, 2)
  const type = state.lua.lua_type(L, 3)
  if (type !== TYPE.string && type !== TYPE.number) {
    throw new ScriptError("bad argument #3 to 'gsub' (string/function/table expected)", 2)
  }
  const replacement = state.checkSpan(L, 3)
  const limit = Math.trunc(state.optionalNumber(L, 4, subject.length + 1))
  const matcher = matcherFor(state, subject, pattern)
  const out = new Output(state)
  const { anchored } = matcher
  const end = subject.at + subject.length
  let at = subject.at
  let count = 0
  while (count < limit && matcher.search(at, anchored)) {
    count++
    out.add(at, matcher.start - at)
    addReplacement(out, replacement, matcher)
    at = matcher.end
    if (matcher.end === matcher.start) {
      if (at >= end) break
      out.add(at++, 1)
    }
    if (anchored) break
  }
  out.add(at, end - at)
  state.pushBytes(L, out.octets, out.length)
  state.lua.lua_pushnumber(L, count)
  return 2
}

function addReplacement(out: Output, replacement: Span, matcher: Matcher): void {
  const bytes = out.memory
  const end = replacement.at + replacement.length
  for (let i = replacement.at; i < end; i++) {
    const c = bytes[i] ?? 0
    const next = i + 1 < end ? (bytes[i + 1] ?? 0) : 0
    if (c !== ESCAPE) {
      out.add(i, 1)
      continue
    }
    i++
    if (next < ZERO || next > NINE) {
      if (i < end) out.add(i, 1)
    } else if (next === ZERO) {
      out.add(matcher.start, matcher.end - matcher.start)
    } else {
      const capture = matcher.capture(next - ZERO - 1)
      if (capture.length >= 0) out.add(capture.from, capture.length)
      else out.text(String(matcher.position(capture)))
    }
  }
}

/** A text under construction from pieces of Lua's memory; bounded by the state's budget. */
class Output {
  octets = Buffer.allocUnsafe(256)
  length = 0
  readonly memory: Uint8Array
  readonly #state: LuaState

  constructor(state: LuaState) {
    this.#state = state
    this.memory = state.machine.bytes
  }

  add(from: number, length: number): void {
    if (length <= 0) return
    this.#reserve(length)
    if (length === 1) this.octets[this.length] = this.memory[from] ?? 0
    else this.octets.set(this.memory.subarray(from, from + length), this.length)
    this.length += length
  }

  text(text: string): void {
    this.#reserve(text.length)
    this.length += this.octets.write(text, this.length, 'latin1')
  }

  #reserve(length: number): void {
    const needed = this.length + length
    if (needed <= this.octets.length) return
    this.#state.spend()
    const { limits, used } = this.#state.budget
    if (needed > limits.memory - used) throw this.#state.outOfMemory()
    const larger = Buffer.allocUnsafe(needed * 2)
    larger.set(this.octets.subarray(0, this.length))
    this.octets = larger
  }
}

/** rep(text, count) */
function repeat(state: LuaState, L: number): number {
  const { at, length } = state.checkSpan(L, 1)
  const count = Math.max(0, Math.trunc(state.lua.luaL_checknumber(L, 2)) || 0)
  const size = length === 0 ? 0 : length * count
  state.spend()
  if (size > state.budget.limits.memory - state.budget.used) throw state.outOfMemory()
  const made = Buffer.alloc(size, size === 0 ? 0 : Buffer.from(state.machine.bytes.subarray(at, at + length)))
  state.pushBytes(L, made, size)
  return 1
}

function pushCaptures(state: LuaState, L: number, matcher: Matcher): number {
  const count = Math.max(1, matcher.captureCount)
  // the spans are read before anything is pushed: pushing may grow the memory
  const captures = Array.from({ length: count }, (_, index) => matcher.capture(index))
  state.checkStack(L, count)
  for (const capture of captures) {
    if (capture.length >= 0) state.lua.lua_pushlstring(L, capture.from, capture.length)
    else state.lua.lua_pushnumber(L, matcher.position(capture))
  }
  return count
}

/** 5.1: negative positions count from the end; 0 is the beginning. */
function startOffset(position: number, length: number): number {
  const whole = Math.trunc(position) || 0
  const absolute = whole < 0 ? Math.max(0, whole + length + 1) : whole
  return Math.min(length, Math.max(0, absolute - 1))
}
