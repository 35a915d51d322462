/**
 * The validation context (Momentum: 4-policy, 4-policy-context-variables): two dictionaries of byte strings, one for
 * the connection and one for the message.
 */

import type { ContextSnapshot } from '../mail/envelope.ts'

export type ContextKind = 'connection' | 'message'

export class ValidationContext {
  readonly connection = new Map<string, string>()
  readonly message = new Map<string, string>()

  /** A missing key reads as ''. */
  get(kind: ContextKind, key: string): string {
    return this[kind].get(key) ?? ''
  }

  /**
   * @throws RangeError for text that is no byte string: cut down to octets later, U+010A would end a line of a log.
   *   `Buffer.from(text).toString('latin1')` makes one of any text.
   */
  set(kind: ContextKind, key: string, value: string): void {
    if (BEYOND_OCTETS.test(value) || BEYOND_OCTETS.test(key)) {
      throw new RangeError('a context holds byte strings: Buffer.from(text).toString("latin1") makes one')
    }
    this[kind].set(key, value)
  }

  delete(kind: ContextKind, key: string): void {
    this[kind].delete(key)
  }

  /** Forgets the message: RSET, a new MAIL, the end of a transaction. */
  clearMessage(): void {
    // an empty one is cleared at no less cost
    if (this.message.size > 0) this.message.clear()
  }

  /** Another one with the same keys. */
  copy(): ValidationContext {
    const copy = new ValidationContext()
    this.connection.forEach((value, key) => copy.connection.set(key, value))
    this.message.forEach((value, key) => copy.message.set(key, value))
    return copy
  }

  snapshot(kind: ContextKind): ContextSnapshot {
    return snapshotOf(this[kind])
  }
}

export function snapshotOf(keys: ReadonlyMap<string, string>): ContextSnapshot {
  const snapshot: Record<string, string> = {}
  // no pair for each key, as Object.fromEntries makes
  keys.forEach((value, key) => {
    if (key === '__proto__') Object.defineProperty(snapshot, key, { ...OWN, value })
    else snapshot[key] = value
  })
  return snapshot
}

/** as assignment makes any other key */
const OWN = { enumerable: true, configurable: true, writable: true } as const

const BEYOND_OCTETS = /[^\0-\xff]/
