/**
 * A policy in TypeScript as one member.
 *
 * A callout may wait: its promise holds up its own session only, and no longer than the deadline. What it throws, an
 * answer that its phase does not permit and a deadline that passes are the 421 and a line of the panic log. Code that
 * computes without end cannot be stopped in this process: policies in TypeScript are trusted code, and one that holds
 * up the server is told of in the panic log afterwards.
 */

import type { ScriptLog } from '../lua/callout.ts'
import type { Asking, Member, MemberAnswer, Question } from '../member.ts'
import type { AnyPhase } from '../phases.ts'
import { takeAnswer } from './answer.ts'
import { calloutOf } from './callouts.ts'
import type { Call, PolicyDefinition } from './definition.ts'
import { describeError, placeOf, type Shown } from './findings.ts'

export interface ModuleMemberOptions {
  readonly policy: PolicyDefinition
  /** the script's name */
  readonly name: string
  readonly shown: Shown
  /** where one of its methods stands, for messages */
  readonly where: (method: string) => string
  readonly log: ScriptLog
  /** milliseconds that a callout may take, waits included */
  readonly deadline: number
}

/** milliseconds of computing in one go that the panic log is told of */
const longTurn = 1000

export class ModuleMember implements Member {
  readonly #options: ModuleMemberOptions
  readonly #places = new Map<string, string>()

  constructor(options: ModuleMemberOptions) {
    this.#options = options
  }

  callouts(_script: number, phase: AnyPhase): readonly string[] {
    const { method } = calloutOf(phase)
    return this.#options.policy[method] === undefined ? [] : [method]
  }

  ask({ callout }: Question, asking: Asking): MemberAnswer | Promise<MemberAnswer> {
    asking.decision.ask(this.#options.name, callout, this.#placeOf(callout))
    const call = new CalloutCall()
    const started = performance.now()
    let answer: MemberAnswer | Promise<MemberAnswer>
    try {
      const returned = this.#invoke(asking, call)
      answer = isPromise(returned)
        ? this.#wait(returned, call).then(
            (value) => this.#judge(value, callout, asking),
            (error: unknown) => this.#failed(callout, error),
          )
        : this.#judge(returned, callout, asking)
    } catch (error) {
      answer = this.#failed(callout, error)
    }
    const turn = performance.now() - started
    if (turn > longTurn) {
      const { log, name } = this.#options
      const text = `${callout}: the policy "${name}" held up the whole server for ${Math.round(turn)} ms`
      log.tell('warning', text)
    }
    return answer
  }

  #invoke({ phase, facts }: Asking, call: Call): unknown {
    const { policy } = this.#options
    const callout = calloutOf(phase)
    const method = policy[callout.method] as () => unknown
    return Reflect.apply(method, policy, [...callout.args(facts as never), call])
  }

  /** @throws what the promise is rejected with, or an Error when the deadline passes first */
  async #wait(returned: PromiseLike<unknown>, call: CalloutCall): Promise<unknown> {
    const { deadline } = this.#options
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => {
        const error = new LateError(`no answer within ${deadline / 1000} s`)
        reject(error)
        call.abort(error)
      }, deadline)
    })
    try {
      return await Promise.race([returned, late])
    } finally {
      clearTimeout(timer)
    }
  }

  #judge(value: unknown, callout: string, { phase, decision }: Asking): MemberAnswer {
    const answer = takeAnswer(value, phase, decision)
    if (answer !== undefined) return answer
    const { where } = this.#options
    return this.#tell(
      callout,
      where(callout),
      `returned ${show(value)}, which is no answer that this phase permits`,
    )
  }

  /** `FILE:LINE` of a method; a policy of the program's own has none. */
  #placeOf(callout: string): string | undefined {
    let place = this.#places.get(callout)
    if (place === undefined) {
      place = this.#options.where(callout)
      this.#places.set(callout, place)
    }
    return /:\d+$/.test(place) ? place : undefined
  }

  #failed(callout: string, error: unknown): MemberAnswer {
    const { shown, where } = this.#options
    const place = error instanceof LateError ? undefined : placeOf(error, shown)
    return this.#tell(callout, place ?? where(callout), describeError(error))
  }

  #tell(callout: string, place: string, message: string): MemberAnswer {
    this.#options.log.tell('error', `${callout} error: ${place}: ${message}`)
    return 'failed'
  }
}

class LateError extends Error {}

/** Makes the signal only for callouts that ask for it. */
class CalloutCall implements Call {
  #controller: AbortController | undefined
  #reason: Error | undefined

  get signal(): AbortSignal {
    this.#controller ??= new AbortController()
    if (this.#reason !== undefined) this.#controller.abort(this.#reason)
    return this.#controller.signal
  }

  abort(reason: Error): void {
    this.#reason = reason
    this.#controller?.abort(reason)
  }
}

function isPromise(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function'
}

function show(value: unknown): string {
  try {
    return (JSON.stringify(value) ?? String(value)).slice(0, 200)
  } catch {
    return 'something that cannot be shown'
  }
}
