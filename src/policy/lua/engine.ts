/**
 * All scripts of a configuration in one Lua state: loads them, and calls their functions.
 *
 * Every callout runs in a thread of its own and may suspend (`msys.sleep`); the promise that comes back then is
 * settled when it ends. An engine that has run out of memory or is broken says so (`worn`) and is replaced by its
 * owner; callouts that are suspended in it still end in it.
 */

import type { EventSink } from '../../events/events.ts'
import type { PolicyOffers } from '../offers.ts'
import type { SessionFacts } from '../phases.ts'
import { type ArgumentSources, pushArguments } from './arguments.ts'
import type { BudgetClocks, BudgetLimits } from './budget.ts'
import { Callout, type CalloutSubject, panicLevels, ScriptLog, type Wait } from './callout.ts'
import { KnownStrings } from './known-strings.ts'
import { buildLibrary } from './lib/build.ts'
import type { LibraryServices } from './lib/services.ts'
import { Waits } from './lib/waits.ts'
import { openLibrary } from './library.ts'
import { type Module, ScriptLoader } from './loader.ts'
import { HostObjects } from './objects.ts'
import { ScriptOffers } from './offers.ts'
import type { Outcome, Task } from './outcome.ts'
import type { Finding, ScriptSource } from './scripts.ts'
import { Spares } from './spares.ts'
import { LuaState, REGISTRY, TYPE } from './state.ts'

export interface EngineOptions {
  readonly scripts: readonly ScriptSource[]
  readonly events: EventSink
  readonly limits: BudgetLimits
  /** milliseconds since the epoch */
  readonly now: () => number
  /** what the time budget is measured with */
  readonly clocks: BudgetClocks
  /** what the library's functions work with outside of Lua */
  readonly library: LibraryServices
  /** a module's text by absolute path; undefined when there is no such file. The same answer for an engine's life. */
  readonly readModule: (path: string) => Uint8Array | undefined
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
  /** whose callout this is; undefined outside of sessions */
  readonly script: number | undefined
  spent: number
}

const maxIdleThreads = 64

export class LuaEngine {
  /** whether the state has to be replaced before the next callout, and why */
  worn: string | undefined
  /** console commands and authentication schemes that scripts registered */
  readonly offers: ScriptOffers

  readonly #options: EngineOptions
  readonly #state: LuaState
  readonly #spares: Spares
  readonly #objects: HostObjects
  readonly #log: ScriptLog
  readonly #loader: ScriptLoader
  readonly #arguments: ArgumentSources
  readonly #idle: Thread[] = []
  readonly #modules: (Module | undefined)[] = []
  /** what a session's `self` holds, by script: registry references */
  readonly #selves = new WeakMap<SessionFacts, Map<number, number>>()
  readonly #closers: (() => void)[] = []
  #running: Callout | undefined
  #wearLimit: number

  /** @throws LuaFatalError when no state can be made */
  constructor(options: EngineOptions) {
    this.#options = options
    this.#state = new LuaState(options.limits, options.clocks)
    this.#log = new ScriptLog(options.events, options.now)
    const current = (): Callout | undefined => this.#running
    const waits = new Waits(this.#state, current)
    this.#spares = new Spares(this.#state)
    this.#objects = new HostObjects({
      state: this.#state,
      known: new KnownStrings(this.#state),
      spares: this.#spares,
      log: this.#log,
      waits,
      current,
    })
    this.#loader = new ScriptLoader({ state: this.#state, log: this.#log, readModule: options.readModule })
    this.#arguments = { state: this.#state, objects: this.#objects, now: options.now }
    this.#wearLimit = options.limits.memory / 2
    this.offers = new ScriptOffers({
      state: this.#state,
      log: this.#log,
      run: (task) => this.run(task),
      functions: () => this.#functions(),
    })
    const library = buildLibrary({
      state: this.#state,
      log: this.#log,
      waits,
      services: options.library,
      offers: this.offers,
      current,
      directory: (L) => this.#loader.directory(L),
      run: (task) => this.run(task),
      release: (reference) => this.#release(reference),
      whenClosed: (closer) => this.#closers.push(closer),
      kindOf: (L, index) => this.#objects.kindAt(L, index),
    })
    const engine = {
      ...this.#loader.functions(),
      now: options.now,
      print: (L: number) => this.#print(L),
      log: (L: number) => this.#logLine(L),
      awaited: (L: number) => waits.answer(L),
    }
    openLibrary(this.#state, { objects: this.#objects, engine, library })
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

  /** Whether a script is told when a session is over. */
  hearsEnd(script: number): boolean {
    return this.#modules[script]?.hearsEnd ?? false
  }

  #functions(): PolicyOffers['functions'] {
    return this.#options.scripts.flatMap(({ name }, index) =>
      [...(this.#modules[index]?.functions.keys() ?? [])].map((callout) => ({
        script: name,
        callout,
        at: this.definedAt(index, callout) ?? '',
      })),
    )
  }

  /** `FILE:LINE` on which a function of a script begins; undefined where that cannot be told. */
  definedAt(script: number, callout: string): string | undefined {
    const reference = this.#modules[script]?.functions.get(callout)?.reference
    if (reference === undefined || this.#state.broken !== undefined) return undefined
    return this.#state.definedAt(reference)
  }

  /** Calls a function of a script. Never throws, never rejects. */
  call(script: number, name: string, subject: CalloutSubject): Outcome | Promise<Outcome> {
    const module = this.#modules[script]
    const f = module?.functions.get(name)
    if (module === undefined || f === undefined) return { kind: 'failed', message: `${name} is not loaded` }
    const callout = new Callout(subject)
    const id = this.#objects.open(callout)
    try {
      const thread = this.#idle.pop() ?? this.#state.newThread()
      const { L } = thread
      const { frame } = this.#state
      this.#spares.refill()
      this.#pushSelf(L, { script, module, session: subject.session })
      frame.pushObject(L, f.address, TYPE.function)
      frame.pushObject(L, frame.address(L, 1), TYPE.table)
      const count = pushArguments(this.#arguments, L, f.signature, { subject, id })
      return this.#advance({ thread, callout, id, script, spent: 0 }, count + 1)
    } catch (error) {
      this.#end(id, callout)
      return this.#broke(error)
    }
  }

  /** Calls a function outside of any session, in a callout of its own. Never throws, never rejects. */
  run(task: Task): Outcome | Promise<Outcome> {
    if (this.#state.broken !== undefined) return { kind: 'failed', message: this.#state.broken }
    const callout = new Callout(undefined, task)
    const id = this.#objects.open(callout)
    try {
      const thread = this.#idle.pop() ?? this.#state.newThread()
      const { L } = thread
      // where a session's callout has its `self`
      this.#state.lua.lua_pushnil(L)
      this.#state.lua.lua_rawgeti(L, REGISTRY, task.function)
      const args = task.push?.(L) ?? 0
      return this.#advance({ thread, callout, id, script: undefined, spent: 0 }, args)
    } catch (error) {
      this.#end(id, callout)
      return this.#broke(error)
    }
  }

  /** Stops what runs by itself: timers. Callouts that wait still end. */
  close(): void {
    for (const close of this.#closers.splice(0)) close()
  }

  /** What a session's `self` tables hold is dropped. */
  forget(session: SessionFacts): void {
    const kept = this.#selves.get(session)
    if (kept === undefined || !this.#selves.delete(session)) return
    for (const reference of kept.values()) this.#release(reference)
  }

  // ---- callouts -----------------------------------------------------------------------------------------------

  #advance(run: Run, args: number): Outcome | Promise<Outcome> {
    const { L } = run.thread
    this.#running = run.callout
    this.#loader.running = run.script === undefined ? undefined : this.#options.scripts[run.script]
    this.#log.restart()
    const { result, spent } = this.#state.resume(L, args, run.spent)
    this.#running = undefined
    run.spent = spent
    if (result.kind === 'yielded') {
      const { wait } = run.callout
      run.callout.wait = undefined
      if (wait !== undefined) return this.#suspend(run, wait)
    }
    // a budget that ran out between the beginning of a wait and the suspension: nobody waits for it
    run.callout.wait?.abort()
    run.callout.wait = undefined
    const outcome = this.#outcome(
      run,
      result.kind === 'failed' ? result.message : undefined,
      result.kind === 'yielded',
    )
    this.#end(run.id, run.callout)
    this.#wear()
    return outcome
  }

  /** Goes on when the wait is over, or ends when nobody waits for the callout any more. */
  #suspend(run: Run, wait: Wait): Promise<Outcome> {
    run.callout.answer = wait.answer
    const { gone } = run.callout
    if (gone === undefined) return wait.settled.then(() => this.#goOn(run))
    return new Promise((resolve) => {
      const leave = (): void => {
        wait.abort()
        this.#end(run.id, run.callout)
        this.#release(run.thread.reference)
        resolve({ kind: 'failed', message: 'the client left while the script waited', quiet: true })
      }
      gone.addEventListener('abort', leave, { once: true })
      if (gone.aborted) leave()
      void wait.settled.then(() => {
        gone.removeEventListener('abort', leave)
        if (!gone.aborted) resolve(this.#goOn(run))
      })
    })
  }

  #end(id: number, callout: Callout): void {
    this.#objects.close(id)
    callout.end()
  }

  #release(reference: number): void {
    if (this.#state.broken === undefined) this.#state.release(reference)
  }

  #goOn(run: Run): Outcome | Promise<Outcome> {
    if (this.#state.broken !== undefined) {
      this.#end(run.id, run.callout)
      return { kind: 'failed', message: 'the Lua state was lost while the script waited' }
    }
    try {
      this.#state.lua.lua_settop(run.thread.L, 0)
      return this.#advance(run, 0)
    } catch (error) {
      this.#end(run.id, run.callout)
      return this.#broke(error)
    }
  }

  #outcome(run: Run, failure: string | undefined, yielded: boolean): Outcome {
    const { L, reference } = run.thread
    if (failure !== undefined || yielded) {
      this.#release(reference)
      return { kind: 'failed', message: failure ?? 'attempt to yield from outside a coroutine' }
    }
    const { frame } = this.#state
    const type = frame.type(L, 2)
    const outcome: Outcome = {
      kind: 'returned',
      value: this.#answer(L, type),
      shown: this.#shown(L, type),
    }
    this.#keepSelf(L, run)
    frame.clear(L)
    if (this.#idle.length < maxIdleThreads) this.#idle.push(run.thread)
    else this.#state.release(reference)
    return outcome
  }

  /** What counts as an answer: nothing, true, or a number. Anything else is NaN, which no constant equals. */
  #answer(L: number, type: number): number | true | undefined {
    if (type <= TYPE.nil) return undefined
    if (type === TYPE.number) return this.#state.frame.number(L, 2)
    return type === TYPE.boolean && this.#state.frame.boolean(L, 2) ? true : Number.NaN
  }

  /** What was returned, for the log; a number shows itself. */
  #shown(L: number, type: number): string | undefined {
    if (type <= TYPE.nil) return 'nil'
    if (type === TYPE.number) return undefined
    return type === TYPE.string ? (this.#state.read(L, 2) ?? '') : this.#state.typeName(L, 2)
  }

  /** Pushes what the callout gets as `self`: a table of the session's own that falls back on the module. */
  #pushSelf(
    L: number,
    of: { readonly script: number; readonly module: Module; readonly session: SessionFacts },
  ): void {
    const { lua, frame } = this.#state
    const kept = this.#selves.get(of.session)?.get(of.script)
    if (kept !== undefined) return lua.lua_rawgeti(L, REGISTRY, kept)
    const table = this.#spares.table()
    frame.pushObject(L, table, TYPE.table)
    frame.adorn(table, of.module.selfMeta)
  }

  /** Keeps `self` (stack index 1) for the session's next callout when the script wrote into it. */
  #keepSelf(L: number, { callout, script }: Run): void {
    const { lua } = this.#state
    const { session } = callout
    if (session === undefined || script === undefined) return
    if (this.#state.frame.isBare(L, 1)) return
    lua.lua_pushnil(L)
    if (lua.lua_next(L, 1) === 0) return
    const ofSession = this.#selves.get(session) ?? new Map<number, number>()
    if (ofSession.has(script)) return
    lua.lua_pushvalue(L, 1)
    ofSession.set(script, lua.luaL_ref(L, REGISTRY))
    this.#selves.set(session, ofSession)
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
    const text = this.#state.checkString(L, 1)
    const { print } = this.#running ?? {}
    if (print === undefined) this.#log.say('info', text)
    else print(text)
    return 0
  }

  #logLine(L: number): number {
    const level = this.#state.lua.luaL_checknumber(L, 1)
    this.#log.say(panicLevels[level] ?? 'info', this.#state.checkString(L, 2))
    return 0
  }
}
