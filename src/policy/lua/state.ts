/**
 * A Lua state under a budget: the one interface through which the rest of the policy room meets Lua.
 *
 * Strings are byte strings in both directions (pointer and length, never cut at NUL). Code runs in threads of its own
 * under a count hook that looks at the clock, with an allocator that counts. When a budget is exceeded an error is
 * raised; what catches it in Lua (`prelude.lua`) raises it again. Should something hold on all the same, the hook
 * throws through Lua: the state is then broken, says so, and has to be replaced.
 */

import { Budget, type BudgetClocks, type BudgetLimits } from './budget.ts'
import { LuaFrame } from './frame.ts'
import { CallStack } from './stack.ts'
import { type LuaExports, LuaFatalError, LuaMachine } from './wasm.ts'

export const REGISTRY = -10_000
export const GLOBALS = -10_002
export const TYPE = {
  nil: 0,
  boolean: 1,
  number: 3,
  string: 4,
  table: 5,
  function: 6,
  userdata: 7,
  thread: 8,
} as const

/** The first upvalue of the C function that runs. */
export const firstUpvalue = -10_003

const MASK_COUNT = 8
const GC_COLLECT = 2
const YIELDED = 1
const scratchSize = 65_536

/** An error for the script that called a host function; its position is put in front. */
export class ScriptError extends Error {
  /** stack level whose position is reported: 1 is who called the host function */
  readonly level: number

  constructor(message: string, level = 1) {
    super(message)
    this.name = 'ScriptError'
    this.level = level
  }
}

/** How a run of a thread ended; results are on the thread's stack. */
export type RunResult =
  | { readonly kind: 'returned'; readonly results: number }
  | { readonly kind: 'yielded' }
  | { readonly kind: 'failed'; readonly message: string }

/** Room in linear memory beyond the budget, for fragmentation and the C stack. */
const headroom = 48 * 1_048_576
/** What the engine and the collector may use between runs beyond the budget, so that a full state can be left. */
const reserve = 16 * 1_048_576

export class LuaState {
  readonly machine: LuaMachine
  readonly lua: LuaExports
  readonly main: number
  readonly budget: Budget
  /** arguments and results, without a call of Lua's interface */
  readonly frame: LuaFrame
  /** set when the state must not be used any more */
  broken: string | undefined

  readonly #hook: number
  readonly #scratch: number
  readonly #length: number
  readonly #stack: CallStack
  readonly #tooMany: number
  /** threads under way, outermost first: the one that runs is the last */
  readonly #running: number[] = []
  #interval: number
  #where = ''

  constructor(limits: BudgetLimits, clocks: BudgetClocks) {
    this.budget = new Budget(limits, clocks)
    this.machine = new LuaMachine(limits.memory + headroom)
    this.lua = this.machine.lua
    this.frame = new LuaFrame(this.machine)
    this.#scratch = this.lua.malloc(scratchSize)
    this.#length = this.lua.malloc(8)
    this.#stack = new CallStack(this.machine)
    this.#tooMany = this.machine.constant('too many results')
    this.#interval = this.budget.interval()
    const allocator = this.machine.addFunction('iiiii', (_, block = 0, old = 0, size = 0) =>
      this.#allocate(block, old, size >>> 0),
    )
    this.#hook = this.machine.addFunction('vii', (L = 0) => this.#tick(L))
    this.main = this.lua.lua_newstate(allocator, 0)
    if (this.main === 0) throw new LuaFatalError('no memory for a Lua state')
    this.lua.lua_atpanic(
      this.main,
      this.machine.addFunction('ii', (L = 0) => this.#panic(L)),
    )
    this.#setInterval(this.main)
    this.frame.verify(this.main)
  }

  // ---- values -------------------------------------------------------------------------------------------------

  /** Pushes a byte string. @param ending what is to follow it in the same one */
  push(L: number, text: string, ending = ''): void {
    const { length } = text
    if (length + ending.length > scratchSize) {
      this.#pushLong(L, text + ending)
      return
    }
    this.#write(text, this.#scratch)
    if (ending !== '') this.#write(ending, this.#scratch + length)
    this.lua.lua_pushlstring(L, this.#scratch, length + ending.length)
  }

  /** Pushes octets, for instance the result of a host function; `length` of them. */
  pushBytes(L: number, octets: Uint8Array, length: number): void {
    const block = this.lua.malloc(Math.max(1, length))
    if (block === 0) throw this.outOfMemory()
    try {
      this.machine.bytes.set(octets.length === length ? octets : octets.subarray(0, length), block)
      this.lua.lua_pushlstring(L, block, length)
    } finally {
      this.lua.free(block)
    }
  }

  /** The string or number at an index as a byte string; undefined for any other type. */
  read(L: number, index: number): string | undefined {
    const pointer = this.lua.lua_tolstring(L, index, this.#length)
    if (pointer === 0) return undefined
    return this.#slice(pointer, this.machine.words[this.#length >> 2] ?? 0)
  }

  /** A string argument of a host function; anything but a string or number is the usual argument error. */
  checkString(L: number, index: number): string {
    const { frame } = this
    if (frame.type(L, index) === TYPE.string)
      return this.#slice(frame.stringAt(L, index), frame.stringLength(L, index))
    const pointer = this.lua.luaL_checklstring(L, index, this.#length)
    return this.#slice(pointer, this.machine.words[this.#length >> 2] ?? 0)
  }

  /** The same without a copy: where the octets are. They stay there as long as the value is on the stack. */
  checkSpan(L: number, index: number): { readonly at: number; readonly length: number } {
    const at = this.lua.luaL_checklstring(L, index, this.#length)
    return { at, length: this.machine.words[this.#length >> 2] ?? 0 }
  }

  /** An optional number argument. */
  optionalNumber(L: number, index: number, otherwise: number): number {
    return this.lua.lua_type(L, index) <= TYPE.nil ? otherwise : this.lua.luaL_checknumber(L, index)
  }

  /** Makes room for `count` more values. */
  checkStack(L: number, count: number): void {
    this.lua.luaL_checkstack(L, count, this.#tooMany)
  }

  typeName(L: number, index: number): string {
    const pointer = this.lua.lua_typename(L, this.lua.lua_type(L, index))
    return this.#slice(pointer, this.machine.bytes.indexOf(0, pointer) - pointer)
  }

  setField(L: number, table: number, key: string, value: () => void): void {
    this.push(L, key)
    value()
    this.lua.lua_rawset(L, table < 0 && table > REGISTRY ? table - 2 : table)
  }

  // ---- functions ----------------------------------------------------------------------------------------------

  /**
   * Makes a host function. It gets the thread that called and returns how many results it pushed.
   * A ScriptError becomes a Lua error; any other exception breaks the state.
   */
  hostFunction(f: (L: number) => number): number {
    return this.machine.addFunction('ii', (L = 0) => {
      try {
        return f(L)
      } catch (error) {
        if (!(error instanceof ScriptError)) throw error
        this.push(L, this.#stack.nearest(L, error.level) + error.message)
        return this.lua.lua_error(L)
      }
    })
  }

  /** For host functions that take long: ends the callout when its budget is used up. */
  spend(): void {
    if (this.budget.check()) throw this.#excess()
  }

  outOfMemory(): ScriptError {
    this.budget.exceeded ??= 'memory'
    return this.#excess()
  }

  /**
   * What keeps the running script from being suspended, as a place in it; undefined when nothing does. Lua 5.1 cannot
   * yield through a call that its own C code makes.
   */
  obstacle(): string | undefined {
    const L = this.#running.findLast((thread) => this.#stack.isHeld(thread))
    return L === undefined ? undefined : this.#stack.holder(L)
  }

  // ---- threads ------------------------------------------------------------------------------------------------

  /** A new thread, kept alive by a reference in the registry. */
  newThread(): { readonly L: number; readonly reference: number } {
    const L = this.lua.lua_newthread(this.main)
    this.#setInterval(L)
    return { L, reference: this.lua.luaL_ref(this.main, REGISTRY) }
  }

  release(reference: number): void {
    this.lua.luaL_unref(this.main, REGISTRY, reference)
  }

  /** Compiles a chunk and leaves it on the thread's stack. Returns the compiler's message when it does not compile. */
  load(L: number, source: Uint8Array, chunkName: string): string | undefined {
    const block = this.lua.malloc(Math.max(1, source.length))
    if (block === 0) return 'not enough memory'
    try {
      this.machine.bytes.set(source, block)
      const name = this.machine.constant(chunkName)
      const status = this.lua.luaL_loadbuffer(L, block, source.length, name)
      this.lua.free(name)
      return status === 0 ? undefined : (this.read(L, -1) ?? 'does not compile')
    } finally {
      this.lua.free(block)
    }
  }

  /**
   * Starts the function under `args` values on a thread's stack, or goes on with a thread that yielded.
   * @param spent milliseconds that the callout has used so far
   */
  resume(L: number, args: number, spent: number): { readonly result: RunResult; readonly spent: number } {
    this.#where = ''
    this.budget.start(spent)
    this.#running.push(L)
    if (this.frame.hookCount(L) !== this.#interval) this.#setInterval(L)
    try {
      const status = this.lua.lua_resume(L, args)
      return { result: this.#outcome(L, status), spent: spent + this.budget.stop() }
    } catch (error) {
      this.broken = error instanceof Error ? error.message : 'unknown exception'
      const excess = this.budget.exceeded
      const message = excess === undefined ? this.broken : this.#where + this.budget.describe(excess)
      return { result: { kind: 'failed', message }, spent: spent + this.budget.stop() }
    } finally {
      // setting the length costs more
      while (this.#running.length > 0) this.#running.pop()
    }
  }

  /** A coroutine is about to run inside the running thread. */
  enter(L: number): void {
    this.spend()
    this.#running.push(L)
    if (this.frame.hookCount(L) !== this.#interval) this.#setInterval(L)
  }

  /** The coroutine came back, in whatever way. */
  leave(): void {
    if (this.#running.length > 1) this.#running.pop()
    this.spend()
  }

  /** Collects all garbage; returns the octets that are left. */
  collect(): number {
    this.lua.lua_gc(this.main, GC_COLLECT, 0)
    return this.budget.used
  }

  /** The chunk's name of the function at a stack level, as it was loaded (`@gate.lua`); '' when it is not Lua. */
  chunkName(L: number, level: number): string {
    return this.#stack.chunkName(L, level)
  }

  /** `FILE:LINE` on which a function begins; undefined when it is not Lua. @param reference of the registry */
  definedAt(reference: number): string | undefined {
    return this.#stack.definition(this.main, REGISTRY, reference)
  }

  /** `FILE:LINE` of the script that called the host function which runs. */
  place(L: number): string | undefined {
    const where = this.#stack.nearest(L, 1)
    return where === '' ? undefined : where.slice(0, -2)
  }

  // ---- inside -------------------------------------------------------------------------------------------------

  #write(text: string, at: number): void {
    const { length } = text
    const { bytes } = this.machine
    if (length >= 128) bytes.write(text, at, 'latin1')
    else for (let i = 0; i < length; i++) bytes[at + i] = text.charCodeAt(i)
  }

  #slice(pointer: number, length: number): string {
    return this.machine.bytes.toString('latin1', pointer, pointer + length)
  }

  #pushLong(L: number, text: string): void {
    this.pushBytes(L, Buffer.from(text, 'latin1'), text.length)
  }

  #excess(): ScriptError {
    const L = this.#running.at(-1)
    if (this.#where === '' && L !== undefined) this.#where = this.#stack.nearest(L)
    return new ScriptError(this.budget.describe(this.budget.exceeded ?? 'time'))
  }

  #outcome(L: number, status: number): RunResult {
    const excess = this.budget.exceeded
    // whatever the script made of the error: a budget that was exceeded ends the callout
    if (excess !== undefined) return { kind: 'failed', message: this.#where + this.budget.describe(excess) }
    if (status === 0) return { kind: 'returned', results: this.frame.top(L) }
    if (status === YIELDED) return { kind: 'yielded' }
    const type = this.lua.lua_type(L, -1)
    const text = type === TYPE.string || type === TYPE.number ? this.read(L, -1) : undefined
    // an error value that is no text is not asked to describe itself: that would be code of the script
    const message = (text ?? `error value is a ${this.typeName(L, -1)}`).replace(/^prelude:\d+: /, '')
    return {
      kind: 'failed',
      message: /^[^\s:]+:\d+: /.test(message) ? message : this.#stack.nearest(L) + message,
    }
  }

  /** The count hook. */
  #tick(L: number): void {
    if (!this.budget.check()) return
    if (this.#where === '') this.#where = this.#stack.nearest(L)
    if (this.budget.overdue()) throw new LuaFatalError('a script held on to its budget error')
    this.push(L, this.budget.describe(this.budget.exceeded ?? 'time'))
    this.lua.lua_error(L)
  }

  /** lua_Alloc: size 0 frees; 0 for a block that cannot be had. */
  #allocate(block: number, old: number, size: number): number {
    const { budget } = this
    if (size === 0) {
      if (block !== 0) {
        budget.used -= old
        this.lua.free(block)
      }
      return 0
    }
    if (size > old) {
      const limit = budget.limits.memory + (this.#running.length > 0 ? 0 : reserve)
      if (budget.used + size - old > limit) return this.#refuse()
      if (size > budget.largest) this.#enlarge(size)
      // large copies are the slow instructions: look at the clock more often than the hook does
      if (size > 65_536 && this.#running.length > 0 && budget.check()) return this.#refuse()
    }
    const moved = this.lua.realloc(block, size)
    if (moved === 0) return this.#refuse()
    budget.used += size - old
    return moved
  }

  #refuse(): number {
    const L = this.#running.at(-1)
    if (this.#where === '' && L !== undefined) this.#where = this.#stack.nearest(L)
    this.budget.exceeded ??= 'memory'
    return 0
  }

  #enlarge(size: number): void {
    this.budget.largest = size
    const interval = this.budget.interval()
    if (interval === this.#interval) return
    this.#interval = interval
    for (const L of this.#running) this.#setInterval(L)
  }

  #setInterval(L: number): void {
    this.lua.lua_sethook(L, this.#hook, MASK_COUNT, this.#interval)
  }

  #panic(L: number): never {
    throw new LuaFatalError(this.read(L, -1) ?? 'error outside of a protected call')
  }
}
