/** How much there is in the queue of one process. */

import type { Egress } from '../config/settings-queue.ts'

/** How many messages are where. A message under way is in `active` only. */
export interface QueueCounts {
  readonly ready: number
  readonly active: number
  readonly delayed: number
  /** failed for good, and the bounce is not made yet */
  readonly failed: number
  /** domains that have something ready or under way, each in each binding */
  readonly domains: number
  /** messages whose envelopes are in memory although nothing is done with them */
  readonly resident: number
}

/** What waits for one domain in one binding. */
export interface DomainCounts extends Egress {
  /** where the mail is routed; a byte string */
  readonly domain: string
  /** ready or under way */
  readonly active: number
  readonly delayed: number
}
