/**
 * Where in a piece of a message something has to be looked at: a NUL, a CR without its LF, a LF without its CR, or a dot at
 * the start of a line. Everything else is passed, which is nearly all that people send.
 *
 * Sixteen octets at a time, by a dozen instructions of WebAssembly that stand below; it is four to five times as fast as V8's
 * own search for each line's end, and makes no garbage (docs/performance.md). A runtime or processor that cannot do that gets the
 * same answers from a loop.
 */

export interface TextScan {
  /** Takes octets to look at, at most MAX_SCAN of them, in place of those before. */
  load(octets: Uint8Array): void
  /**
   * @param from the octet to begin with, at most the length of what was loaded
   * @param before what counts as the octet before that one: CR, LF only where that ended a line, else OTHER
   * @returns the index of the first octet that needs a look, or the length
   */
  find(from: number, before: number): number
}

/** octets that can be looked at at once */
export const MAX_SCAN = 64 * 1024
export const CR = 0x0d
export const LF = 0x0a
export const DOT = 0x2e
/** any octet that has no meaning for the one behind it */
export const OTHER = 0x78

/** @returns the faster one where it can be had */
export function textScan(): TextScan {
  try {
    return new VectorScan()
  } catch {
    // no WebAssembly (--jitless), no vectors in it, or no room for its memory
    return new PlainScan()
  }
}

export class PlainScan implements TextScan {
  #octets: Uint8Array = new Uint8Array()

  load(octets: Uint8Array): void {
    this.#octets = octets
  }

  find(from: number, before: number): number {
    const octets = this.#octets
    let last = before
    for (let i = from; i < octets.length; i++) {
      const octet = octets[i] ?? 0
      if (octet === 0 || (octet === LF) !== (last === CR) || (octet === DOT && last === LF)) return i
      last = octet
    }
    return octets.length
  }
}

export class VectorScan implements TextScan {
  readonly #memory: Uint8Array
  readonly #find: (from: number) => number

  constructor() {
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(PROGRAM), {})
    const { memory, find } = exports
    if (!(memory instanceof WebAssembly.Memory) || !isFunction(find)) throw new Error('no such program')
    this.#memory = new Uint8Array(memory.buffer)
    this.#find = find
  }

  load(octets: Uint8Array): void {
    this.#memory.set(octets, 1)
    // the program ends at a NUL, so it need not count
    this.#memory[octets.length + 1] = 0
  }

  find(from: number, before: number): number {
    this.#memory[from] = before
    return this.#find(from)
  }
}

function isFunction(value: unknown): value is (from: number) => number {
  return typeof value === 'function'
}

/** WebAssembly 2.0, binary format (https://webassembly.github.io/spec/core/binary): what is used of it */
const I32 = 0x7f
const V128 = 0x7b
const FUNCTION = 0x60
const NO_RESULT = 0x40
const LOOP = 0x03
const IF = 0x04
const END = 0x0b
const REPEAT = 0x0c
const RETURN = 0x0f
const UNREACHABLE = 0x00
const GET = 0x20
const SET = 0x21
const TEE = 0x22
const CONST = 0x41
const COUNT_TRAILING_ZEROS = 0x68
const ADD = 0x6a
const vector = (operation: number): readonly number[] => [0xfd, operation]
const SPLAT = vector(0x0f)
const EQUAL = vector(0x23)
const AND = vector(0x4e)
const OR = vector(0x50)
const XOR = vector(0x51)
const ANY = vector(0x53)
const MASK = vector(0x64)
const load = (offset: number): readonly number[] => [...vector(0x00), 0, offset]

/** a parameter and two locals of the program */
const AT = 0
const OCTETS = 1
const BEFORE = 2
const all = (octet: number): readonly number[] => [CONST, octet, ...SPLAT]

/** `find(at)`: octets lie from 1 on, so at `at` lies the one before the first. */
const BODY = [
  [LOOP, NO_RESULT],
  [GET, AT, ...load(1), TEE, OCTETS, ...all(0), ...EQUAL],
  // a LF where no CR was before it, or no LF where one was
  [GET, OCTETS, ...all(LF), ...EQUAL],
  [GET, AT, ...load(0), TEE, BEFORE, ...all(CR), ...EQUAL],
  XOR,
  OR,
  [GET, BEFORE, ...all(LF), ...EQUAL],
  [GET, OCTETS, ...all(DOT), ...EQUAL],
  AND,
  OR,
  [TEE, OCTETS, ...ANY, IF, NO_RESULT],
  [GET, AT, GET, OCTETS, ...MASK, COUNT_TRAILING_ZEROS, ADD, RETURN],
  [END],
  [GET, AT, CONST, 16, ADD, SET, AT],
  [REPEAT, 0, END],
  [UNREACHABLE, END],
].flat()

/** A list with its length before it; nothing here needs more than one octet for a number. */
const list = (...octets: readonly number[]): readonly number[] => [octets.length, ...octets]
const name = (text: string): readonly number[] => list(...Buffer.from(text, 'latin1'))
const section = (id: number, ...octets: readonly number[]): readonly number[] => [id, ...list(...octets)]
/** of 64 KiB */
const PAGES = 2

const PROGRAM = new Uint8Array([
  ...Buffer.from('\0asm\x01\0\0\0', 'latin1'),
  // each section begins with how many entries it has
  ...section(1, 1, FUNCTION, ...list(I32), ...list(I32)),
  ...section(3, 1, 0),
  ...section(5, 1, 1, PAGES, PAGES),
  ...section(7, 2, ...name('memory'), 2, 0, ...name('find'), 0, 0),
  ...section(10, 1, ...list(1, 2, V128, ...BODY)),
])
