/**
 * OCSP where a handshake is judged: a peer that verified is asked about and may be lowered, by nothing else and to
 * nothing else. An error of our own lowers it too, in every mode.
 */

import type { EventSink } from '../../events/events.ts'
import type { WalkInput } from '../chain-walk.ts'
import type { ParsedCrl } from '../crl.ts'
import { type TlsFacts, withdraw } from '../peer.ts'
import { checkChain, withheldAnswers } from './check.ts'
import { OcspClient, type OcspMemory } from './client.ts'
import type { Responder } from './responders.ts'

export interface OcspGateOptions {
  readonly responders: readonly Responder[]
  /** all revocation lists that are at hand */
  readonly lists: () => readonly ParsedCrl[]
  readonly events: EventSink
  /** milliseconds since the epoch */
  readonly clock: () => number
  /** what was learnt before a reload */
  readonly memory: OcspMemory | undefined
  /** told which responders there are instead of one being asked: nothing goes out, and nobody is revoked */
  readonly withheld?: ((responders: readonly Responder[]) => void) | undefined
}

export class OcspGate {
  readonly #options: OcspGateOptions
  readonly #client: OcspClient

  constructor(options: OcspGateOptions) {
    this.#options = options
    const { events, clock, memory } = options
    this.#client = new OcspClient({ events, clock, ...(memory === undefined ? {} : { memory }) })
  }

  get responders(): readonly Responder[] {
    return this.#options.responders
  }

  /** What a reload takes over. */
  get memory(): OcspMemory {
    return this.#client.memory
  }

  /** To be called when revocation lists have changed. */
  listsChanged(): void {
    this.#client.forget()
  }

  /** Never throws, and resolves within the stanzas' Timeout. */
  async judge(facts: TlsFacts, chain: WalkInput, mode: 'hard' | 'soft'): Promise<TlsFacts> {
    if (facts.peer.kind !== 'verified') return facts
    const { responders, lists, events, clock, withheld } = this.#options
    withheld?.(responders)
    try {
      const question = { chain, mode, responders, lists: lists() }
      const client = withheld === undefined ? this.#client : withheldAnswers
      const { withdrawal, forgiven, account } = await checkChain(client, { ...question, now: clock() })
      const told = { ...facts, ocsp: account }
      if (withdrawal !== undefined) return { ...told, peer: withdraw(facts.peer, withdrawal) }
      return forgiven ? { ...told, ocspForgiven: true } : told
    } catch (error) {
      const text = `OCSP: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`
      events.emit({ kind: 'panic', at: clock(), level: 'error', module: 'tls', text })
      return { ...facts, peer: withdraw(facts.peer, { cause: 'ocsp-unavailable', code: 'OCSP_FAILED' }) }
    }
  }
}
