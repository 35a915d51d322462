/**
 * Policy with a witness: the scripts are asked as ever, their answers are noted, and nobody waits in a tarpit.
 */

import type { AnyFacts, AnyPhase, Policy, SessionFacts } from '../../policy/phases.ts'
import type { Verdict } from '../../policy/verdict.ts'
import { fromBytes, type PolicyAnswer, plain } from './document.ts'
import type { Steps } from './step-builder.ts'

export class RecordingPolicy implements Policy {
  readonly #policy: Policy
  readonly #steps: Steps

  constructor(policy: Policy, steps: Steps) {
    this.#policy = policy
    this.#steps = steps
  }

  wants(phase: AnyPhase): boolean {
    return this.#policy.wants(phase)
  }

  ask<P extends AnyPhase>(phase: P, facts: AnyFacts[P]): Verdict | Promise<Verdict> {
    const verdict = this.#policy.ask(phase, facts)
    return verdict instanceof Promise
      ? verdict.then((settled) => this.#note(phase, settled))
      : this.#note(phase, verdict)
  }

  forget(session: SessionFacts): void {
    this.#policy.forget?.(session)
  }

  ended(session: SessionFacts): void {
    this.#policy.ended?.(session)
  }

  get offers(): Policy['offers'] {
    return this.#policy.offers
  }

  #note(phase: AnyPhase, verdict: Verdict): Verdict {
    const { answer, seconds } = withoutTarpit(verdict)
    this.#steps.current.policy.push({
      phase,
      ...describe(answer),
      ...(seconds > 0 ? { tarpit: seconds } : {}),
    })
    return answer
  }
}

type Settled = Exclude<Verdict, { kind: 'tarpit' }>

function withoutTarpit(verdict: Verdict): { readonly answer: Settled; readonly seconds: number } {
  let seconds = 0
  let answer = verdict
  while (answer.kind === 'tarpit') {
    seconds += answer.seconds
    answer = answer.then
  }
  return { answer, seconds }
}

function describe(verdict: Settled): Omit<PolicyAnswer, 'phase'> {
  if (verdict.kind === 'continue' || verdict.kind === 'done') return { answer: verdict.kind }
  const { kind, text, module, by } = verdict
  const script = by && {
    name: plain(by.name),
    callout: plain(by.callout),
    ...(by.from === undefined ? {} : { from: plain(by.from) }),
    ...(by.defined === undefined ? {} : { defined: plain(by.defined) }),
  }
  return {
    answer: kind,
    ...('code' in verdict ? { code: verdict.code } : {}),
    text: fromBytes(text.replaceAll('\n', ' / ')),
    module,
    ...(script === undefined ? {} : { script }),
  }
}
