/**
 * What is ready to go, by binding and domain, and whose turn it is.
 *
 * Queues take turns, one batch each: messages of one transaction with the same content, at most
 * Max_Recipients_Per_Batch. One that has as many attempts under way as it may have, that is suspended, or that has to
 * wait, is passed over, so a slow one delays only itself. What is urgent goes first in its queue, not before others. The
 * last of all places are for queues that have none (Server_Reserve_Outbound_Connections). A queue is known only while it
 * has a message, and nothing here goes over all queues or messages but `reload` and `all`.
 */

import type { Budget, LimitCounts } from '../config/limit-counts.ts'
import type { OutboundScope } from '../config/settings.ts'
import type { Egress } from '../config/settings-queue.ts'
import { DueHeap } from './due-heap.ts'
import { Fifo } from './fifo.ts'
import { type Lane, Lanes } from './lanes.ts'
import { type MessageTable, NOBODY } from './message-table.ts'
import type { Throttles } from './throttle.ts'

export interface DomainQueue extends Egress {
  readonly index: number
  readonly domain: string
  readonly lanes: { readonly urgent: Lane; readonly ready: Lane }
  /** messages in the lanes */
  waiting: number
  /** messages under way */
  active: number
  /** attempts under way */
  attempts: number
  /** messages that wait for their time */
  delayed: number
  /** messages that failed and whose end is not settled */
  failed: number
  /** messages that an operator's act has taken out, for a moment */
  held: number
  /** envelopes of waiting messages in memory */
  resident: number
  /** before this nothing of it is tried */
  blockedUntil: number
  /** when a host was reached last */
  reachedAt: number
  /** look-ups in a row that failed */
  lookupFailures: number
  /** attempts that reached a host since one reached none */
  proven: number
  scope: OutboundScope
  generation: number
  inRotation: boolean
}

export interface Batch {
  readonly queue: DomainQueue
  /** numbers of the message table, at least one */
  readonly messages: readonly number[]
}

export interface QueueRules {
  /** what holds for a domain in a binding */
  resolve(domain: string, egress: Egress): OutboundScope
  /** whether mail without a binding of its own waits */
  readonly defaultSuspended: boolean
  /** attempts under way at once, in all, and how many of these are for queues that have none */
  readonly capacity: number
  readonly reserve: number
  /** connections under way in all processes of the node, where there are several */
  readonly places?: LimitCounts | undefined
}

/** queues that are looked at in one go: after a reload all have to be, and others want to work in between */
const MAX_LOOKS = 1000
/** queues that are looked at again when an attempt has ended: any number of them may wait for a place */
const LOOKED_AT_AGAIN = 16
/** before other processes are asked for a place again */
const FULL_MS = 200

export class DomainQueues {
  readonly #table: MessageTable
  readonly #lanes: Lanes
  readonly #throttles: Throttles
  readonly #queues = new Map<string, DomainQueue>()
  readonly #byIndex: (DomainQueue | undefined)[] = []
  readonly #freeIndices: number[] = []
  readonly #rotation = new Fifo<DomainQueue>()
  /** queues that may go when fewer attempts are under way */
  readonly #crowdedOut = new Fifo<DomainQueue>()
  readonly #blocked = new DueHeap<DomainQueue>()
  #rules: QueueRules
  #generation = 0
  #ready = 0
  #held = 0
  #attempts = 0
  #unfinished = false

  constructor(table: MessageTable, throttles: Throttles, rules: QueueRules) {
    this.#table = table
    this.#lanes = new Lanes(table)
    this.#throttles = throttles
    this.#rules = rules
  }

  /** messages that wait for their turn, suspended ones included */
  get ready(): number {
    return this.#ready
  }

  /** messages that an operator's act has taken out */
  get held(): number {
    return this.#held
  }

  /** attempts under way */
  get attempts(): number {
    return this.#attempts
  }

  /** whether the last look for a batch ended before it had looked at every queue that may have one */
  get isUnfinished(): boolean {
    return this.#unfinished
  }

  /** when the first queue that has to wait may go on */
  get nextRelease(): number | undefined {
    return this.#blocked.next
  }

  /** every queue that has a message, wherever that stands */
  all(): Iterable<DomainQueue> {
    return this.#queues.values()
  }

  of(message: number): DomainQueue {
    const queue = this.#byIndex[this.#table.queue(message)]
    if (queue === undefined) throw new Error('a message is in no queue')
    return queue
  }

  /** The queue of a binding and domain; it is made if need be, and goes by `settle` when it has no message. */
  open(domain: string, { bindingGroup, binding }: Egress): DomainQueue {
    const key = `${bindingGroup}/${binding}/${domain}`
    const known = this.#queues.get(key)
    if (known !== undefined) return known
    const index = this.#freeIndices.pop() ?? this.#byIndex.length
    const queue: DomainQueue = {
      index,
      domain,
      bindingGroup,
      binding,
      lanes: { urgent: { head: NOBODY, tail: NOBODY }, ready: { head: NOBODY, tail: NOBODY } },
      waiting: 0,
      active: 0,
      attempts: 0,
      delayed: 0,
      failed: 0,
      held: 0,
      resident: 0,
      blockedUntil: 0,
      reachedAt: 0,
      lookupFailures: 0,
      proven: 0,
      scope: this.#rules.resolve(domain, { bindingGroup, binding }),
      generation: this.#generation,
      inRotation: false,
    }
    this.#queues.set(key, queue)
    this.#byIndex[index] = queue
    return queue
  }

  /** A message of it is taken out, or is not any more: then it is somewhere again, or gone. */
  hold(queue: DomainQueue, messages: 1 | -1): void {
    queue.held += messages
    this.#held += messages
    this.settle(queue)
  }

  /** Forgets a queue that has nothing left. */
  settle(queue: DomainQueue): void {
    if (queue.waiting + queue.active + queue.delayed + queue.failed + queue.held > 0) return
    if (this.#byIndex[queue.index] !== queue) return
    this.#queues.delete(`${queue.bindingGroup}/${queue.binding}/${queue.domain}`)
    this.#byIndex[queue.index] = undefined
    this.#freeIndices.push(queue.index)
  }

  /** What holds for a queue now. */
  scope(queue: DomainQueue): OutboundScope {
    if (queue.generation !== this.#generation) {
      queue.generation = this.#generation
      queue.scope = this.#rules.resolve(queue.domain, queue)
    }
    return queue.scope
  }

  push(message: number): void {
    const queue = this.of(message)
    this.#lanes.append(message, this.#laneOf(message, queue))
    this.#count(queue, 1)
    this.#rotate(queue)
  }

  /** Puts one that was withdrawn to the front: nothing was done with it. */
  pushFirst(message: number): void {
    const queue = this.of(message)
    this.#lanes.prepend(message, this.#laneOf(message, queue))
    this.#count(queue, 1)
    this.#rotate(queue)
  }

  /** Takes one that waits out of its lane, wherever it stands in it; it is nowhere then. */
  withdraw(message: number): void {
    const queue = this.of(message)
    this.#lanes.remove(message, this.#laneOf(message, queue))
    this.#count(queue, -1)
  }

  /** Puts messages back to where they were taken from, in their order: nothing was done with them. */
  putBack(messages: readonly number[], now: number): void {
    const [first] = messages
    if (first === undefined) return
    const { scope } = this.of(first)
    this.#throttles.of(scope, 'outbound_throttle_messages')?.giveBack(now, messages.length)
    for (const message of messages.toReversed()) this.pushFirst(message)
  }

  /**
   * The next batch whose turn it is; it counts as under way until `done` is called. Only so many queues are looked at:
   * there may be more to find where `isUnfinished` says so.
   */
  take(now: number): Batch | undefined {
    this.#unfinished = false
    for (let looks = 0; this.#attempts < this.#rules.capacity; looks++) {
      if (looks === MAX_LOOKS) {
        this.#unfinished = true
        return undefined
      }
      const queue = this.#rotation.shift()
      if (queue === undefined) return undefined
      queue.inRotation = false
      // much may have changed since it got in line
      if (!this.#mayGo(queue, now)) continue
      const { options } = this.scope(queue)
      if (this.#isCrowdedOut(queue)) {
        queue.inRotation = true
        this.#crowdedOut.push(queue)
        continue
      }
      const throttle = this.#throttles.of(queue.scope, 'outbound_throttle_messages')
      const allowed = this.#allowed(queue, now)
      if (allowed === 0) continue
      if (this.#rules.places?.take(budgetsOf(queue)) === false) {
        this.block(queue, now + FULL_MS)
        continue
      }
      const { max_recipients_per_batch: most, max_recipients_per_connection: inAll } = options
      const limit = Math.min(most, inAll === 0 ? most : inAll, allowed)
      const messages = this.#batch(queue, limit)
      throttle?.take(now, messages.length)
      queue.active += messages.length
      queue.attempts++
      this.#attempts++
      this.#rotate(queue)
      return { queue, messages }
    }
    return undefined
  }

  /** A batch is not under way any more; what has become of its messages is settled. */
  done({ queue, messages }: Batch): void {
    queue.active -= messages.length
    queue.attempts--
    this.#attempts--
    this.#rules.places?.give(budgetsOf(queue).map(({ counter }) => counter))
    for (let n = 0; n < LOOKED_AT_AGAIN; n++) {
      const waiting = this.#crowdedOut.shift()
      if (waiting === undefined) break
      waiting.inRotation = false
      this.#rotate(waiting)
    }
    this.#rotate(queue)
    this.settle(queue)
  }

  /** Nothing of this queue is tried before `until`. */
  block(queue: DomainQueue, until: number): void {
    if (until <= queue.blockedUntil) return
    queue.blockedUntil = until
    this.#blocked.push(until, queue)
  }

  /** A queue need not wait any more: what holds it back may do so anew. */
  unblock(queue: DomainQueue): void {
    queue.blockedUntil = 0
    queue.lookupFailures = 0
    this.#rotate(queue)
  }

  /** Lets those go on whose time has come. */
  release(now: number): void {
    for (let queue = this.#blocked.popDue(now); queue !== undefined; queue = this.#blocked.popDue(now))
      this.#rotate(queue)
  }

  /** New rules for every queue; each is looked at when its turn comes. */
  reload(rules: QueueRules): void {
    this.#rules = rules
    this.#generation++
    for (const queue of this.#queues.values()) {
      queue.blockedUntil = 0
      this.#rotate(queue)
    }
  }

  /** Messages that may be taken now; where there are none the queue has been told when to come back. */
  #allowed(queue: DomainQueue, now: number): number {
    const { options } = queue.scope
    const connections = this.#throttles.of(queue.scope, 'outbound_throttle_connections')
    // a connection that is kept may do: then none is made
    const mayReuse = queue.attempts > 0 || queue.reachedAt + options.idle_timeout * 1000 > now
    if (connections !== undefined && !mayReuse && connections.available(now) === 0) {
      this.block(queue, connections.promise(now))
      return 0
    }
    const messages = this.#throttles.of(queue.scope, 'outbound_throttle_messages')
    const allowed = messages?.available(now) ?? Number.POSITIVE_INFINITY
    if (allowed === 0 && messages !== undefined) this.block(queue, messages.promise(now))
    return allowed
  }

  /** Takes the first message that waits, and those right behind it that can go with it. */
  #batch(queue: DomainQueue, limit: number): readonly number[] {
    const lane = queue.lanes.urgent.head === NOBODY ? queue.lanes.ready : queue.lanes.urgent
    const content = this.#table.content(lane.head)
    const messages: number[] = []
    do {
      messages.push(lane.head)
      this.#lanes.remove(lane.head, lane)
    } while (lane.head !== NOBODY && messages.length < limit && this.#table.content(lane.head) === content)
    this.#count(queue, -messages.length)
    return messages
  }

  #laneOf(message: number, { lanes }: DomainQueue): Lane {
    return this.#table.is(message, 'urgent') ? lanes.urgent : lanes.ready
  }

  #count(queue: DomainQueue, messages: number): void {
    queue.waiting += messages
    this.#ready += messages
  }

  #rotate(queue: DomainQueue): void {
    if (queue.inRotation || queue.waiting === 0) return
    queue.inRotation = true
    this.#rotation.push(queue)
  }

  /** Whether nothing of it is tried, because the configuration says so. */
  isSuspended(queue: DomainQueue): boolean {
    const unbound = queue.binding === 'default' && queue.bindingGroup === 'default'
    return this.scope(queue).options.suspend_delivery || (unbound && this.#rules.defaultSuspended)
  }

  #mayGo(queue: DomainQueue, now: number): boolean {
    if (queue.waiting === 0 || queue.blockedUntil > now || this.isSuspended(queue)) return false
    const { max_outbound_connections: limit, connection_allocation_aggressiveness } = queue.scope.options
    // one that nobody knows yet is not stormed
    if (connection_allocation_aggressiveness === 'normal' && queue.attempts > queue.proven) return false
    return limit === 0 || queue.attempts < limit
  }

  #isCrowdedOut({ attempts, scope }: DomainQueue): boolean {
    const { capacity, reserve } = this.#rules
    if (this.#attempts >= scope.options.server_max_outbound_connections) return true
    return attempts > 0 && this.#attempts >= capacity - reserve
  }
}

function budgetsOf({ domain, bindingGroup, binding, scope: { options } }: DomainQueue): readonly Budget[] {
  return [
    { counter: `out ${bindingGroup}/${binding}/${domain}`, limit: options.max_outbound_connections },
    { counter: 'out', limit: options.server_max_outbound_connections },
  ]
}
