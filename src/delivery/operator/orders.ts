/**
 * What an operator can ask the queue of one process, and what it answers: plain data, because it goes from process to
 * process. Names of domains, addresses and answers are byte strings; times are milliseconds since the epoch.
 */

import type { Egress } from '../../config/settings-queue.ts'
import type { DomainRecord } from './domain-records.ts'

/** Which messages. What is left out does not restrict. */
export interface Selection {
  readonly id?: string
  /** where they are routed */
  readonly domain?: string
  /** by name, in any group */
  readonly binding?: string
  readonly bindingGroup?: string
  readonly filter?: Filter
}

/** What is looked for inside a message. */
export type Filter =
  /** a key of the message's context, or of the connection's where the message has none of that name */
  | { readonly kind: 'meta'; readonly key: string; readonly value: string }
  /** one line of a header field, as it stands there */
  | { readonly kind: 'header'; readonly name: string; readonly line: string }

/**
 * `underWay`: an attempt is under way, or its outcome is being written. `ready`: it waits for its turn. `delayed`: for its
 * time. `ending`: it is not tried again; its sender is being told.
 */
export type Stand = 'underWay' | 'ready' | 'delayed' | 'ending'

export interface MessageRow extends Egress {
  readonly id: string
  readonly stand: Stand
  readonly domain: string
  /** as in an SMTP path; '' is the null sender */
  readonly sender: string
  readonly recipient: string
  readonly created: number
  /** octets */
  readonly size: number
  readonly attempts: number
  /** of one that is delayed */
  readonly nextAttempt: number | undefined
  /** the last answer; '' = there was none */
  readonly lastReply: string
}

export interface ListOrder {
  readonly selection: Selection
  /** rows, at most MAX_ROWS: those that leave first */
  readonly rows: number
}

export interface ListReport {
  readonly rows: readonly MessageRow[]
  /** that fit */
  readonly messages: number
  /** the spool is still being read after a start: there may be more */
  readonly incomplete: boolean
}

/** rows of a listing */
export const MAX_ROWS = 5000

export type Act =
  /** delayed ones are tried now */
  | { readonly kind: 'flush' }
  /** @property text the answer that they fail with. @property quiet nobody is told */
  | { readonly kind: 'fail'; readonly text: string; readonly quiet: boolean }
  /** ready ones wait so many seconds */
  | { readonly kind: 'delay'; readonly seconds: number }
  /** they go where mail for this domain goes */
  | { readonly kind: 'reroute'; readonly domain: string }
  | { readonly kind: 'rebind'; readonly egress: Egress }

export interface ActOrder {
  readonly act: Act
  readonly selection: Selection
  /** nothing is done, but counted and listed */
  readonly dryRun: boolean
}

export interface ActReport {
  /** to which it was done, durably; of a dry run, to which it would be done */
  readonly messages: number
  /** that would have been among them, had they not been under way: they were left alone */
  readonly underWay: number
  /** of a dry run: the first DRY_RUN_ROWS */
  readonly rows: readonly MessageRow[]
  /** why something was not done; what was counted is done */
  readonly broken: string | undefined
  readonly incomplete: boolean
}

/** Momentum's */
export const DRY_RUN_ROWS = 25

export interface MessageOrder {
  readonly id: string
  readonly content: 'none' | 'header' | 'all'
}

/** One message. undefined: it is not here */
export type MessageReport =
  | (MessageRow & {
      readonly batchId: string
      readonly connectionId: string
      /** where it came from; '' for mail of our own */
      readonly client: string
      readonly bodyType: '7BIT' | '8BITMIME'
      readonly smtpUtf8: boolean
      readonly urgent: boolean
      /** how often its sender was told that it is late */
      readonly delayNotices: number
      readonly header: string | undefined
      readonly body: string | undefined
      /** octets of the content that are not given */
      readonly cut: number
    })
  | undefined

export interface DomainsOrder {
  readonly domain?: string | undefined
  readonly binding?: string | undefined
  readonly bindingGroup?: string | undefined
  /** those that have messages ready or under way, or messages that wait for their time; others only count */
  readonly having?: 'active' | 'delayed' | undefined
}

/** How much there is of one domain in one binding. */
export interface DomainRow extends Egress {
  readonly domain: string
  readonly underWay: number
  readonly ready: number
  readonly delayed: number
  /** failed, and the sender is not told yet */
  readonly ending: number
  /** attempts under way */
  readonly connections: number
  readonly delivered: number
}

export interface DomainsReport {
  /** the fullest, at most MAX_DOMAINS */
  readonly rows: readonly DomainRow[]
  /** rows that there were besides */
  readonly leftOut: number
  /** of all of them */
  readonly totals: Omit<DomainRow, 'domain' | keyof Egress>
}

export const MAX_DOMAINS = 10_000

export interface DomainOrder {
  /** undefined: all, at most MAX_DETAILS */
  readonly domain: string | undefined
}

export const MAX_DETAILS = 200

/** How one domain stands in one binding. */
export interface DomainDetails extends DomainRow {
  readonly suspended: boolean
  /** before this nothing is tried: it waits for a throttle, or its name could not be looked up */
  readonly waitsUntil: number | undefined
  /** look-ups in a row that failed */
  readonly lookupFailures: number
  /** when a host was reached last */
  readonly reachedAt: number | undefined
  /** where it goes: `relay.example:25`, `MX of a.example, port 25`, `maildir local`; or what is wrong */
  readonly route: readonly string[]
  readonly history: DomainRecord | undefined
}

export interface DomainReport {
  readonly bindings: readonly DomainDetails[]
}

export interface BindingsOrder {
  readonly binding?: string | undefined
  readonly bindingGroup?: string | undefined
}

/** What one binding has, and has done since the start. */
export interface BindingRow extends Egress {
  readonly connections: number
  readonly underWay: number
  readonly ready: number
  readonly delayed: number
  readonly ending: number
  /** envelopes in memory */
  readonly resident: number
  readonly received: number
  readonly delivered: number
  readonly failed: number
}

export interface BindingsReport {
  readonly rows: readonly BindingRow[]
}

/** An attempt that is under way, and how far it is. */
export interface OutboundRow extends Egress {
  /** id of the attempt's connection */
  readonly connection: string
  readonly domain: string
  /** messages in it */
  readonly messages: number
  /** when it began */
  readonly since: number
  /** `preparing`: no host is chosen yet */
  readonly state: 'preparing' | 'connecting' | 'sending'
  /** '' without one */
  readonly host: string
  readonly address: string
}

export interface OutboundOrder {
  /** rows, at most MAX_ROWS: the oldest */
  readonly rows: number
  readonly domain?: string | undefined
  readonly binding?: string | undefined
}

export interface OutboundReport {
  readonly rows: readonly OutboundRow[]
  readonly attempts: number
}

/** What holds domains back, as far as it is only remembered: hosts that failed, names that could not be looked up. */
export interface UnblockOrder {
  /** undefined: all */
  readonly domain?: string | undefined
}

export interface UnblockReport {
  /** domains that have mail, each in each binding */
  readonly queues: number
}

/** What can be asked: order and report. */
export interface QueueQuestions {
  readonly list: { readonly order: ListOrder; readonly report: ListReport }
  readonly act: { readonly order: ActOrder; readonly report: ActReport }
  readonly message: { readonly order: MessageOrder; readonly report: MessageReport }
  readonly domains: { readonly order: DomainsOrder; readonly report: DomainsReport }
  readonly domain: { readonly order: DomainOrder; readonly report: DomainReport }
  readonly bindings: { readonly order: BindingsOrder; readonly report: BindingsReport }
  readonly unblock: { readonly order: UnblockOrder; readonly report: UnblockReport }
  readonly outbound: { readonly order: OutboundOrder; readonly report: OutboundReport }
}

export type QueueTopic = keyof QueueQuestions

export type QueueAnswers = {
  readonly [T in QueueTopic]: (order: QueueQuestions[T]['order']) => Promise<QueueQuestions[T]['report']>
}
