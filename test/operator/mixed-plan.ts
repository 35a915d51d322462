/**
 * Clients of every kind, drawn from a seed: how they come, whether they log in, and what becomes of each of their messages.
 *
 * The local part of a recipient says what its next hop does, that of a sender what policy does.
 */

import { chance } from '../soak/plan.ts'

/** `barred`: policy does not want the user; `cancelled`: by the client; `unknown`: no such mechanism */
export type Login = 'pass' | 'fail' | 'barred' | 'cancelled' | 'unknown'

export type Protection = 'plain' | 'anonymous' | 'unverified' | 'verified'

/** How a connection ends before it has a message. */
export type Fruitless =
  /** policy turns the address away */
  | 'banned'
  /** there is no room for another session of the address */
  | 'crowded'
  /** policy refuses EHLO */
  | 'bad-name'
  /** no certificate where one is required */
  | 'no-certificate'
  /** octets that are no handshake */
  | 'no-handshake'
  /** it is gone before the handshake begins */
  | 'vanishes'
  /** it leaves in the midst of a message */
  | 'leaves'

export interface Visit {
  readonly number: number
  readonly protection: Protection
  /** from a session that another visit of the same protection had, where there was one */
  readonly resume: boolean
  readonly oldTls: boolean
  /** it comes to where a certificate is required, and has one */
  readonly strict: boolean
  /** what comes of AUTH, in this order; inside TLS only */
  readonly logins: readonly Login[]
  readonly fruitless: Fruitless | undefined
  /** from an address for which nothing is relayed */
  readonly stranger: boolean
  readonly mails: readonly Mail[]
}

export type Fate =
  | 'taken'
  | 'sender-refused'
  | 'recipient-refused'
  | 'relay-refused'
  | 'content-refused'
  | 'copy-refused'
  | 'discarded'
  | 'too-large'
  /** a script throws */
  | 'policy-fails'
  | 'nonsense'
  | 'out-of-order'

export interface Mail {
  readonly number: number
  readonly sender: string
  readonly fate: Fate
  readonly recipients: readonly Recipient[]
  readonly chunked: boolean
}

export interface Recipient {
  readonly address: string
  /** that a DSN of success is asked for */
  readonly notify: boolean
}

const PER_VISIT = 8

/** @param messages how many, those that are refused among them */
export function drawVisits(seed: number, messages: number): readonly Visit[] {
  const visits: Visit[] = []
  for (let drawn = 0; drawn < messages; ) {
    const number = visits.length
    const draw = (what: number): number => chance(seed, number, what)
    const fruitless = fruitlessOf(draw(1))
    const stranger = draw(2) < 0.05
    const count =
      fruitless === undefined ? Math.min(messages - drawn, 1 + Math.floor(draw(3) * PER_VISIT)) : 0
    const first = drawn
    drawn += count
    const protection = protectionOf(draw(4))
    visits.push({
      number,
      protection,
      resume: draw(5) < 0.4,
      oldTls: draw(6) < 0.2,
      strict: protection === 'verified' && fruitless === undefined && !stranger && draw(8) < 0.2,
      // who has logged in is no stranger any more
      logins: protection === 'plain' || stranger ? [] : loginsOf(draw(7)),
      fruitless,
      stranger,
      mails: Array.from({ length: count }, (_, at) => mailOf(seed, first + at, stranger)),
    })
  }
  return visits
}

function fruitlessOf(drawn: number): Fruitless | undefined {
  const kinds = [
    'banned',
    'crowded',
    'bad-name',
    'no-certificate',
    'no-handshake',
    'vanishes',
    'leaves',
  ] as const
  return kinds[Math.floor(drawn / 0.025)]
}

function protectionOf(drawn: number): Protection {
  if (drawn < 0.4) return 'plain'
  if (drawn < 0.6) return 'anonymous'
  return drawn < 0.75 ? 'unverified' : 'verified'
}

function loginsOf(drawn: number): readonly Login[] {
  if (drawn < 0.7) return []
  if (drawn < 0.75) return ['fail']
  if (drawn < 0.8) return ['barred', 'cancelled', 'unknown']
  return drawn < 0.9 ? ['fail', 'fail', 'pass'] : ['pass']
}

function mailOf(seed: number, number: number, stranger: boolean): Mail {
  const draw = (what: number): number => chance(seed, number, 100 + what)
  const fate = stranger ? 'relay-refused' : fateOf(draw(1))
  const many = draw(2) < 0.75 ? 1 : 2 + Math.floor(draw(3) * 3)
  return {
    number,
    sender: senderOf(fate, number, draw(4)),
    fate,
    recipients: Array.from({ length: many }, (_, at) => ({
      address: addressOf(draw(10 + at), number * 10 + at),
      notify: draw(20 + at) < 0.1,
    })),
    chunked: draw(5) < 0.2,
  }
}

function fateOf(drawn: number): Fate {
  const odds: readonly (readonly [Fate, number])[] = [
    ['sender-refused', 0.03],
    ['recipient-refused', 0.03],
    ['content-refused', 0.03],
    ['copy-refused', 0.03],
    ['discarded', 0.03],
    ['too-large', 0.02],
    ['policy-fails', 0.01],
    ['nonsense', 0.02],
    ['out-of-order', 0.02],
  ]
  let left = drawn
  for (const [fate, share] of odds) {
    left -= share
    if (left < 0) return fate
  }
  return 'taken'
}

function senderOf(fate: Fate, number: number, drawn: number): string {
  if (fate === 'sender-refused') return `refused${number}@origin.test`
  if (fate === 'policy-fails') return `broken${number}@origin.test`
  return drawn < 0.05 ? '' : `s${number % 50}@origin.test`
}

/** What the next hop does with it: takes it, at the second time, never, too late, not today; or nobody is there, or asked. */
function addressOf(drawn: number, unit: number): string {
  // recipients of one message are often in one domain, so that they go out together
  const domain = (Math.floor(unit / 10) + (unit % 3 === 2 ? 1 : 0)) % 5
  if (drawn < 0.2) return `u${unit}@gate.example`
  if (drawn < 0.75) return `u${unit}@d${domain}.hop.test`
  if (drawn < 0.85) return `grey${unit}@d${domain}.hop.test`
  if (drawn < 0.95) return `gone${unit}@d${domain}.hop.test`
  if (drawn < 0.96) return `u${unit}@dead.test`
  if (drawn < 0.97) return `u${unit}@brief.test`
  return drawn < 0.985 ? `u${unit}@later.test` : `u${unit}@held.test`
}
