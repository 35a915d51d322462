/**
 * What a soak does, drawn from its seed: every message and what is to become of it, and every fault of the next hop.
 *
 * The same seed gives the same messages, the same faults for each recipient and attempt, and kills after the same number
 * of messages. How all that interleaves is the machine's.
 */

/** One message of a client: a transaction with one recipient or several. */
export interface Transaction {
  readonly number: number
  /** its recipients are units `first` to `first + recipients - 1` */
  readonly first: number
  readonly recipients: number
  readonly sender: string
  readonly fate: Fate
  readonly bodySize: number
  /** asks for PIPELINING-style sending */
  readonly pipelined: boolean
}

/** `taken`: delivered in the end. Otherwise the stage in which the next hop refuses it for good. */
export type Fate = 'taken' | 'mail' | 'data' | 'message' | 'null-sender'

export interface Plan {
  readonly seed: number
  readonly transactions: readonly Transaction[]
  readonly units: number
  /** transactions that are accepted before each `kill -9` */
  readonly kills: readonly number[]
}

export const DOMAINS = 8
export const ORIGIN = 'origin.test'
/** attempts after which the next hop has no more surprises for a recipient */
const FAULTY_ATTEMPTS = 4

export function makePlan(seed: number, units: number): Plan {
  const transactions: Transaction[] = []
  let first = 0
  while (first < units) {
    const number = transactions.length
    const draw = (what: number): number => chance(seed, number, what)
    const recipients = Math.min(units - first, draw(1) < 0.7 ? 1 : 2 + Math.floor(draw(2) * 3))
    const fate = fateOf(draw(3))
    transactions.push({
      number,
      first,
      recipients,
      sender: senderOf(fate, number),
      fate,
      bodySize: draw(4) < 0.01 ? 150_000 : Math.floor(100 + draw(5) * 2000),
      pipelined: draw(6) < 0.5,
    })
    first += recipients
  }
  return { seed, transactions, units, kills: killsOf(seed, transactions.length) }
}

/** A recipient that is refused by itself, whatever becomes of the others of its message. */
export function refusedAtRcpt(seed: number, unit: number): boolean {
  return chance(seed, unit, 20) < 0.02
}

export function recipientOf(seed: number, unit: number, { number }: Transaction): string {
  // recipients of one message are often in one domain, so that they go out together
  const domain = Math.floor(chance(seed, chance(seed, unit, 21) < 0.6 ? number : unit, 22) * DOMAINS)
  return `u${unit}@d${domain}.hop.test`
}

export type Fault =
  | 'later'
  | 'busy'
  | 'drop'
  | 'slow'
  | 'drop-inside'
  | 'drop-taken'
  | 'drop-untaken'
  | 'hang'

/** What goes wrong at RCPT. Domain 1 is greylisting. */
export function rcptFault(seed: number, unit: number, domain: number, attempt: number): Fault | undefined {
  if (domain === 1 && attempt === 0) return 'later'
  return pick(chance(seed, unit, 30 + attempt), attempt, [
    ['later', 0.03],
    ['drop', 0.01],
    ['slow', 0.01],
    ['busy', 0.005],
  ])
}

/** At DATA, by the first recipient. */
export function dataFault(seed: number, unit: number, attempt: number): Fault | undefined {
  return pick(chance(seed, unit, 50 + attempt), attempt, [
    ['later', 0.01],
    ['drop', 0.008],
    ['slow', 0.005],
    ['busy', 0.003],
    ['drop-inside', 0.01],
  ])
}

/** After the final dot, by the first recipient. */
export function messageFault(seed: number, unit: number, attempt: number): Fault | undefined {
  return pick(chance(seed, unit, 70 + attempt), attempt, [
    ['later', 0.02],
    ['drop-taken', 0.01],
    ['drop-untaken', 0.005],
    ['slow', 0.01],
    ['busy', 0.003],
    ['hang', 0.0005],
  ])
}

/** At the banner, EHLO and MAIL, where nobody knows yet for whom: by the connection and what it has carried. */
export function sessionFault(seed: number, connection: number, step: number): Fault | undefined {
  return pick(chance(seed, connection, 90 + step), 0, [
    ['later', 0.01],
    ['drop', 0.005],
    ['busy', 0.005],
    ['slow', 0.005],
  ])
}

/** 0 ≤ x < 1, the same for the same numbers. */
export function chance(seed: number, a: number, b: number): number {
  let h =
    Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(a + 1, 0xc2b2ae35) ^ Math.imul(b + 1, 0x27d4eb2f)
  for (let round = 0; round < 3; round += 1) {
    h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
    h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  }
  return ((h ^ (h >>> 16)) >>> 0) / 2 ** 32
}

function pick(
  drawn: number,
  attempt: number,
  odds: readonly (readonly [Fault, number])[],
): Fault | undefined {
  if (attempt >= FAULTY_ATTEMPTS) return undefined
  let left = drawn
  for (const [fault, probability] of odds) {
    left -= probability
    if (left < 0) return fault
  }
  return undefined
}

function fateOf(drawn: number): Fate {
  if (drawn < 0.97) return 'taken'
  if (drawn < 0.978) return 'mail'
  if (drawn < 0.986) return 'data'
  return drawn < 0.994 ? 'message' : 'null-sender'
}

/** The next hop knows by the sender what it refuses before it has seen the message. */
function senderOf(fate: Fate, number: number): string {
  if (fate === 'null-sender') return ''
  return `${fate === 'mail' || fate === 'data' ? fate : 's'}${number % 16}@${ORIGIN}`
}

function killsOf(seed: number, transactions: number): readonly number[] {
  const count = Math.max(3, Math.min(40, Math.floor(transactions / 2500)))
  const part = transactions / (count + 1)
  return Array.from({ length: count }, (_, k) => Math.floor(part * (k + 0.5 + chance(seed, k, 99))))
}
