/** What the queue is made with. */

import type { LimitCounts } from '../config/limit-counts.ts'
import type { QueueGlobals } from '../config/settings-queue.ts'
import type { EventSink } from '../events/events.ts'
import type { IdGenerator } from '../mail/message-id.ts'
import type { Spool } from '../spool/spool.ts'
import type { BouncingOptions } from './bouncing.ts'
import type { Clock } from './clock.ts'
import type { QueueRules } from './domain-queues.ts'
import type { EndSettings } from './domain-targets.ts'
import type { Router, RouteSettings } from './route.ts'
import type { Transports } from './transport.ts'

export type QueueSettings = EndSettings & RouteSettings & { readonly global: QueueGlobals }

export interface DeliveryQueueOptions extends Pick<BouncingOptions, 'sign'> {
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
  /** set where several processes of a node deliver: what limits are counted by, and how many processes there are */
  readonly node?: { readonly counts: LimitCounts; readonly workers: number } | undefined
}

/** What holds for the queues of domains by these settings. */
export function rulesOf(
  { global }: QueueSettings,
  router: Router,
  { concurrency, node }: { readonly concurrency: number; readonly node: DeliveryQueueOptions['node'] },
): QueueRules {
  const { default_binding, server_reserve_outbound_connections: reserve } = global
  return {
    resolve: (domain, egress) => router.scope(domain, egress),
    defaultSuspended: default_binding === 'suspended',
    capacity: concurrency,
    reserve: Math.min(reserve, Math.floor(concurrency / 4)),
    places: node?.counts,
  }
}
