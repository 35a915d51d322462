/**
 * One attempt for the messages of a batch: what is not tried at all, the route, the content, the transport, and what
 * becomes of each message. Nothing here is written down; a fault of ours is a transient failure and a panic event.
 */

import type { OutboundScope } from '../config/settings.ts'
import type { Egress } from '../config/settings-queue.ts'
import { routingDomain } from '../mail/envelope.ts'
import type { IdGenerator } from '../mail/message-id.ts'
import type { Spool, StoredContent, StoredMessage } from '../spool/spool.ts'
import type { HostGates } from './host-gates.ts'
import { wantsSuccess } from './notices/due.ts'
import type { LiveAttempt, LiveAttempts } from './operator/outbound.ts'
import { foregone, judge, type Outcome } from './outcome.ts'
import type { Route, Router } from './route.ts'
import {
  type AttemptResult,
  type Deferred,
  type MessageResult,
  stages,
  type Transports,
} from './transport.ts'

/** What one attempt led to for one message. It is true, and not written down yet. */
export interface Attempted {
  readonly kind: 'attempted'
  readonly connectionId: string
  readonly result: AttemptResult
  readonly outcome: Outcome
  readonly at: number
}

/** `gone`: the message is not in the spool any more */
export type AttemptEnding = Attempted | Deferred | { readonly kind: 'gone' }

/** What the attempt is made with: a generation's routes and ways out. */
export interface AttemptMeans {
  readonly router: Router
  readonly transports: Transports
}

export interface AttemptJob {
  /** they can go in one transaction */
  readonly messages: readonly StoredMessage[]
  readonly scope: OutboundScope
  readonly egress: Egress
  readonly mayRepeat: boolean
  readonly signal: AbortSignal
}

export interface AttemptsOptions {
  readonly spool: Spool
  readonly ids: Pick<IdGenerator, 'next'>
  readonly now: () => number
  readonly gates: HostGates
  readonly live: Pick<LiveAttempts, 'begin' | 'end'>
  /** @param once a fault of the configuration: it is told once until the next reload */
  readonly panic: (text: string, once?: 'once') => void
}

export class Attempts {
  readonly #options: AttemptsOptions

  constructor(options: AttemptsOptions) {
    this.#options = options
  }

  /**
   * @returns an ending for each message, in their order; undefined when the attempt was broken off by the signal, and
   *   nothing is known of any of them
   */
  async make(job: AttemptJob, means: AttemptMeans): Promise<readonly AttemptEnding[] | undefined> {
    const { ids, now } = this.#options
    const { messages, scope } = job
    const connectionId = ids.next()
    const begun = now()
    const attempted = (message: StoredMessage, result: AttemptResult): Attempted => {
      const at = now()
      return {
        kind: 'attempted',
        connectionId,
        result,
        at,
        outcome: judge(message, result, scope.options, at),
      }
    }
    const endings = new Map<StoredMessage, AttemptEnding>()
    for (const message of messages) {
      const instead = foregone(message, scope.options, begun)
      if (instead !== undefined) endings.set(message, attempted(message, instead))
    }
    const rest = messages.filter((message) => !endings.has(message))
    const results = rest.length === 0 ? [] : await this.#try({ ...job, messages: rest }, means, connectionId)
    if (results === undefined) return undefined
    for (const [index, message] of rest.entries()) {
      const result = results[index]
      if (result === undefined) throw new Error('the transport left a message without a result')
      endings.set(message, 'stage' in result ? attempted(message, result) : result)
    }
    return messages.flatMap((message) => endings.get(message) ?? [])
  }

  async #try(
    job: AttemptJob,
    means: AttemptMeans,
    connectionId: string,
  ): Promise<readonly (MessageResult | { readonly kind: 'gone' })[] | undefined> {
    const { spool, panic, live: all, now } = this.#options
    const [first] = job.messages
    if (first === undefined) return []
    const live = all.begin(connectionId, job.messages, now())
    try {
      const content = await spool.read(first.envelope.id)
      // the others are asked for anew: each stands for itself
      if (content === undefined)
        return job.messages.map((message) =>
          message === first ? { kind: 'gone' } : { kind: 'deferred', until: 0 },
        )
      return await this.#send({ ...job, live }, content, means)
    } catch (error) {
      if (job.signal.aborted) return undefined
      panic(`delivery of message ${first.envelope.id} failed: ${describe(error)}`)
      return job.messages.map(() => localFailure('451 4.3.0 [internal] Local error in delivery'))
    } finally {
      all.end(live)
    }
  }

  async #send(
    job: AttemptJob & { readonly live: LiveAttempt },
    content: StoredContent,
    means: AttemptMeans,
  ): Promise<readonly MessageResult[]> {
    const { messages, scope, egress, mayRepeat, signal, live } = job
    const { router, transports } = means
    const route = this.#route(messages[0], scope, router)
    if (route.kind === 'none') return messages.map(() => localFailure('451 4.4.1 [internal] No valid hosts'))
    const gate = this.#options.gates.gate(scope, egress, (names, of) => router.host(names, of))
    const context = { options: scope.options, mayRepeat, gate, signal, live }
    if (route.kind === 'smtp') return await transports.smtp.deliver(messages, content, { ...context, route })
    if (route.kind === 'webhook')
      return arrived(messages, await transports.webhook.deliver(messages, content, { ...context, route }))
    if (route.kind === 'pipe')
      return arrived(messages, await transports.pipe.deliver(messages, content, { ...context, route }))
    const results: MessageResult[] = []
    for (const message of messages) {
      // a mailbox is one recipient's, and so is what goes wrong with it
      const own = this.#route(message, scope, router)
      results.push(
        own.kind === 'maildir'
          ? await this.#guarded(job, message, async () =>
              transports.maildir.deliver([message], content, { ...context, route: own }),
            )
          : { kind: 'deferred', until: 0 },
      )
    }
    return arrived(messages, results)
  }

  #route(message: StoredMessage | undefined, { options }: OutboundScope, router: Router): Route {
    if (message === undefined) return { kind: 'none', problem: '' }
    const { envelope } = message
    const route = router.route({ ...envelope.recipient, domain: routingDomain(envelope) }, options)
    if (route.problem !== undefined) this.#options.panic(route.problem, 'once')
    return route
  }

  /** A fault of ours is one message's. @throws the signal's reason */
  async #guarded(
    { signal }: AttemptJob,
    { envelope }: StoredMessage,
    deliver: () => Promise<readonly MessageResult[]>,
  ): Promise<MessageResult> {
    try {
      const [result] = await deliver()
      if (result !== undefined) return result
    } catch (error) {
      signal.throwIfAborted()
      this.#options.panic(`delivery of message ${envelope.id} failed: ${describe(error)}`)
    }
    return localFailure('451 4.3.0 [internal] Local error in delivery')
  }
}

/** Mail that has come to its end here: whoever asked for it is told (RFC 3461 §5.2.3). */
function arrived(
  messages: readonly StoredMessage[],
  results: readonly MessageResult[],
): readonly MessageResult[] {
  return results.map((result, index) => {
    const envelope = messages[index]?.envelope
    if (result.kind !== 'delivered' || envelope === undefined || !wantsSuccess(envelope)) return result
    return { ...result, notice: 'delivered' }
  })
}

/** Whether two messages with the same content can go in one transaction and over one session. */
export function sameTransaction(a: StoredMessage, b: StoredMessage): boolean {
  return a === b || transactionKey(a) === transactionKey(b)
}

/** Everything of an envelope, besides the recipient, that a session or MAIL FROM depends on. */
function transactionKey({ envelope }: StoredMessage): string {
  const { sender, bodyType, smtpUtf8, dsn, client, connectionContext, messageContext } = envelope
  const login = ['type', 'user', 'pass'].map((key) => messageContext[`outbound_smtp_auth_${key}`])
  const { ehlo_domain, auth_user } = connectionContext
  const asked = [smtpUtf8, dsn?.ret, dsn?.envid]
  return JSON.stringify([sender, bodyType, asked, client.address, client.port, ehlo_domain, auth_user, login])
}

export function localFailure(text: string): AttemptResult {
  return { kind: 'transient', stage: stages.notConnected, text, bytes: 0, remote: '' }
}

export function describe(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
