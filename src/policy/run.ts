/**
 * Policy as the session asks it: the scripts of a configuration, in its order, and one verdict for each phase.
 *
 * Never throws and never rejects. Whatever goes wrong in a script (an error, a missing answer, a budget that is used
 * up) is `421 <host> temporary issue, please retry your message later` and a line of the paniclog with the script's
 * file and line; other sessions do not notice. A Lua state that has run out of memory is replaced between callouts.
 */

import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Diagnostic } from '../config/diagnostic.ts'
import type { ScriptSettings } from '../config/settings.ts'
import type { EventSink } from '../events/events.ts'
import { readAnswer } from './answers.ts'
import { Decision, MODULE } from './decision.ts'
import type { BudgetLimits } from './lua/budget.ts'
import { type CalloutSubject, ScriptLog } from './lua/callout.ts'
import { constants } from './lua/catalogue.ts'
import { type EngineOptions, LuaEngine, type Outcome } from './lua/engine.ts'
import type { ScriptSource } from './lua/scripts.ts'
import {
  noPolicy,
  type Phase,
  type PhaseFacts,
  type Policy,
  phaseCallouts,
  type SessionFacts,
} from './phases.ts'
import { answerAfterHandshake } from './tls-note.ts'
import type { Verdict } from './verdict.ts'

export interface PolicyOptions {
  /** in the order of the configuration */
  readonly scripts: readonly ScriptSettings[]
  /** named in the reply of a script that failed */
  readonly hostname: string
  readonly events: EventSink
  /** milliseconds since the epoch */
  readonly clock?: () => number
  /** reads a script; modules that scripts require are read synchronously with `readModule` */
  readonly readFile?: (path: string) => Promise<Uint8Array>
  readonly readModule?: (path: string) => Uint8Array | undefined
  /** what one callout may use; one second and 64 MiB unless given */
  readonly limits?: Partial<BudgetLimits>
}

const defaultLimits: BudgetLimits = { time: 1000, memory: 64 * 1_048_576 }
/** A callout that answers AGAIN is called after this many milliseconds, at most so many times. */
const again = { delay: 100, times: 300 }
/** milliseconds between attempts to make a Lua state after one could not be made */
const rebuildInterval = 1000

/**
 * Loads every script. Error diagnostics mean that the configuration must not be served; the policy is then one that
 * refuses everything that a script would have been asked about.
 */
export async function createPolicy(
  options: PolicyOptions,
): Promise<{ readonly policy: Policy; readonly diagnostics: readonly Diagnostic[] }> {
  if (options.scripts.length === 0) return { policy: noPolicy, diagnostics: [] }
  const diagnostics: Diagnostic[] = []
  const sources: ScriptSource[] = []
  const settings: ScriptSettings[] = []
  for (const script of options.scripts) {
    const source = await readScript(script, options.readFile ?? readFile)
    if ('severity' in source) diagnostics.push(source)
    else {
      sources.push(source)
      settings.push(script)
    }
  }
  const policy = new ScriptPolicy(options, sources)
  for (const [index, findings] of policy.load().entries()) {
    const script = settings[index]
    if (script === undefined) continue
    for (const { severity, message } of findings) {
      diagnostics.push({ severity, message: `script "${script.name}": ${message}`, at: script.at })
    }
  }
  const failed = diagnostics.some(({ severity }) => severity === 'error')
  return { policy: failed ? refuseAll(options.hostname) : policy, diagnostics }
}

/** Stands in where a script is missing: should it be used all the same, it lets nothing pass. */
function refuseAll(hostname: string): Policy {
  return { wants: () => true, ask: () => temporaryIssue(hostname) }
}

/** momentum: message-responses */
function temporaryIssue(hostname: string): Verdict {
  const text = `${hostname} temporary issue, please retry your message later`
  return { kind: 'disconnect', code: 421, text, module: MODULE }
}

async function readScript(
  script: ScriptSettings,
  read: (path: string) => Promise<Uint8Array>,
): Promise<ScriptSource | Diagnostic> {
  const { name, source, path, at } = script
  const failed = (message: string): Diagnostic => ({
    severity: 'error',
    message: `script "${name}": ${message}`,
    at,
  })
  if (/\.[cm]?ts$/.test(source)) return failed('policies in TypeScript are not implemented yet')
  if (path === undefined) return failed(`Unable to open '${source}', errno=2 No such file or directory`)
  // a module path names no file by itself
  const file = /^[./]|\.lua$/.test(source) ? source : path
  try {
    return { name, file, directory: dirname(path), text: await read(path) }
  } catch (error) {
    return failed(`Unable to open '${path}': ${error instanceof Error ? error.message : 'unreadable'}`)
  }
}

/** One callout of one script. */
interface Question {
  readonly script: number
  readonly callout: string
}

/** A phase under way. */
interface Asking {
  readonly phase: Phase
  readonly questions: readonly Question[]
  readonly subject: CalloutSubject
}

class ScriptPolicy implements Policy {
  readonly #hostname: string
  readonly #log: ScriptLog
  readonly #engineOptions: EngineOptions
  #engine: LuaEngine | undefined
  #notBefore = 0
  #questions = new Map<Phase, readonly Question[]>()

  constructor(options: PolicyOptions, scripts: readonly ScriptSource[]) {
    this.#hostname = options.hostname
    const now = options.clock ?? Date.now
    this.#log = new ScriptLog(options.events, now)
    this.#engineOptions = {
      scripts,
      events: options.events,
      limits: { ...defaultLimits, ...options.limits },
      now,
      clocks: { elapsed: () => performance.now(), processor: processorTime },
      sleep: (milliseconds) => delay(milliseconds),
      readModule: remembering(options.readModule ?? readOptional),
    }
  }

  load(): ReturnType<LuaEngine['load']> {
    const engine = new LuaEngine(this.#engineOptions)
    const findings = engine.load()
    this.#engine = engine
    for (const phase of Object.keys(phaseCallouts) as Phase[]) {
      const questions = this.#engineOptions.scripts.flatMap((_, script) =>
        phaseCallouts[phase]
          .filter((callout) => engine.has(script, callout))
          .map((callout) => ({ script, callout })),
      )
      if (questions.length > 0) this.#questions.set(phase, questions)
    }
    return findings
  }

  wants(phase: Phase): boolean {
    return this.#questions.has(phase)
  }

  ask<P extends Phase>(phase: P, facts: PhaseFacts[P]): Verdict | Promise<Verdict> {
    const questions = this.#questions.get(phase)
    if (questions === undefined) return { kind: 'continue' }
    return this.#askFrom({ phase, questions, subject: subjectOf(phase, facts) }, 0, 0)
  }

  ended(session: SessionFacts): void {
    this.#engine?.ended(session)
  }

  /** @param times how often the question at hand was answered with AGAIN */
  #askFrom(asking: Asking, first: number, times: number): Verdict | Promise<Verdict> {
    for (let index = first; index < asking.questions.length; index++) {
      const question = asking.questions[index]
      const engine = this.#ready()
      if (question === undefined || engine === undefined) return temporaryIssue(this.#hostname)
      const outcome = engine.call(question.script, question.callout, asking.subject)
      if (outcome instanceof Promise) {
        return outcome.then(
          (settled) => this.#judge(asking, index, settled, times) ?? this.#askFrom(asking, index + 1, 0),
        )
      }
      const verdict = this.#judge(asking, index, outcome, times)
      if (verdict !== undefined) return verdict
    }
    return this.#conclude(asking, false)
  }

  /** What one script's outcome means for the phase; undefined: ask the next one. */
  #judge(
    asking: Asking,
    index: number,
    outcome: Outcome,
    times: number,
  ): Verdict | Promise<Verdict> | undefined {
    const callout = asking.questions[index]?.callout ?? ''
    if (outcome.kind === 'failed') return this.#failed(callout, outcome.message)
    const { decision } = asking.subject
    const answer = readAnswer(asking.phase, outcome.value, constants)
    if (answer === 'go-on') return undefined
    if (answer === 'stop') return this.#conclude(asking, true)
    if (answer === 'refuse') {
      if ((decision.code ?? 0) < 400) decision.reply(535, '5.7.8 authentication not accepted')
      return this.#conclude(asking, true)
    }
    if (answer === undefined) {
      return this.#failed(callout, `returned ${outcome.shown}, which is none of the answers that it may give`)
    }
    if (times >= again.times) return this.#failed(callout, 'answered VALIDATE_AGAIN too often')
    return delay(again.delay).then(() => this.#askFrom(asking, index, times + 1))
  }

  #conclude({ phase, subject }: Asking, stopped: boolean): Verdict {
    const { decision } = subject
    if (phase === 'tls') {
      const ignored = answerAfterHandshake(decision, subject.session.context.get('connection', '_tls_note'))
      if (ignored !== undefined) this.#log.tell('warning', ignored)
    }
    return decision.verdict(stopped)
  }

  #failed(callout: string, message: string): Verdict {
    this.#log.tell('error', `${callout} error: ${message}`)
    return temporaryIssue(this.#hostname)
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

function subjectOf<P extends Phase>(phase: P, facts: PhaseFacts[P]): CalloutSubject {
  return {
    phase,
    session: facts.session,
    message: 'message' in facts ? facts.message : undefined,
    // Momentum hands over the whole line
    line: 'line' in facts ? `${facts.line}\r\n` : '',
    authentication: 'status' in facts ? facts.status : undefined,
    decision: new Decision(),
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
