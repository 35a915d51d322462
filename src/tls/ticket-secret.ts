/**
 * The secret behind session tickets (RFC 5077, RFC 8446 §4.6.1).
 *
 * Every hour it is replaced by a one-way function of itself and the old one is forgotten, so that a stolen memory does
 * not open the tickets of past hours. All workers that began with the same state walk the same way without talking.
 * Ticket keys are derived for each digest of trust (`trust.ts`): a ticket from elsewhere cannot be read and means
 * a full handshake, never an error.
 *
 * OpenSSL through Node holds one ticket key per context, so at the change of the hour all older tickets end. With the
 * session timeout this bounds a ticket's life to one hour, and a chain of resumptions as well.
 */

import { createHmac, hkdfSync, randomBytes } from 'node:crypto'

/** milliseconds */
const PERIOD = 3_600_000
const KEY_OCTETS = 48
/** steps that are caught up with after a jump of the clock: eleven years */
const MAX_STEPS = 100_000

/** What a worker needs to go on where another process stands. Secret. */
export interface TicketSecretState {
  readonly period: number
  readonly secret: Buffer
}

export class TicketSecret {
  /** hours since the epoch; undefined until it is used for the first time */
  #period: number | undefined
  #secret: Buffer

  /** @param state of the process that hands the secret on; without it a new one is made */
  constructor(state?: TicketSecretState) {
    this.#period = state?.period
    this.#secret = Buffer.from(state?.secret ?? randomBytes(32))
  }

  /** The hour that the keys belong to. A clock that goes back changes nothing. */
  period(now: number): number {
    const target = Math.floor(now / PERIOD)
    this.#period ??= target
    if (target - this.#period > MAX_STEPS) {
      this.#secret = randomBytes(32)
      this.#period = target
    }
    for (; this.#period < target; this.#period += 1) {
      this.#secret = createHmac('sha256', this.#secret).update('postern ticket secret, next').digest()
    }
    return this.#period
  }

  /** When the hour of `now` is over. */
  periodEnd(now: number): number {
    return (this.period(now) + 1) * PERIOD
  }

  /** Ticket keys for one digest of trust in the hour of `now`: 48 octets, as Node wants them. */
  keysFor(digest: Buffer, now: number): Buffer {
    this.period(now)
    const info = Buffer.concat([Buffer.from('postern ticket keys', 'latin1'), digest])
    return Buffer.from(hkdfSync('sha256', this.#secret, Buffer.alloc(0), info, KEY_OCTETS))
  }

  /** For a worker that starts at `now`. */
  state(now: number): TicketSecretState {
    return { period: this.period(now), secret: Buffer.from(this.#secret) }
  }
}
