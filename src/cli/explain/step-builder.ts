/** Gathers what there is to say about one step; what happens meanwhile (effects, alarms, answers) falls into it. */

import {
  type Detail,
  type Exchange,
  fromBytes,
  type PolicyAnswer,
  plain,
  type Step,
  type StepName,
  type WithheldEffect,
} from './document.ts'

export interface OpenStep {
  readonly step: StepName
  title: string
  from?: string
  readonly details: Detail[]
  readonly dialogue: Exchange[]
  readonly policy: PolicyAnswer[]
  readonly withheld: WithheldEffect[]
  readonly alarms: string[]
  conditional: boolean
}

/** effects of one explanation that are listed; further ones are withheld all the same, and counted */
const MAX_EFFECTS = 200
const MAX_TEXT = 400
const MAX_ALARMS = 50

export class Steps {
  readonly #steps: OpenStep[] = []
  #effects = 0

  get all(): readonly Step[] {
    return this.#steps
  }

  get current(): OpenStep {
    return this.#steps.at(-1) ?? this.begin('policy', 'Before the connection')
  }

  /** Something has been withheld: what follows may come out otherwise. */
  get conditional(): boolean {
    return this.#effects > 0
  }

  begin(step: StepName, title: string, from?: string): OpenStep {
    const open: OpenStep = {
      step,
      title: plain(title),
      ...(from === undefined ? {} : { from: plain(from) }),
      details: [],
      dialogue: [],
      policy: [],
      withheld: [],
      alarms: [],
      conditional: this.conditional,
    }
    this.#steps.push(open)
    return open
  }

  /** Takes back a step about which there was nothing to say. */
  dropIfEmpty({ details, dialogue, policy, withheld, alarms }: OpenStep): void {
    if (details.length + dialogue.length + policy.length + withheld.length + alarms.length === 0)
      this.#steps.pop()
  }

  detail(name: string, value: string, from?: string): void {
    this.current.details.push({
      name,
      value: plain(value),
      ...(from === undefined ? {} : { from: plain(from) }),
    })
  }

  alarm(text: string): void {
    const { alarms } = this.current
    if (alarms.length < MAX_ALARMS) alarms.push(cut(fromBytes(text)))
  }

  /** @param values byte strings */
  withhold(effect: string, values: readonly string[], answered: string): void {
    this.#effects += 1
    const { current } = this
    current.conditional = true
    const shown = values.map((value) => cut(fromBytes(value)))
    if (this.#effects <= MAX_EFFECTS) current.withheld.push({ effect, arguments: shown, answered })
    else if (this.#effects === MAX_EFFECTS + 1)
      current.withheld.push({ effect: 'more', arguments: [], answered: 'withheld too, and not listed' })
  }
}

function cut(text: string): string {
  return text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text
}
