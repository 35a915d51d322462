/**
 * All scripts of a configuration in one Lua state: loads them, and calls their functions.
 *
 * Every callout runs in a thread of its own and may suspend (`msys.sleep`); the promise that comes back then is
 * settled when it ends. An engine that has run out of memory or is broken says so (`worn`) and is replaced by its
 * owner; callouts that are suspended in it still end in it.
 */

import type { EventSink } from '../../events/events.ts'
import type { SessionFacts } from '../phases.ts'
import type { BudgetClocks, BudgetLimits } from './budget.ts'
import { Callout, type CalloutSubject, type PanicLevel, ScriptLog } from './callout.ts'
import { constants } from './catalogue.ts'
import { openLibrary } from './library.ts'
import { type Module, ScriptLoader } from './loader.ts'
import { HostObjects, type ObjectKind } from './objects.ts'
import type { Finding, ScriptSource } from './scripts.ts'
import { LuaState, REGISTRY, ScriptError, TYPE } from './state.ts'

export interface EngineOptions {
  readonly scripts: readonly ScriptSource[]
  readonly events: EventSink
  readonly limits: BudgetLimits
  /** milliseconds since the epoch */
  readonly now: () => number
  /** what the time budget is measured with */
  readonly clocks: BudgetClocks
  /** resolves after so many milliseconds */
  readonly sleep: (milliseconds: number) => Promise<void>
  /** a module's text by absolute path; undefined when there is no such file. The same answer for an engine's life. */
  readonly readModule: (path: string) => Uint8Array | undefined
}

/** What a function of a script returned, or why it did not. */
export type Outcome =
  | { readonly kind: 'returned'; readonly value: number | true | undefined; readonly shown: string }
  | { readonly kind: 'failed'; readonly message: string }

/** Arguments after `self`, by callout (momentum: §6.1 of the policy phases). */
const signatures: Readonly<
  Record<string, readonly (ObjectKind | 'line' | 'nil' | 'now' | 'auth_info' | 'auth_status')[]>
> = {
  validate_connect: ['ac', 'vctx'],
  validate_ehlo: ['line', 'ac', 'vctx'],
  core_inbound_smtp_tls_post_accept: ['mc', 'nil', 'nil', 'nil', 'now'],
  core_validate_auth: ['vctx', 'auth_info', 'auth_status'],
  core_validate_auth_hook: ['vctx', 'auth_info', 'auth_status'],
  validate_mailfrom: ['line', 'ac', 'vctx'],
  validate_rcptto: ['msg', 'line', 'ac', 'vctx'],
  validate_data: ['msg', 'ac', 'vctx'],
  validate_data_spool: ['msg', 'ac', 'vctx'],
  validate_data_spool_each_rcpt: ['msg', 'ac', 'vctx'],
  validate_set_binding: ['msg'],
}

interface Thread {
  readonly L: number
  readonly reference: number
}

/** A callout under way. */
interface Run {
  readonly thread: Thread
  readonly callout: Callout
  readonly id: number
  readonly script: number
  spent: number
}

const maxIdleThreads = 64
const maxSleep = 300

export class LuaEngine {
  /** whether the state has to be replaced before the next callout, and why */
  worn: string | undefined

  readonly #options: EngineOptions
  readonly #state: LuaState
  readonly #objects: HostObjects
  readonly #log: ScriptLog
  readonly #loader: ScriptLoader
  readonly #idle: Thread[] = []
  readonly #modules: (Module | undefined)[] = []
  /** what a session's `self` holds, by script: registry references */
  readonly #selves = new WeakMap<SessionFacts, Map<number, number>>()
  #running: Callout | undefined
  #wearLimit: number

  /** @throws LuaFatalError when no state can be made */
  constructor(options: EngineOptions) {
    this.#options = options
    this.#state = new LuaState(options.limits, options.clocks)
    this.#log = new ScriptLog(options.events, options.now)
    this.#objects = new HostObjects({ state: this.#state, log: this.#log })
    this.#loader = new ScriptLoader({ state: this.#state, log: this.#log, readModule: options.readModule })
    this.#wearLimit = options.limits.memory / 2
    openLibrary(this.#state, this.#objects, {
      ...this.#loader.functions(),
      now: options.now,
      print: (L) => this.#print(L),
      log: (L) => this.#logLine(L),
      sleep: (L) => this.#sleep(L),
    })
  }

  /** Runs every script once; the findings come in the order of the scripts. */
  load(): readonly (readonly Finding[])[] {
    const all = this.#options.scripts.map((script) => this.#loadScript(script))
    const { budget } = this.#state
    this.#wearLimit = Math.max(this.#wearLimit, (budget.used + budget.limits.memory) / 2)
    return all
  }

  #loadScript(script: ScriptSource): readonly Finding[] {
    let module: Module | undefined
    let findings: readonly Finding[]
    try {
      ;({ module, findings } = this.#loader.load(script))
      this.worn ??= this.#state.broken
    } catch (error) {
      // only what breaks the state gets here: no room for the script itself
      findings = [{ severity: 'error', message: `${script.file}: ${this.#broke(error).message}` }]
    }
    this.#modules.push(module)
    return findings
  }

  has(script: number, callout: string): boolean {
    return this.#modules[script]?.functions.has(callout) ?? false
  }

  /** Calls a function of a script. Never throws, never rejects. */
  call(script: number, name: string, subject: CalloutSubject): Outcome | Promise<Outcome> {
    const module = this.#modules[script]
    const reference = module?.functions.get(name)
    if (module === undefined || reference === undefined)
      return { kind: 'failed', message: `${name} is not loaded` }
    const callout = new Callout(subject)
    const id = this.#objects.open(callout)
    try {
      const thread = this.#idle.pop() ?? this.#state.newThread()
      const { L } = thread
      this.#pushSelf(L, { script, module, session: subject.session })
      this.#state.lua.lua_rawgeti(L, REGISTRY, reference)
      this.#state.lua.lua_pushvalue(L, 1)
      const signature = signatures[name] ?? []
      for (const argument of signature) this.#pushArgument(L, argument, { subject, id })
      return this.#advance({ thread, callout, id, script, spent: 0 }, signature.length + 1)
    } catch (error) {
      this.#objects.close(id)
      return this.#broke(error)
    }
  }

  /** A connection is closed: what its `self` tables hold is dropped. */
  ended(session: SessionFacts): void {
    for (const reference of this.#selves.get(session)?.values() ?? []) this.#state.release(reference)
    this.#selves.delete(session)
  }

  // ---- callouts -----------------------------------------------------------------------------------------------

  #advance(run: Run, args: number): Outcome | Promise<Outcome> {
    const { L } = run.thread
    this.#running = run.callout
    this.#loader.running = this.#options.scripts[run.script]
    this.#log.restart()
    const { result, spent } = this.#state.resume(L, args, run.spent)
    this.#running = undefined
    run.spent = spent
    if (result.kind === 'yielded') {
      const { wait } = run.callout
      run.callout.wait = undefined
      if (wait !== undefined) return wait.then(() => this.#goOn(run))
    }
    const outcome = this.#outcome(
      run,
      result.kind === 'failed' ? result.message : undefined,
      result.kind === 'yielded',
    )
    this.#objects.close(run.id)
    this.#wear()
    return outcome
  }

  #goOn(run: Run): Outcome | Promise<Outcome> {
    if (this.#state.broken !== undefined) {
      return { kind: 'failed', message: 'the Lua state was lost while the script waited' }
    }
    try {
      this.#state.lua.lua_settop(run.thread.L, 0)
      return this.#advance(run, 0)
    } catch (error) {
      this.#objects.close(run.id)
      return this.#broke(error)
    }
  }

  #outcome(run: Run, failure: string | undefined, yielded: boolean): Outcome {
    const { L, reference } = run.thread
    if (failure !== undefined || yielded) {
      if (this.#state.broken === undefined) this.#state.release(reference)
      return { kind: 'failed', message: failure ?? 'attempt to yield from outside a coroutine' }
    }
    const { lua } = this.#state
    const type = lua.lua_gettop(L) < 2 ? TYPE.nil : lua.lua_type(L, 2)
    const outcome: Outcome = {
      kind: 'returned',
      value: this.#answer(L, type),
      shown:
        type === TYPE.number || type === TYPE.string
          ? (this.#state.read(L, 2) ?? '')
          : type === TYPE.nil
            ? 'nil'
            : this.#state.typeName(L, 2),
    }
    this.#keepSelf(L, run)
    lua.lua_settop(L, 0)
    if (this.#idle.length < maxIdleThreads) this.#idle.push(run.thread)
    else this.#state.release(reference)
    return outcome
  }

  /** What counts as an answer: nothing, true, or a number. Anything else is NaN, which no constant equals. */
  #answer(L: number, type: number): number | true | undefined {
    if (type <= TYPE.nil) return undefined
    if (type === TYPE.number) return this.#state.lua.lua_tonumber(L, 2)
    return type === TYPE.boolean && this.#state.lua.lua_toboolean(L, 2) === 1 ? true : Number.NaN
  }

  /** Pushes what the callout gets as `self`: a table of the session's own that falls back on the module. */
  #pushSelf(
    L: number,
    of: { readonly script: number; readonly module: Module; readonly session: SessionFacts },
  ): void {
    const { lua } = this.#state
    const kept = this.#selves.get(of.session)?.get(of.script)
    if (kept !== undefined) {
      lua.lua_rawgeti(L, REGISTRY, kept)
      return
    }
    lua.lua_createtable(L, 0, 0)
    lua.lua_rawgeti(L, REGISTRY, of.module.selfMeta)
    lua.lua_setmetatable(L, -2)
  }

  /** Keeps `self` (stack index 1) for the session's next callout when the script wrote into it. */
  #keepSelf(L: number, { callout, script }: Run): void {
    const { lua } = this.#state
    const { session } = callout.subject
    lua.lua_pushnil(L)
    if (lua.lua_next(L, 1) === 0) return
    const ofSession = this.#selves.get(session) ?? new Map<number, number>()
    if (ofSession.has(script)) return
    lua.lua_pushvalue(L, 1)
    ofSession.set(script, lua.luaL_ref(L, REGISTRY))
    this.#selves.set(session, ofSession)
  }

  #pushArgument(
    L: number,
    argument: string,
    { subject, id }: { readonly subject: CalloutSubject; readonly id: number },
  ): void {
    const state = this.#state
    switch (argument) {
      case 'line':
        return state.push(L, subject.line)
      case 'now':
        return state.lua.lua_pushnumber(L, Math.floor(this.#options.now() / 1000))
      case 'auth_info': {
        const { context } = subject.session
        state.lua.lua_createtable(L, 0, 2)
        state.setField(L, -1, 'user', () => state.push(L, context.get('connection', 'auth_user')))
        state.setField(L, -1, 'name', () => state.push(L, context.get('connection', 'auth_name')))
        return
      }
      case 'auth_status':
        return state.lua.lua_pushnumber(L, authStatus[subject.authentication ?? 'error'])
      case 'nil':
        return state.lua.lua_pushnil(L)
      default:
        return this.#objects.push(L, argument as ObjectKind, id)
    }
  }

  #broke(error: unknown): Extract<Outcome, { kind: 'failed' }> {
    const message = error instanceof Error ? error.message : 'unknown exception'
    this.#state.broken ??= message
    this.worn = message
    return { kind: 'failed', message }
  }

  #wear(): void {
    const { broken, budget } = this.#state
    if (broken !== undefined) this.worn = broken
    else if (budget.exceeded === 'memory') this.worn = budget.describe('memory')
    else if (budget.used > this.#wearLimit) {
      try {
        if (this.#state.collect() > this.#wearLimit)
          this.worn = `scripts keep ${Math.round(budget.used / 1_048_576)} MiB`
      } catch (error) {
        this.#broke(error)
      }
    }
  }

  // ---- what scripts call --------------------------------------------------------------------------------------

  #print(L: number): number {
    this.#log.say('info', this.#state.checkString(L, 1))
    return 0
  }

  #logLine(L: number): number {
    const level = this.#state.lua.luaL_checknumber(L, 1)
    this.#log.say(levels[level] ?? 'info', this.#state.checkString(L, 2))
    return 0
  }

  #sleep(L: number): number {
    const seconds = this.#state.lua.luaL_checknumber(L, 1)
    if (!(seconds >= 0 && seconds <= maxSleep))
      throw new ScriptError(`msys.sleep waits from 0 to ${maxSleep} seconds`, 2)
    if (this.#running === undefined) throw new ScriptError('msys.sleep works only in a callout', 2)
    this.#running.wait = this.#options.sleep(seconds * 1000)
    return 0
  }
}

const authStatus = {
  pass: constants.EC_AUTH_OK,
  fail: constants.EC_AUTH_FAIL,
  error: constants.EC_AUTH_ERROR,
} as const
const levels: readonly PanicLevel[] = [
  'critical',
  'critical',
  'critical',
  'error',
  'warning',
  'notice',
  'info',
  'debug',
]
