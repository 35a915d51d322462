/**
 * Policy as the session asks it: the scripts of a configuration, in its order, and one verdict for each phase.
 *
 * Scripts in Lua and policies in TypeScript are asked in the order in which the configuration names them, each with the
 * context as the one before left it. Never throws and never rejects. Whatever goes wrong in a script (an error, a missing
 * answer, a budget that is used up) is `421 <host> temporary issue, please retry your message later` and a line of the
 * paniclog with the script's file and line; other sessions do not notice.
 */

import { dirname } from 'node:path'
import type { Diagnostic } from '../config/diagnostic.ts'
import type { ScriptSettings } from '../config/settings.ts'
import { reasonOf } from '../config/source.ts'
import type { EventSink } from '../events/events.ts'
import { Decision, MODULE } from './decision.ts'
import type { BudgetLimits } from './lua/budget.ts'
import { ScriptLog } from './lua/callout.ts'
import { readWholeFile } from './lua/lib/file-reader.ts'
import type { LibraryServices } from './lua/lib/services.ts'
import type { ScriptSource } from './lua/scripts.ts'
import { LuaMember } from './lua-member.ts'
import type { Asking, Member, MemberAnswer, Question } from './member.ts'
import type { PolicyOffers } from './offers.ts'
import { type AnyFacts, type AnyPhase, callouts, noPolicy, type Policy, type SessionFacts } from './phases.ts'
import { answerAfterHandshake } from './tls-note.ts'
import type { PolicyDefinition } from './typescript/definition.ts'
import { isModuleScript, judgePolicy, loadModule } from './typescript/load.ts'
import { ModuleMember } from './typescript/module-member.ts'
import type { AnsweredBy, Verdict } from './verdict.ts'

export interface PolicyOptions {
  /** in the order of the configuration */
  readonly scripts: readonly ScriptSettings[]
  /** policies of the program itself, asked after the scripts */
  readonly policies?: readonly PolicyDefinition[]
  /** named in the reply of a script that failed */
  readonly hostname: string
  readonly events: EventSink
  /** milliseconds since the epoch */
  readonly clock?: () => number
  /** reads a script; modules that scripts require are read synchronously with `readModule` */
  readonly readFile?: (path: string) => Promise<Uint8Array>
  readonly readModule?: (path: string) => Uint8Array | undefined
  /** what one callout in Lua may use; one second and 64 MiB unless given */
  readonly limits?: Partial<BudgetLimits>
  /** what the functions of Lua's library work with: the resolver, counters, the configuration; the real things unless given */
  readonly library?: Partial<LibraryServices>
  /** milliseconds that a callout in TypeScript may take, waits included, and that loading one may take; 30 s unless given */
  readonly deadline?: number
}

const defaultDeadline = 30_000

/**
 * Loads every script. Error diagnostics mean that the configuration must not be served; the policy is then one that
 * refuses everything that a script would have been asked about.
 */
export async function createPolicy(
  options: PolicyOptions,
): Promise<{ readonly policy: Policy; readonly diagnostics: readonly Diagnostic[] }> {
  const { scripts, policies = [] } = options
  if (scripts.length === 0 && policies.length === 0) return { policy: noPolicy, diagnostics: [] }
  const log = new ScriptLog(options.events, options.clock ?? Date.now)
  const { places, diagnostics } = await loadScripts(options, log)
  for (const policy of policies) {
    const { place, diagnostics: found } = ownPolicy(policy, options, log)
    places.push(place)
    diagnostics.push(...found)
  }
  const failed = diagnostics.some(({ severity }) => severity === 'error')
  const policy = failed ? refuseAll(options.hostname) : new ScriptPolicy(options.hostname, places, log)
  if (failed) for (const { member } of places) member.retire?.()
  return { policy, diagnostics }
}

/** Stands in where a script is missing: should it be used all the same, it lets nothing pass. */
function refuseAll(hostname: string): Policy {
  return { wants: () => true, ask: () => temporaryIssue(hostname) }
}

/** momentum: message-responses */
function temporaryIssue(hostname: string, by?: AnsweredBy): Verdict {
  const text = `${hostname} temporary issue, please retry your message later`
  return { kind: 'disconnect', code: 421, text, module: MODULE, ...(by === undefined ? {} : { by }) }
}

/** One script: the member that speaks for it, and which of the member's scripts it is. */
interface Place {
  readonly member: Member
  readonly script: number
}

/** octets of a script; a longer file is none */
const MAX_SOURCE = 16 * 1024 * 1024

/** A named pipe would hold whoever changes the configuration for ever, and a device would fill the memory. */
async function readSource(path: string): Promise<Uint8Array> {
  return await readWholeFile(path, MAX_SOURCE)
}

interface Loaded {
  readonly places: Place[]
  readonly diagnostics: Diagnostic[]
}

async function loadScripts(options: PolicyOptions, log: ScriptLog): Promise<Loaded> {
  const { scripts, events, deadline = defaultDeadline, readFile: read = readSource } = options
  const modules = new Map<ScriptSettings, Member>()
  const sources = new Map<ScriptSettings, ScriptSource>()
  const diagnostics: Diagnostic[] = []
  for (const script of scripts) {
    if (isModuleScript(script)) {
      const { policy, diagnostics: found, ...where } = await loadModule(script, read, deadline)
      diagnostics.push(...found)
      if (policy !== undefined)
        modules.set(script, new ModuleMember({ policy, name: script.name, log, deadline, ...where }))
      continue
    }
    const source = await readScript(script, read)
    if ('severity' in source) diagnostics.push(source)
    else sources.set(script, source)
  }
  const now = options.clock ?? Date.now
  const { readModule, limits, library } = options
  const lua = new LuaMember({ scripts: [...sources.values()], events, log, now, readModule, limits, library })
  const order = [...sources.keys()]
  if (sources.size > 0) diagnostics.push(...loadLua(lua, order))
  const places = scripts.flatMap((script): Place[] => {
    const member = modules.get(script)
    if (member !== undefined) return [{ member, script: 0 }]
    return sources.has(script) ? [{ member: lua, script: order.indexOf(script) }] : []
  })
  return { places, diagnostics }
}

function loadLua(lua: LuaMember, scripts: readonly ScriptSettings[]): Diagnostic[] {
  const findings = lua.load()
  return scripts.flatMap(({ name, at }, index) =>
    (findings[index] ?? []).map(({ severity, message }) => ({
      severity,
      message: `script "${name}": ${message}`,
      at,
    })),
  )
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
  if (path === undefined) return failed(`Unable to open '${source}', errno=2 No such file or directory`)
  // a module path names no file by itself
  const file = /^[./]|\.lua$/.test(source) ? source : path
  try {
    return { name, file, directory: dirname(path), text: await read(path) }
  } catch (error) {
    return failed(`Unable to open '${path}': ${reasonOf(error)}`)
  }
}

/** A policy that a program has made itself. */
function ownPolicy(
  policy: PolicyDefinition,
  { deadline = defaultDeadline }: PolicyOptions,
  log: ScriptLog,
): { readonly place: Place; readonly diagnostics: readonly Diagnostic[] } {
  const name = policy.name ?? 'policy'
  const where = (): string => `policy "${name}"`
  const member = new ModuleMember({ policy, name, log, deadline, shown: (file) => file, where })
  const diagnostics = judgePolicy(policy, name).map(
    ({ message }): Diagnostic => ({ severity: 'error', message: `${where()}: ${message}` }),
  )
  return { place: { member, script: 0 }, diagnostics }
}

/** A question and who answers it. */
interface Step {
  readonly member: Member
  readonly question: Question
}

class ScriptPolicy implements Policy {
  readonly #hostname: string
  readonly #log: ScriptLog
  readonly #members: ReadonlySet<Member>
  readonly #steps = new Map<AnyPhase, readonly Step[]>()

  constructor(hostname: string, places: readonly Place[], log: ScriptLog) {
    this.#hostname = hostname
    this.#log = log
    this.#members = new Set(places.map(({ member }) => member))
    for (const phase of Object.keys(callouts) as AnyPhase[]) {
      const steps = places.flatMap(({ member, script }) =>
        member.callouts(script, phase).map((callout) => ({ member, question: { script, callout } })),
      )
      if (steps.length > 0) this.#steps.set(phase, steps)
    }
  }

  wants(phase: AnyPhase): boolean {
    return this.#steps.has(phase)
  }

  ask<P extends AnyPhase>(phase: P, facts: AnyFacts[P]): Verdict | Promise<Verdict> {
    const steps = this.#steps.get(phase)
    if (steps === undefined) return { kind: 'continue' }
    return this.#askFrom({ phase, facts, decision: new Decision() }, steps, 0)
  }

  forget(session: SessionFacts): void {
    for (const member of this.#members) member.forget?.(session)
  }

  ended(session: SessionFacts): void {
    for (const member of this.#members) member.ended?.(session)
  }

  retire(): void {
    for (const member of this.#members) member.retire?.()
  }

  get offers(): PolicyOffers | undefined {
    return [...this.#members].map(({ offers }) => offers).find((offers) => offers !== undefined)
  }

  async close(): Promise<void> {
    this.retire()
    for (const member of this.#members) await member.close?.()
  }

  #askFrom(asking: Asking, steps: readonly Step[], first: number): Verdict | Promise<Verdict> {
    for (let index = first; index < steps.length; index += 1) {
      const step = steps[index]
      if (step === undefined) break
      const answer = step.member.ask(step.question, asking)
      if (answer instanceof Promise) {
        return answer.then(
          (settled) => this.#judge(asking, settled) ?? this.#askFrom(asking, steps, index + 1),
        )
      }
      const verdict = this.#judge(asking, answer)
      if (verdict !== undefined) return verdict
    }
    return this.#conclude(asking, 'go-on')
  }

  /** undefined: ask the next one */
  #judge(asking: Asking, answer: MemberAnswer): Verdict | undefined {
    if (answer === 'go-on') return undefined
    return answer === 'failed'
      ? temporaryIssue(this.#hostname, asking.decision.asked)
      : this.#conclude(asking, answer)
  }

  #conclude({ phase, facts, decision }: Asking, answer: 'go-on' | 'stop' | 'final'): Verdict {
    if (phase === 'tls' && answer !== 'final') {
      const ignored = answerAfterHandshake(decision, facts.session.context.get('connection', '_tls_note'))
      if (ignored !== undefined) this.#log.tell('warning', ignored)
    }
    return decision.verdict(answer !== 'go-on')
  }
}
