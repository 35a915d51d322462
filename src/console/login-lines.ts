/** Lines of a client that logs in: `login MECHANISM [BASE64]`, then one line of base64 for each challenge. */

import type { Door, LoginStep } from './door.ts'
import type { Frame } from './protocol.ts'

/** failures of one connection after which it is closed */
const MAX_FAILURES = 3
/** lines of somebody who has not logged in and talks of other things */
const MAX_STRAY = 3

export interface LoginEnd {
  readonly frame: Frame
  readonly close: boolean
  readonly operator?: Extract<LoginStep, { kind: 'passed' }>['operator']
}

/** The logins of one connection. Nothing of what a client says here reaches a log or an answer. */
export class LoginLines {
  readonly #door: Door
  #underWay = false
  #failures = 0
  #stray = 0

  constructor(door: Door) {
    this.#door = door
  }

  /** Whether the next line is an answer to a challenge. */
  get underWay(): boolean {
    return this.#underWay
  }

  /** Whether a line begins a login. */
  static begins(line: string): boolean {
    return /^\s*login(?:\s|$)/i.test(line)
  }

  async take(line: string): Promise<LoginEnd> {
    if (this.#underWay) return this.#after(await this.#door.next(line.trim()))
    const [, mechanism = '', initial, ...rest] = line.trim().split(/\s+/)
    if (mechanism === '' || rest.length > 0) return refusal('write: login MECHANISM', this.#isStray())
    return this.#after(await this.#door.begin(mechanism.toUpperCase(), initial))
  }

  /** A command of somebody who has not logged in. */
  turnAway(): LoginEnd {
    return refusal('Authentication required: log in first', this.#isStray())
  }

  #isStray(): boolean {
    this.#stray += 1
    return this.#stray >= MAX_STRAY
  }

  #after(step: LoginStep): LoginEnd {
    this.#underWay = step.kind === 'challenge'
    switch (step.kind) {
      case 'challenge':
        return { frame: { status: 'challenge', text: `${step.data}\n` }, close: false }
      case 'noted':
        return { frame: { status: 'ok', text: '' }, close: this.#isStray() }
      case 'passed':
        return {
          frame: { status: 'ok', text: '' },
          close: false,
          operator: step.operator,
        }
      case 'failed':
    }
    this.#failures += 1
    return refusal(step.reason, step.close || this.#failures >= MAX_FAILURES)
  }
}

function refusal(text: string, close: boolean): LoginEnd {
  return { frame: { status: 'error', text: `${text}\n` }, close }
}
