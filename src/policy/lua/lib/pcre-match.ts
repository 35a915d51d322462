/**
 * Runs compiled patterns over octets, by backtracking on a stack of its own.
 *
 * JavaScript's own expressions would be faster, but they cannot be stopped: V8's watchdog costs a millisecond for each
 * call, and compiling some forty optional parts takes it minutes, during which nothing reaches it. This one reports to
 * its owner every few thousand steps, who may throw, and its stack is bounded.
 */

import { ScriptError } from '../state.ts'
import { OP, type Program } from './pcre-compile.ts'

const stepsBetweenReports = 8192
/** words of the stack; a frame has four */
const firstStack = 256
const maxStack = 8_388_608
const maxNested = 200
/** copies of the registers that are kept for a way back */
const maxSnapshots = 100_000

/** Kinds of frames: go on elsewhere, undo a register, one octet fewer, one octet more, undo all registers. */
const CHOICE = 0
const UNDO = 1
const FEWER = 2
const MORE = 3
const UNDO_ALL = 4

export class PatternMatcher {
  readonly #program: Program
  readonly #report: () => void
  readonly #registers: Int32Array
  #stack = new Int32Array(firstStack)
  #top = 0
  readonly #snapshots: Int32Array[] = []
  readonly #text: Uint8Array
  /** where to go on: instruction and position */
  #goOnTo = 0
  #goOnAt = 0
  #steps = 0
  #nested = 0

  /** @param report called every few thousand steps; throws to end the search */
  constructor(program: Program, text: Uint8Array, report: () => void) {
    this.#program = program
    this.#text = text
    this.#report = report
    this.#registers = new Int32Array(program.registers)
  }

  /** Looks for the first match that begins at `from` or behind it. Groups are read afterwards. */
  search(from: number): boolean {
    const { anchored, first } = this.#program
    const size = this.#text.length
    const last = anchored ? Math.min(0, size) : size
    for (let at = from; at <= last; at++) {
      if (first !== undefined) {
        while (at < size && first[this.#text[at] ?? 0] === 0) {
          at++
          this.#step()
        }
        if (at >= size) return false
        if (at > last) return false
      }
      this.#registers.fill(-1)
      this.#top = 0
      this.#snapshots.length = 0
      this.#registers[0] = at
      const end = this.#run(0, at)
      if (end < 0) continue
      this.#registers[1] = end
      return true
    }
    return false
  }

  /** Where a group begins and ends; undefined when it took no part. Group 0 is the whole match. */
  group(number: number): { readonly from: number; readonly to: number } | undefined {
    const from = this.#registers[2 * number] ?? -1
    const to = this.#registers[2 * number + 1] ?? -1
    return from < 0 || to < 0 || to < from ? undefined : { from, to }
  }

  #step(): void {
    if (++this.#steps % stepsBetweenReports === 0) this.#report()
  }

  /** Runs from an instruction up to its MATCH; returns where the text has got to, or -1. */
  #run(start: number, from: number): number {
    const { code, sets } = this.#program
    const text = this.#text
    const size = text.length
    const base = this.#top
    let pc = start
    let at = from
    for (;;) {
      this.#step()
      let fits = true
      switch (code[pc]) {
        case OP.MATCH:
          return at
        case OP.CHAR:
          fits = at < size && text[at] === code[pc + 1]
          at++
          pc += 2
          break
        case OP.SET:
          fits = at < size && sets[code[pc + 1] ?? 0]?.[text[at] ?? 0] === 1
          at++
          pc += 2
          break
        case OP.SPLIT:
          this.#push(CHOICE, code[pc + 1] ?? 0, at, 0)
          pc += 2
          break
        case OP.JUMP:
          pc = code[pc + 1] ?? 0
          break
        default:
          fits = this.#special(pc, at)
          pc = this.#goOnTo
          at = this.#goOnAt
      }
      if (fits) continue
      if (!this.#back(base)) return -1
      pc = this.#goOnTo
      at = this.#goOnAt
    }
  }

  /** The instructions that are not simple steps. Returns whether they fit, and leaves where to go on. */
  #special(pc: number, at: number): boolean {
    const { code } = this.#program
    const x = code[pc + 1] ?? 0
    switch (code[pc]) {
      case OP.SAVE:
        this.#assign(x, at)
        return this.#goTo(pc + 2, at)
      case OP.CLOSE:
        this.#assign(2 * x, this.#registers[code[pc + 2] ?? 0] ?? -1)
        this.#assign(2 * x + 1, at)
        return this.#goTo(pc + 3, at)
      case OP.REGISTER:
        this.#assign(x, code[pc + 2] ?? 0)
        return this.#goTo(pc + 3, at)
      case OP.PLACE:
        return this.#goTo(pc + 2, at) && this.#isPlace(x, at)
      case OP.REFERENCE:
        return this.#goTo(pc + 3, this.#reference(pc, at)) && this.#goOnAt >= 0
      case OP.MANY:
      case OP.FEW:
        return this.#goTo(pc + 4, this.#loopOfSet(pc, at)) && this.#goOnAt >= 0
      case OP.LOOP:
      case OP.LOOP_LAZY:
        return this.#goTo(this.#loop(pc, at), at)
      case OP.TURN:
        this.#assign(x, (this.#registers[x] ?? 0) + 1)
        this.#assign(x + 1, at)
        return this.#goTo(pc + 2, at)
      case OP.LOOK: {
        const fits = this.#look(pc, at)
        return this.#goTo(code[pc + 3] ?? 0, at) && fits
      }
      default: {
        const end = this.#apart(pc + 2, at)
        return this.#goTo(x, end) && end >= 0
      }
    }
  }

  /** A loop over a single set: greedy with a frame for fewer, lazy with a frame for more. */
  #loopOfSet(pc: number, from: number): number {
    const { code, sets } = this.#program
    const set = sets[code[pc + 1] ?? 0]
    const least = code[pc + 2] ?? 0
    const most = code[pc + 3] ?? 0
    const greedy = code[pc] === OP.MANY
    const limit = Math.min(this.#text.length, from + (greedy ? most : least))
    let at = from
    while (at < limit && set?.[this.#text[at] ?? 0] === 1) {
      at++
      this.#step()
    }
    if (at - from < least) return -1
    if (greedy) {
      if (at - from > least) this.#push(FEWER, pc + 4, at, from + least)
    } else if (most > least) this.#push(MORE, pc, at, Math.min(this.#text.length, from + most))
    return at
  }

  /** Whether another turn begins; a turn that took nothing is the last one. */
  #loop(pc: number, at: number): number {
    const { code } = this.#program
    const register = code[pc + 1] ?? 0
    const count = this.#registers[register] ?? 0
    const exit = code[pc + 4] ?? 0
    const turn = pc + 5
    if (count < (code[pc + 2] ?? 0)) return turn
    if (count >= (code[pc + 3] ?? 0) || this.#registers[register + 1] === at) return exit
    const lazy = code[pc] === OP.LOOP_LAZY
    this.#push(CHOICE, lazy ? turn : exit, at, 0)
    return lazy ? exit : turn
  }

  #look(pc: number, at: number): boolean {
    const { code } = this.#program
    const negative = code[pc + 1] === 1
    const start = at - (code[pc + 2] ?? 0)
    if (start < 0) return negative
    const before = negative ? this.#registers.slice() : undefined
    const found = this.#apart(pc + 4, start) >= 0
    if (before === undefined) return found
    // what was captured inside is no capture
    if (found) this.#registers.set(before)
    return !found
  }

  /** Tries something by itself: no way back into it, but what it captured is taken back with what comes before. */
  #apart(start: number, from: number): number {
    if (++this.#nested > maxNested) throw new ScriptError('msys.pcre: pattern too complex')
    const top = this.#top
    const kept = this.#snapshots.length
    if (kept >= maxSnapshots) throw new ScriptError('msys.pcre: the pattern tries too many ways')
    const before = this.#registers.slice()
    const end = this.#run(start, from)
    this.#nested--
    this.#top = top
    this.#snapshots.length = kept
    if (end < 0) this.#registers.set(before)
    else this.#push(UNDO_ALL, this.#snapshots.push(before) - 1, 0, 0)
    return end
  }

  /** Goes back to the latest way that has not been tried; false when there is none above `base`. */
  #back(base: number): boolean {
    while (this.#top > base) {
      this.#step()
      this.#top -= 4
      const stack = this.#stack
      const x = stack[this.#top + 1] ?? 0
      const y = stack[this.#top + 2] ?? 0
      const z = stack[this.#top + 3] ?? 0
      switch (stack[this.#top]) {
        case CHOICE:
          return this.#goTo(x, y)
        case UNDO:
          this.#registers[x] = y
          break
        case FEWER:
          if (y - 1 > z) this.#push(FEWER, x, y - 1, z)
          return this.#goTo(x, y - 1)
        case MORE: {
          const set = this.#program.sets[this.#program.code[x + 1] ?? 0]
          if (y >= z || y >= this.#text.length || set?.[this.#text[y] ?? 0] !== 1) break
          this.#push(MORE, x, y + 1, z)
          return this.#goTo(x + 4, y + 1)
        }
        default:
          this.#registers.set(this.#snapshots[x] ?? this.#registers)
          this.#snapshots.length = x
      }
    }
    return false
  }

  #goTo(pc: number, at: number): true {
    this.#goOnTo = pc
    this.#goOnAt = at
    return true
  }

  /** A group that took no part matches nothing, not even the empty text. */
  #reference(pc: number, at: number): number {
    const { code } = this.#program
    const group = this.group(code[pc + 1] ?? 0)
    if (group === undefined) return -1
    const length = group.to - group.from
    if (at + length > this.#text.length) return -1
    const fold = code[pc + 2] === 1
    for (let i = 0; i < length; i++) {
      this.#step()
      const a = this.#text[group.from + i] ?? 0
      const b = this.#text[at + i] ?? 0
      if (a !== b && !(fold && foldOctet(a) === foldOctet(b))) return -1
    }
    return at + length
  }

  #isPlace(place: number, at: number): boolean {
    const text = this.#text
    const size = text.length
    switch (place) {
      case 0:
        return at === 0
      case 1:
        return at === size
      case 2:
        return at === size || (at === size - 1 && text[at] === 10)
      case 3:
        // not behind the newline that ends the text
        return at === 0 || (text[at - 1] === 10 && at < size)
      case 4:
        return at === size || text[at] === 10
      default:
        return (isWord(text[at - 1]) !== isWord(text[at])) === (place === 5)
    }
  }

  #assign(register: number, value: number): void {
    this.#push(UNDO, register, this.#registers[register] ?? -1, 0)
    this.#registers[register] = value
  }

  // oxlint-disable-next-line max-params -- the four words of a frame
  #push(kind: number, x: number, y: number, z: number): void {
    if (this.#top + 4 > this.#stack.length) this.#grow()
    const stack = this.#stack
    stack[this.#top] = kind
    stack[this.#top + 1] = x
    stack[this.#top + 2] = y
    stack[this.#top + 3] = z
    this.#top += 4
  }

  #grow(): void {
    if (this.#stack.length >= maxStack) throw new ScriptError('msys.pcre: the pattern tries too many ways')
    const larger = new Int32Array(this.#stack.length * 2)
    larger.set(this.#stack)
    this.#stack = larger
  }
}

const foldOctet = (octet: number): number => (octet >= 65 && octet <= 90 ? octet + 32 : octet)

function isWord(octet: number | undefined): boolean {
  if (octet === undefined) return false
  return (octet >= 48 && octet <= 57) || (foldOctet(octet) >= 97 && foldOctet(octet) <= 122) || octet === 95
}
