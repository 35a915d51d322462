/**
 * Everything that was accepted and is not delivered yet: when it is tried, and what becomes of it.
 *
 * An outcome is durable in the spool before it is told, for each recipient by itself. What failed for good stays in the
 * spool as failed until its bounce is there too, which is then sent like any other message (endings.ts). An outcome that
 * cannot be written is written later, without a second delivery. After a start everything is due at once. Of most
 * messages only a few octets are in memory (message-table.ts); the spool is gone over piece by piece at the start.
 */

import type { EventSink } from '../events/events.ts'
import { routingDomain } from '../mail/envelope.ts'
import type { Spool, StoredMessage } from '../spool/spool.ts'
import { Attempts, describe } from './attempts.ts'
import { Batches, TRY_AGAIN_MS } from './batches.ts'
import type { NoticeOptions } from './bouncing.ts'
import { type Clock, earlier, systemClock } from './clock.ts'
import { DelayedHeap } from './delayed-heap.ts'
import { DomainQueues, type QueueRules } from './domain-queues.ts'
import { Endings, MAX_ENDINGS } from './endings.ts'
import { Faults } from './faults.ts'
import { Fifo } from './fifo.ts'
import { HostGates } from './host-gates.ts'
import { MessageTable } from './message-table.ts'
import { DelayNotices } from './notices/delays.ts'
import { Desk } from './operator/desk.ts'
import { DomainRecords } from './operator/domain-records.ts'
import type { QueueQuestions, QueueTopic } from './operator/orders.ts'
import { LiveAttempts } from './operator/outbound.ts'
import type { DomainCounts, QueueCounts } from './queue-counts.ts'
import { type DeliveryQueueOptions, type QueueSettings, rulesOf } from './queue-options.ts'
import { type Recovered, recover } from './recovery.ts'
import { Residents } from './residents.ts'
import { Router } from './route.ts'
import { Throttles } from './throttle.ts'
import type { Transports } from './transport.ts'

const DEFAULT_CONCURRENCY = 1000

export class DeliveryQueue {
  readonly #spool: Spool
  readonly #events: EventSink
  readonly #clock: Clock
  readonly #concurrency: number
  readonly #node: DeliveryQueueOptions['node']
  readonly #table = new MessageTable()
  readonly #queues: DomainQueues
  readonly #delayed = new DelayedHeap(this.#table)
  readonly #residents = new Residents()
  readonly #batches: Batches
  readonly #endings: Endings
  readonly #delays: DelayNotices
  readonly #desk: Desk
  readonly #records = new DomainRecords()
  /** bounces in the spool whose failed message is there too, by its number */
  readonly #bounces = new Map<number, StoredMessage>()
  /** failed messages whose bounce is to be made */
  readonly #toEnd = new Fifo<number>()
  readonly #running = new Map<Promise<void>, AbortController>()
  readonly #faults: Faults
  #settings: QueueSettings
  #hostname: string
  #router: Router
  #transports: Transports
  #underWay = 0
  #failed = 0
  #ending = 0
  #recovering = 0
  /** the next look for something to do is under way to its turn */
  #goingOn = false
  #phase: 'new' | 'running' | 'stopped' = 'new'
  #alarm: { readonly at: number; readonly cancel: () => void } | undefined

  constructor(options: DeliveryQueueOptions) {
    this.#spool = options.spool
    this.#events = this.#records.before(options.events)
    this.#clock = options.clock ?? systemClock
    this.#concurrency = options.concurrency ?? DEFAULT_CONCURRENCY
    this.#transports = options.transports
    this.#hostname = options.hostname
    this.#settings = options.settings
    this.#router = new Router(options.settings)
    const node = (this.#node = options.node)
    const throttles = new Throttles(node?.workers)
    this.#queues = new DomainQueues(this.#table, throttles, this.#rules())
    const now = (): number => this.#clock.now()
    const { spool, ids } = options
    const events = this.#events
    this.#faults = new Faults(events, now)
    const { panic } = this.#faults
    const live = new LiveAttempts()
    const gates = new HostGates(throttles, now, node?.counts)
    const shared = {
      spool,
      events,
      now,
      table: this.#table,
      queues: this.#queues,
      residents: this.#residents,
      delay: (number: number, until: number): void => this.#delay(number, until),
      fail: (number: number): void => {
        this.#table.mark(number, 'told')
        this.#fail(number)
      },
    }
    this.#batches = new Batches({
      ...shared,
      panic,
      attempts: new Attempts({ spool, ids, now, gates, live, panic }),
      settled: async (number, message, state) => await this.#delays.settled(number, message, state),
    })
    const parts = { spool, ids, clock: this.#clock, events, panic, sign: options.sign }
    this.#endings = new Endings(parts)
    const about = {
      delayed: this.#delayed,
      isStopped: () => this.#phase === 'stopped',
      goOn: () => this.#pump(),
      track: (work: Promise<unknown>) => this.#track(work),
    }
    this.#delays = new DelayNotices({
      ...shared,
      ...parts,
      ...about,
      optionsOf: (number) => this.#noticeOptions(number),
      isUnwritten: (number) => this.#batches.isUnwritten(number),
      send: (notice) => this.#sendNotice(notice),
    })
    this.#desk = new Desk({ ...shared, ...about, ...this.#forDesk(), live, batches: this.#batches })
  }

  #forDesk() {
    return {
      records: this.#records,
      router: () => this.#router,
      isRecovering: () => this.#recovering > 0,
      ended: (id: string) => this.#delays.release(id),
      forgetHosts: () => {
        for (const transport of Object.values(this.#transports)) transport.retryHosts?.()
      },
    }
  }

  get counts(): QueueCounts {
    let domains = 0
    for (const { waiting, active, failed } of this.#queues.all()) if (waiting + active + failed > 0) domains++
    return {
      ready: this.#queues.ready + this.#queues.held + this.#toEnd.size,
      active: this.#underWay,
      delayed: this.#delayed.size,
      failed: this.#failed,
      domains,
      resident: this.#residents.size,
    }
  }

  /** Goes over every domain, for an operator who asks. */
  byDomain(): readonly DomainCounts[] {
    return Array.from(
      this.#queues.all(),
      ({ domain, bindingGroup, binding, waiting, active, delayed, failed, held }) => {
        return { domain, bindingGroup, binding, active: waiting + active + failed + held, delayed }
      },
    )
  }

  /** What an operator wants to know or done. @throws where the queue is being stopped, or the storage fails */
  async ask<T extends QueueTopic>(
    topic: T,
    order: QueueQuestions[T]['order'],
  ): Promise<QueueQuestions[T]['report']> {
    return await this.#desk.ask(topic, order)
  }

  /** Takes over everything that the spool holds, due at once, and begins. */
  start(): void {
    if (this.#phase !== 'new') return
    this.#phase = 'running'
    this.#recover(this.#spool)
  }

  /** Takes over what a part of the spool holds that was opened later. */
  adopt(part: Spool): void {
    if (this.#phase === 'running') this.#recover(part)
  }

  #recover(part: Spool): void {
    this.#recovering++
    const recovering = recover(part, {
      take: (recovered) => this.#takeOver(recovered),
      pause: () => this.#pump(),
      stopped: () => this.#phase === 'stopped',
      piece: this.#settings.global.disk_queue_drain_rate,
    })
    this.#track(
      recovering
        .catch((error: unknown) => this.#faults.panic(`the spool cannot be taken over: ${describe(error)}`))
        .finally(() => this.#recovering--),
    )
  }

  /** A stop waits for it. @param work that never rejects */
  #track(work: Promise<unknown>): void {
    const watched: Promise<void> = work.then(() => void this.#running.delete(watched))
    this.#running.set(watched, new AbortController())
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
    this.#settings = settings
    this.#router = new Router(settings)
    this.#transports = transports
    this.#hostname = hostname
    this.#faults.forget()
    this.#queues.reload(this.#rules())
    this.#pump()
  }

  /**
   * Begins no further attempt and resolves when those under way have ended and their outcomes are written. When the
   * signal aborts they are broken off; a message whose attempt was broken off stays as it was.
   */
  async stop(signal: AbortSignal): Promise<void> {
    this.#phase = 'stopped'
    this.#alarm?.cancel()
    this.#delays.stop()
    const breakOff = (): void => {
      for (const attempt of this.#running.values()) attempt.abort(new Error('the server is shutting down'))
    }
    signal.addEventListener('abort', breakOff, { once: true })
    if (signal.aborted) breakOff()
    await Promise.all(this.#running.keys())
    signal.removeEventListener('abort', breakOff)
    for (const transport of Object.values(this.#transports)) transport.close?.()
  }

  #rules(): QueueRules {
    return rulesOf(this.#settings, this.#router, { concurrency: this.#concurrency, node: this.#node })
  }

  #takeOver(recovered: Recovered): void {
    if (recovered.kind === 'due') this.#add(recovered.message, 'recovered')
    else if (recovered.kind === 'late') this.#delays.hold(recovered.message, recovered.about)
    else {
      const number = this.#enter(recovered.message)
      if (number === undefined) return
      if (recovered.bounce !== undefined) this.#bounces.set(number, recovered.bounce)
      this.#fail(number)
    }
  }

  #add(message: StoredMessage, origin: 'recovered' | 'new'): void {
    const number = this.#enter(message)
    if (number === undefined) return
    const { envelope, state } = message
    if (origin === 'recovered' || state.attempts > 0) this.#table.mark(number, 'mayRepeat')
    if (envelope.priority === 1) this.#table.mark(number, 'urgent')
    const { notBefore = 0 } = envelope
    if (origin === 'new') this.#records.received(envelope)
    this.#delays.watch(number, message)
    if (notBefore > 0) this.#table.mark(number, 'pinned')
    const until = origin === 'new' ? Math.max(notBefore, state.nextAttempt) : notBefore
    if (until > this.#clock.now()) this.#delay(number, until)
    else {
      this.#residents.hold(number, message, this.#queues.of(number))
      this.#queues.push(number)
    }
  }

  /** undefined: it is here already */
  #enter({ envelope }: StoredMessage): number | undefined {
    if (this.#table.has(envelope.id)) return undefined
    const queue = this.#queues.open(routingDomain(envelope), envelope)
    // without content it is alone
    const content = this.#spool.contentKey(envelope.id) ?? Number.NaN
    return this.#table.add(envelope.id, { queue: queue.index, content })
  }

  #delay(number: number, until: number): void {
    this.#queues.of(number).delayed++
    this.#delayed.push(until, number)
    this.#setAlarm()
  }

  #setAlarm(): void {
    const at = earlier(this.#delayed.next, this.#queues.nextRelease)
    if (at === this.#alarm?.at || this.#phase === 'stopped') return
    this.#alarm?.cancel()
    this.#alarm = at === undefined ? undefined : { at, cancel: this.#clock.schedule(at, () => this.#ring()) }
  }

  #ring(): void {
    this.#alarm = undefined
    const now = this.#clock.now()
    for (let number = this.#delayed.popDue(now); number !== undefined; number = this.#delayed.popDue(now)) {
      this.#queues.of(number).delayed--
      if (this.#table.is(number, 'failed')) this.#toEnd.push(number)
      else this.#queues.push(number)
    }
    this.#queues.release(now)
    this.#pump()
  }

  #pump(): void {
    const { soft_bounce_drain_rate: rate } = this.#settings.global
    while (this.#phase === 'running' && this.#ending < Math.min(this.#concurrency, MAX_ENDINGS, rate)) {
      const number = this.#toEnd.shift()
      if (number === undefined) break
      this.#ending++
      this.#begin(1, async () => {
        try {
          await this.#end(number)
        } finally {
          this.#ending--
        }
      })
    }
    while (this.#phase === 'running') {
      const batch = this.#queues.take(this.#clock.now())
      if (batch === undefined) break
      const means = { router: this.#router, transports: this.#transports }
      this.#begin(
        batch.messages.length,
        async (signal) => await this.#batches.run(batch, { ...means, signal }),
      )
    }
    this.#setAlarm()
    if (!this.#queues.isUnfinished || this.#goingOn || this.#phase !== 'running') return
    this.#goingOn = true
    setImmediate(() => {
      this.#goingOn = false
      this.#pump()
    })
  }

  #begin(messages: number, work: (signal: AbortSignal) => Promise<void>): void {
    const attempt = new AbortController()
    this.#underWay += messages
    const running = work(attempt.signal)
      .catch((error: unknown) => this.#faults.panic(describe(error)))
      .finally(() => {
        this.#running.delete(running)
        this.#underWay -= messages
        this.#pump()
      })
    this.#running.set(running, attempt)
  }

  #noticeOptions(number: number): NoticeOptions {
    return { ...this.#queues.scope(this.#queues.of(number)).options, hostname: this.#hostname }
  }

  /** Begins with a notice that its message counts already. */
  #sendNotice(notice: StoredMessage): void {
    const { envelope } = notice
    this.#events.emit({ kind: 'reception', at: envelope.receivedAt, envelope, protocol: 'internal' })
    this.enqueue([notice])
  }

  async #end(number: number): Promise<void> {
    const queue = this.#queues.of(number)
    const end = await this.#endings.end(this.#table.id(number), {
      bounce: this.#bounces.get(number),
      options: this.#noticeOptions(number),
      untold: !this.#table.is(number, 'told'),
    })
    if (end.kind === 'later') {
      if (end.bounce !== undefined) this.#bounces.set(number, end.bounce)
      this.#delay(number, this.#clock.now() + TRY_AGAIN_MS)
      return
    }
    this.#bounces.delete(number)
    this.#table.remove(number)
    this.#failed--
    queue.failed--
    this.#queues.settle(queue)
    if (end.bounce !== undefined) this.#add(end.bounce, 'new')
  }

  #fail(number: number): void {
    this.#table.mark(number, 'failed')
    this.#queues.of(number).failed++
    this.#failed++
    this.#toEnd.push(number)
  }
}
