/**
 * Which of OpenSSL's contexts a handshake is made with. A context is found by a digest of everything that goes into it;
 * the digest of a plan holds until the hour of its ticket keys is over, or a CA or revocation list begins or ends.
 */

import { createHash } from 'node:crypto'
import type { SecureContext } from 'node:tls'
import { type ContextCache, contextWeight } from './context-cache.ts'
import type { Plan } from './plan.ts'
import { contextFacts, makeContext } from './secure-context.ts'
import type { TicketSecret } from './ticket-secret.ts'
import { trustDigest } from './trust.ts'

/** milliseconds since the epoch */
interface Known {
  readonly digest: string
  readonly trust: Buffer
  readonly from: number
  /** from here on it is another */
  readonly until: number
}

export class PlanContexts {
  readonly #cache: ContextCache
  readonly #tickets: TicketSecret
  readonly #known = new WeakMap<Plan, Known>()

  constructor(cache: ContextCache, tickets: TicketSecret) {
    this.#cache = cache
    this.#tickets = tickets
  }

  /** @throws Error when OpenSSL does not take what the plan says */
  of(plan: Plan, now: number): SecureContext {
    const { digest, trust } = this.#digest(plan, now)
    const { cas, crls, tickets } = plan
    return this.#cache.get(
      digest,
      contextWeight((cas?.size ?? 0) + (crls?.size ?? 0)),
      () => makeContext(plan, trust, tickets ? this.#tickets.keysFor(trust, now) : undefined),
      () => contextFacts(plan, now),
    )
  }

  #digest(plan: Plan, now: number): Known {
    const known = this.#known.get(plan)
    if (known !== undefined && now >= known.from && now < known.until) return known
    const { server, range, ciphers, tickets, scope, turningPoints } = plan
    const { options, id: scopeId } = scope
    const trust = trustDigest({ ...plan, options, scopeId }, now)
    const period = tickets ? this.#tickets.period(now) : 0
    const curves = options.tls_ec_curve_names ?? ''
    const parts = [server.digest, ciphers, range, curves, tickets, period, trust.toString('hex')]
    const digest = createHash('sha256').update(JSON.stringify(parts)).digest('hex')
    const ends = [...turningPoints.filter((point) => point > now), this.#tickets.periodEnd(now)]
    const made = { digest, trust, from: now, until: Math.min(...ends) }
    this.#known.set(plan, made)
    return made
  }
}
