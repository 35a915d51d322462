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

  set(kind: ContextKind, key: string, value: string): void {
    this[kind].set(key, value)
  }

  /** Forgets the message: RSET, a new MAIL, the end of a transaction. */
  clearMessage(): void {
    this.message.clear()
  }

  snapshot(kind: ContextKind): ContextSnapshot {
    return Object.fromEntries(this[kind])
  }
}
