/**
 * Everything that was accepted and is not delivered yet: when it is tried, and what becomes of it.
 *
 * An outcome is durable in the spool before it is told. What failed for good stays in the spool as failed until its
 * bounce is there too, which is then sent like any other message (bouncing.ts). A fault of ours, in a transport or in
 * reading the spool, is a transient failure and a panic event, never the end of the process; an outcome that cannot be
 * written is written later, without a second delivery. After a start everything is due at once. One timer is armed, for
 * the retry that is due next.
 */

import type { Settings } from '../config/settings.ts'
import type { EventSink } from '../events/events.ts'
import { routingDomain } from '../mail/envelope.ts'
import type { IdGenerator } from '../mail/message-id.ts'
import type { Spool, StoredContent, StoredMessage } from '../spool/spool.ts'
import { bouncedId } from './bounce.ts'
import { Bouncing } from './bouncing.ts'
import { type Clock, systemClock } from './clock.ts'
import { DomainQueues } from './domain-queues.ts'
import { DueHeap } from './due-heap.ts'
import { judge, type Outcome } from './outcome.ts'
import { type DeliverableRoute, Router } from './route.ts'
import { type AttemptContext, type AttemptResult, stages, type Transports } from './transport.ts'

type QueueSettings = Pick<Settings, 'maildirs' | 'resolveOutbound'>

export interface DeliveryQueueOptions {
  readonly spool: Spool
  readonly settings: QueueSettings
  readonly transports: Transports
  readonly events: EventSink
  /** names each attempt's outbound connection */
  readonly ids: Pick<IdGenerator, 'next'>
  /** what bounces say about where they are from */
  readonly hostname: string
  readonly clock?: Clock
  /** attempts under way at once, over all domains; each may hold a socket */
  readonly concurrency?: number
}

/** How many messages are where. A message under way is in `active` only. */
export interface QueueCounts {
  readonly ready: number
  readonly active: number
  readonly delayed: number
  /** failed for good, and the bounce is not made yet */
  readonly failed: number
  /** domains that have something ready or under way */
  readonly domains: number
}

/** What waits for one domain. */
export interface DomainCounts {
  /** where the mail is routed; a byte string */
  readonly domain: string
  /** ready or under way */
  readonly active: number
  readonly delayed: number
}

interface Entry {
  message: StoredMessage
  mayRepeat: boolean
  /** an attempt was made and its outcome could not be written yet */
  unwritten: Attempted | undefined
  /** of a message that failed: its bounce, which is in the spool already */
  bounce: StoredMessage | undefined
}

interface Attempted {
  readonly connectionId: string
  readonly result: AttemptResult
  readonly outcome: Outcome
  readonly at: number
}

const DEFAULT_CONCURRENCY = 1000
/** before an outcome that could not be written is written again */
const TRY_AGAIN_MS = 10_000
/** different faults of the configuration that are told between two reloads */
const MAX_TOLD = 100

export class DeliveryQueue {
  readonly #spool: Spool
  readonly #events: EventSink
  readonly #ids: Pick<IdGenerator, 'next'>
  readonly #clock: Clock
  readonly #concurrency: number
  readonly #domains: DomainQueues<Entry>
  readonly #delayed = new DueHeap<Entry>()
  /** ids of everything that is in here */
  readonly #known = new Set<string>()
  readonly #running = new Map<Promise<void>, AbortController>()
  readonly #told = new Set<string>()
  readonly #bouncing: Bouncing
  #hostname: string
  #router: Router
  #transports: Transports
  #failed = 0
  #phase: 'new' | 'running' | 'stopped' = 'new'
  #alarm: { readonly at: number; readonly cancel: () => void } | undefined

  constructor(options: DeliveryQueueOptions) {
    this.#spool = options.spool
    this.#events = options.events
    this.#ids = options.ids
    this.#clock = options.clock ?? systemClock
    this.#concurrency = options.concurrency ?? DEFAULT_CONCURRENCY
    this.#transports = options.transports
    this.#hostname = options.hostname
    this.#bouncing = new Bouncing({ spool: options.spool, ids: options.ids, clock: this.#clock })
    this.#router = new Router(options.settings)
    this.#domains = new DomainQueues((domain) => this.#router.options(domain))
  }

  get counts(): QueueCounts {
    return {
      ready: this.#domains.ready,
      active: this.#running.size,
      delayed: this.#delayed.size,
      failed: this.#failed,
      domains: this.#domains.domains,
    }
  }

  /** Goes over everything that waits: for an operator who asks. */
  byDomain(): readonly DomainCounts[] {
    const found = new Map<string, { active: number; delayed: number }>()
    for (const { name, waiting, active } of this.#domains.each())
      found.set(name, { active: waiting + active, delayed: 0 })
    for (const { message } of this.#delayed.values()) {
      const domain = routingDomain(message.envelope)
      const counts = found.get(domain) ?? { active: 0, delayed: 0 }
      counts.delayed++
      found.set(domain, counts)
    }
    return [...found].map(([domain, counts]) => ({ domain, ...counts }))
  }

  /** Takes over everything that the spool holds, due at once, and begins. */
  start(): void {
    if (this.#phase !== 'new') return
    this.#phase = 'running'
    this.#recover()
    this.#pump()
  }

  /** Takes messages that the spool has just committed. What is here already stays as it is. */
  enqueue(messages: readonly StoredMessage[]): void {
    for (const message of messages) this.#add(message, 'new')
    this.#pump()
  }

  /** Routes and options for every attempt from now on; attempts under way end as they began. */
  reload(
    settings: QueueSettings,
    transports: Transports = this.#transports,
    hostname: string = this.#hostname,
  ): void {
    const router = new Router(settings)
    this.#router = router
    this.#transports = transports
    this.#hostname = hostname
    this.#told.clear()
    this.#domains.reload((domain) => router.options(domain))
    this.#pump()
  }

  /**
   * Begins no further attempt and resolves when those under way have ended and their outcomes are written. When the
   * signal aborts they are broken off; a message whose attempt was broken off stays as it was.
   */
  async stop(signal: AbortSignal): Promise<void> {
    this.#phase = 'stopped'
    this.#alarm?.cancel()
    const breakOff = (): void => {
      for (const attempt of this.#running.values()) attempt.abort(new Error('the server is shutting down'))
    }
    signal.addEventListener('abort', breakOff, { once: true })
    if (signal.aborted) breakOff()
    await Promise.all(this.#running.keys())
    signal.removeEventListener('abort', breakOff)
    for (const transport of Object.values(this.#transports)) transport.close?.()
  }

  #add(message: StoredMessage, origin: 'recovered' | 'new'): void {
    const { envelope, state } = message
    if (this.#known.has(envelope.id)) return
    this.#known.add(envelope.id)
    const mayRepeat = origin === 'recovered' || state.attempts > 0
    const entry: Entry = { message, mayRepeat, unwritten: undefined, bounce: undefined }
    if (origin === 'recovered' || state.nextAttempt <= this.#clock.now()) this.#makeReady(entry)
    else this.#delay(entry, state.nextAttempt)
  }

  /** A bounce whose message is still here waits for it to go: after a kill in between it is not made a second time. */
  #recover(): void {
    const failed = new Map<string, Entry>()
    const bounces: StoredMessage[] = []
    for (const message of this.#spool.messages()) {
      const { id } = message.envelope
      if (bouncedId(message.envelope) !== undefined && !message.state.failed) bounces.push(message)
      else if (!message.state.failed) this.#add(message, 'recovered')
      else failed.set(id, { message, mayRepeat: true, unwritten: undefined, bounce: undefined })
    }
    for (const bounce of bounces) {
      const about = failed.get(bouncedId(bounce.envelope) ?? '')
      if (about === undefined || about.bounce !== undefined) this.#add(bounce, 'recovered')
      else about.bounce = bounce
    }
    for (const [id, entry] of failed) {
      this.#known.add(id)
      this.#failed++
      this.#makeReady(entry)
    }
  }

  #makeReady(entry: Entry): void {
    const { envelope } = entry.message
    this.#domains.push(routingDomain(envelope), entry, envelope.priority === 1 ? 'urgent' : 'ready')
  }

  #delay(entry: Entry, until: number): void {
    this.#delayed.push(until, entry)
    this.#setAlarm()
  }

  #setAlarm(): void {
    const at = this.#delayed.next
    if (at === this.#alarm?.at || this.#phase === 'stopped') return
    this.#alarm?.cancel()
    this.#alarm = at === undefined ? undefined : { at, cancel: this.#clock.schedule(at, () => this.#ring()) }
  }

  #ring(): void {
    this.#alarm = undefined
    const now = this.#clock.now()
    for (let entry = this.#delayed.popDue(now); entry !== undefined; entry = this.#delayed.popDue(now)) {
      this.#makeReady(entry)
    }
    this.#setAlarm()
    this.#pump()
  }

  #pump(): void {
    while (this.#phase === 'running' && this.#running.size < this.#concurrency) {
      const entry = this.#domains.take()
      if (entry === undefined) return
      this.#begin(entry)
    }
  }

  #begin(entry: Entry): void {
    const attempt = new AbortController()
    const running = this.#attempt(entry, attempt.signal)
      .catch((error: unknown) => {
        this.#panic(`message ${entry.message.envelope.id}: ${describe(error)}`)
        this.#delay(entry, this.#clock.now() + TRY_AGAIN_MS)
      })
      .finally(() => {
        this.#running.delete(running)
        this.#domains.done(routingDomain(entry.message.envelope))
        this.#pump()
      })
    this.#running.set(running, attempt)
  }

  /** One attempt from beginning to end. Rejects, if at all, before anything was settled. */
  async #attempt(entry: Entry, signal: AbortSignal): Promise<void> {
    const failedBefore = entry.message.state.failed
    if (!failedBefore) {
      const attempted = entry.unwritten ?? (await this.#deliver(entry, signal))
      if (attempted === undefined) return
      entry.unwritten = attempted
      await this.#write(entry.message.envelope.id, attempted.outcome)
      entry.unwritten = undefined
      this.#settle(entry, attempted)
    }
    if (!entry.message.state.failed) return
    const end = await this.#bounce(entry)
    if (end === 'forgotten' && failedBefore) this.#notice(entry.message)
  }

  /** Ends a message that failed: first its bounce is durable, then it is forgotten, then the bounce is sent. */
  async #bounce(entry: Entry): Promise<'bounced' | 'forgotten' | 'later'> {
    const { envelope } = entry.message
    const options = { ...this.#router.options(routingDomain(envelope)), hostname: this.#hostname }
    try {
      entry.bounce ??= await this.#bouncing.make(entry.message, options)
    } catch (error) {
      this.#panicOnce(`a bounce cannot be made now: ${describe(error)}`)
      this.#delay(entry, this.#clock.now() + TRY_AGAIN_MS)
      return 'later'
    }
    await this.#spool.remove(envelope.id)
    this.#failed--
    this.#known.delete(envelope.id)
    const { bounce } = entry
    if (bounce === undefined) return 'forgotten'
    this.#events.emit({
      kind: 'reception',
      at: bounce.envelope.receivedAt,
      envelope: bounce.envelope,
      protocol: 'internal',
    })
    this.#add(bounce, 'new')
    return 'bounced'
  }

  /** Its P line may have been written by an earlier process, or by none: a kill may have come first. */
  #notice({ envelope, state }: StoredMessage): void {
    const text = `message ${envelope.id} for ${routingDomain(envelope)} had failed (${state.lastText}) and is forgotten without a bounce`
    this.#events.emit({ kind: 'panic', at: this.#clock.now(), level: 'notice', module: 'delivery', text })
  }

  /** undefined: there is no outcome, since the message is gone or the attempt was broken off by `stop` */
  async #deliver(entry: Entry, signal: AbortSignal): Promise<Attempted | undefined> {
    const { message, mayRepeat } = entry
    const options = this.#router.options(routingDomain(message.envelope))
    const connectionId = this.#ids.next()
    entry.mayRepeat = true
    let result: AttemptResult
    try {
      const content = await this.#spool.read(message.envelope.id)
      if (content === undefined) return this.#gone(message.envelope.id)
      result = await this.#send(message, content, { options, mayRepeat, signal })
    } catch (error) {
      if (signal.aborted) return undefined
      this.#panic(`delivery of message ${message.envelope.id} failed: ${describe(error)}`)
      result = localFailure('451 4.3.0 [internal] Local error in delivery')
    }
    const at = this.#clock.now()
    return { connectionId, result, at, outcome: judge(message, result, options, at) }
  }

  async #send(
    message: StoredMessage,
    content: StoredContent,
    context: Omit<AttemptContext<DeliverableRoute>, 'route'>,
  ): Promise<AttemptResult> {
    const route = this.#router.route({
      ...message.envelope.recipient,
      domain: routingDomain(message.envelope),
    })
    if (route.problem !== undefined) this.#panicOnce(route.problem)
    if (route.kind === 'none') return localFailure('451 4.4.1 [internal] No valid hosts')
    const [result] =
      route.kind === 'maildir'
        ? await this.#transports.maildir.deliver([message], content, { ...context, route })
        : await this.#transports.smtp.deliver([message], content, { ...context, route })
    if (result === undefined || result.kind === 'deferred') throw new Error('the transport made no attempt')
    return result
  }

  async #write(id: string, outcome: Outcome): Promise<void> {
    try {
      if (outcome.state === undefined) await this.#spool.remove(id)
      else await this.#spool.update(id, outcome.state)
    } catch (error) {
      throw new Error(`the outcome of the delivery cannot be written: ${describe(error)}`, { cause: error })
    }
  }

  /** The outcome is durable: tell it, and put the message where it belongs now. */
  #settle(entry: Entry, attempted: Attempted): void {
    const { envelope, state: before } = entry.message
    const { state, told } = attempted.outcome
    if (state === undefined) this.#known.delete(envelope.id)
    else entry.message = { envelope, state }
    if (state?.failed === true) this.#failed++
    if (state?.failed === false) this.#delay(entry, state.nextAttempt)
    const { at, connectionId, result } = attempted
    const facts = { ...result, at, envelope, connectionId, domain: routingDomain(envelope) }
    for (const { kind, text } of told) this.#events.emit({ ...facts, kind, text, retries: before.attempts })
  }

  #gone(id: string): undefined {
    this.#known.delete(id)
    this.#panic(`message ${id} is in the queue but not in the spool; it is not delivered`)
  }

  #panicOnce(text: string): void {
    if (this.#told.has(text) || this.#told.size >= MAX_TOLD) return
    this.#told.add(text)
    this.#panic(text)
  }

  #panic(text: string): void {
    this.#events.emit({ kind: 'panic', at: this.#clock.now(), level: 'error', module: 'delivery', text })
  }
}

function localFailure(text: string): AttemptResult {
  return { kind: 'transient', stage: stages.notConnected, text, bytes: 0, remote: '' }
}

function describe(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
