/**
 * All Lua scripts of a configuration as one member of the policy.
 *
 * A Lua state that has run out of memory is replaced between callouts; one that cannot be made again fails the callout
 * and is tried anew a second later.
 */

import { readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import type { EventSink } from '../events/events.ts'
import { readAnswer, settleAnswer } from './answers.ts'
import { ValidationContext } from './context.ts'
import { Decision } from './decision.ts'
import type { BudgetLimits } from './lua/budget.ts'
import type { CalloutSubject, ScriptLog } from './lua/callout.ts'
import { constants } from './lua/catalogue.ts'
import { type EngineOptions, LuaEngine } from './lua/engine.ts'
import { type LibraryServices, libraryServices } from './lua/lib/services.ts'
import type { ScriptOffers } from './lua/offers.ts'
import type { Outcome } from './lua/outcome.ts'
import type { ScriptSource } from './lua/scripts.ts'
import type { Asking, Member, MemberAnswer, Question } from './member.ts'
import { type AnyPhase, callouts, type SessionFacts } from './phases.ts'

export interface LuaMemberOptions {
  /** in the order of the configuration */
  readonly scripts: readonly ScriptSource[]
  readonly events: EventSink
  readonly log: ScriptLog
  /** milliseconds since the epoch */
  readonly now: () => number
  /** a module's text by absolute path */
  readonly readModule?: ((path: string) => Uint8Array | undefined) | undefined
  readonly limits?: Partial<BudgetLimits> | undefined
  /** what the functions of the library work with; the real things unless given */
  readonly library?: Partial<LibraryServices> | undefined
}

const defaultLimits: BudgetLimits = { time: 1000, memory: 64 * 1_048_576 }
/** A callout that answers AGAIN is called after this many milliseconds, at most so many times. */
const again = { delay: 100, times: 300 }
/** milliseconds between attempts to make a Lua state after one could not be made */
const rebuildInterval = 1000

type Returned = Extract<Outcome, { kind: 'returned' }>

export class LuaMember implements Member {
  readonly #log: ScriptLog
  readonly #engineOptions: EngineOptions
  /** scripts with a validate_dealloc that were asked about a session */
  readonly #asked = new WeakMap<SessionFacts, Set<number>>()
  #engine: LuaEngine | undefined
  #notBefore = 0

  constructor(options: LuaMemberOptions) {
    this.#log = options.log
    this.#engineOptions = {
      scripts: options.scripts,
      events: options.events,
      limits: { ...defaultLimits, ...options.limits },
      now: options.now,
      clocks: { elapsed: () => performance.now(), processor: processorTime },
      library: libraryServices({ now: options.now, ...options.library }),
      readModule: remembering(options.readModule ?? readOptional),
    }
  }

  /** Runs every script once; the findings come in the order of the scripts. Called once, before anything is asked. */
  load(): ReturnType<LuaEngine['load']> {
    const engine = new LuaEngine(this.#engineOptions)
    this.#engine = engine
    return engine.load()
  }

  callouts(script: number, phase: AnyPhase): readonly string[] {
    return callouts[phase].filter((callout) => this.#engine?.has(script, callout) ?? false)
  }

  ask(question: Question, asking: Asking): MemberAnswer | Promise<MemberAnswer> {
    asking.decision.ask(this.#engineOptions.scripts[question.script]?.name ?? '', question.callout)
    if (this.#engine?.hearsEnd(question.script) === true) this.#remember(question, asking)
    return this.#call(question, subjectOf(asking), 0)
  }

  /** Their `self` begins empty again. They still hear of the session's end. */
  forget(session: SessionFacts): void {
    this.#engine?.forget(session)
  }

  /** Scripts that were asked anything about this session hear that it is over: validate_dealloc. */
  ended(session: SessionFacts): void {
    const engine = this.#engine
    if (engine === undefined) return
    const asked = this.#asked.get(session)
    if (asked === undefined) return engine.forget(session)
    this.#asked.delete(session)
    const waiting = [...asked]
      .map((script) => this.#tellScript(engine, script, 'validate_dealloc', session))
      .filter((call) => call instanceof Promise)
    if (waiting.length > 0) void Promise.all(waiting).then(() => engine.forget(session))
    else engine.forget(session)
  }

  /** The scripts are no longer needed: deinit, which must return true. */
  async close(): Promise<void> {
    const engine = this.#engine
    if (engine === undefined) return
    for (const [script, { name }] of this.#engineOptions.scripts.entries()) {
      if (!engine.has(script, 'deinit')) continue
      const outcome = await this.#tellScript(engine, script, 'deinit', nobody())
      if (outcome?.value !== true) this.#log.tell('error', `deinit of ${name} did not return true`)
    }
  }

  #remember({ script }: Question, { facts: { session } }: Asking): void {
    const asked = this.#asked.get(session) ?? new Set()
    this.#asked.set(session, asked.add(script))
  }

  /** Calls a function whose answer decides nothing; undefined when it failed, which the log was told. */
  #tellScript(
    engine: LuaEngine,
    script: number,
    name: string,
    session: SessionFacts,
  ): Returned | undefined | Promise<Returned | undefined> {
    const note = (outcome: Outcome): Returned | undefined => {
      if (outcome.kind === 'returned') return outcome
      this.#log.tell('error', `${name} error: ${outcome.message}`)
      return undefined
    }
    const asking: Asking = { phase: 'accept', facts: { session }, decision: new Decision() }
    const subject = { ...subjectOf(asking), afterwards: true }
    const outcome = engine.call(script, name, subject)
    return outcome instanceof Promise ? outcome.then(note) : note(outcome)
  }

  /** Console commands and authentication schemes of the scripts, as of now: a state that is replaced makes new ones. */
  get offers(): ScriptOffers | undefined {
    return this.#ready()?.offers
  }

  /** Another configuration is in force: timers stop. Sessions that began under this one still get their answers. */
  retire(): void {
    this.#engine?.close()
  }

  /** @param times how often this question was answered with AGAIN */
  #call(question: Question, subject: CalloutSubject, times: number): MemberAnswer | Promise<MemberAnswer> {
    const engine = this.#ready()
    if (engine === undefined) return 'failed'
    const outcome = engine.call(question.script, question.callout, subject)
    if (outcome instanceof Promise)
      return outcome.then((settled) => this.#judge(question, subject, settled, times))
    return this.#judge(question, subject, outcome, times)
  }

  #judge(
    question: Question,
    subject: CalloutSubject,
    outcome: Outcome,
    times: number,
  ): MemberAnswer | Promise<MemberAnswer> {
    const { callout } = question
    const { decision } = subject
    if (outcome.kind === 'failed') {
      decision.failedAt(/^([^\n:]+:\d+): /.exec(outcome.message)?.[1])
      return outcome.quiet === true ? 'failed' : this.#failed(callout, outcome.message)
    }
    const answer = readAnswer(subject.phase, outcome.value, constants)
    if (answer === 'go-on') return 'go-on'
    if (answer === 'stop') return 'stop'
    if (answer === 'refuse' || answer === 'defer' || answer === 'grant') {
      decision.returned(this.#engine?.definedAt(question.script, callout))
      settleAnswer(answer, subject.phase, decision)
      return 'stop'
    }
    if (answer === undefined) {
      decision.returned(this.#engine?.definedAt(question.script, callout))
      return this.#failed(
        callout,
        `returned ${outcome.shown ?? outcome.value}, which is none of the answers that it may give`,
      )
    }
    if (times >= again.times) return this.#failed(callout, 'answered VALIDATE_AGAIN too often')
    return delay(again.delay).then(() => this.#call(question, subject, times + 1))
  }

  #failed(callout: string, message: string): MemberAnswer {
    this.#log.tell('error', `${callout} error: ${message}`)
    return 'failed'
  }

  /** The engine for the next callout: a new one when the last one is worn; undefined when none can be made now. */
  #ready(): LuaEngine | undefined {
    if (this.#engine !== undefined && this.#engine.worn === undefined) return this.#engine
    if (performance.now() < this.#notBefore) return undefined
    if (this.#engine?.worn !== undefined) {
      this.#log.tell(
        'warning',
        `the Lua state is replaced, what scripts kept in it is lost: ${this.#engine.worn}`,
      )
    }
    this.#engine?.close()
    this.#engine = undefined
    try {
      const engine = new LuaEngine(this.#engineOptions)
      const failure = engine
        .load()
        .flat()
        .find(({ severity }) => severity === 'error')
      if (failure !== undefined) throw new Error(failure.message)
      this.#engine = engine
    } catch (error) {
      this.#notBefore = performance.now() + rebuildInterval
      this.#log.tell(
        'critical',
        `scripts cannot be loaded again: ${error instanceof Error ? error.message : 'unknown error'}`,
      )
    }
    return this.#engine
  }
}

function subjectOf({ phase, facts, decision }: Asking): CalloutSubject {
  return {
    phase,
    session: facts.session,
    message: 'message' in facts ? facts.message : undefined,
    line: 'line' in facts ? facts.line : '',
    authentication: 'status' in facts ? facts.status : undefined,
    handshake: 'scopeMode' in facts ? facts : undefined,
    certificate: 'certificate' in facts ? facts.certificate : undefined,
    login: 'login' in facts ? facts.login : undefined,
    decision,
  }
}

/** What a function that belongs to no session gets in its place. */
function nobody(): SessionFacts {
  const nowhere = { address: '', port: 0 }
  return {
    connectionId: '',
    remote: nowhere,
    local: nowhere,
    peer: { kind: 'plaintext' },
    context: new ValidationContext(),
  }
}

/** Milliseconds that this thread has computed. */
function processorTime(): number {
  const { user, system } = process.threadCpuUsage()
  return (user + system) / 1000
}

function readOptional(path: string): Uint8Array | undefined {
  try {
    return readFileSync(path)
  } catch {
    return undefined
  }
}

/** One answer for each path: a state that is made again runs what the first one ran. */
function remembering(
  read: (path: string) => Uint8Array | undefined,
): (path: string) => Uint8Array | undefined {
  const known = new Map<string, Uint8Array | undefined>()
  return (path) => {
    if (!known.has(path)) known.set(path, read(path))
    return known.get(path)
  }
}
