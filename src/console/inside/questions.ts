/**
 * What an operator may ask of the insides of every process that has mail, and what each answers: plain data, since it
 * crosses from worker to supervisor.
 */

import type { TraceOrder } from './traces.ts'

export interface InsideQuestions {
  readonly process: { readonly order: undefined; readonly report: ProcessReport }
  readonly dns: { readonly order: DnsOrder; readonly report: DnsReport }
  readonly sts: { readonly order: StsOrder; readonly report: StsReport }
  readonly functions: { readonly order: undefined; readonly report: readonly ScriptFunction[] }
  readonly counters: { readonly order: CounterOrder; readonly report: readonly CounterValue[] }
  /** answers whether it obeys */
  readonly trace: { readonly order: TraceOrder; readonly report: boolean }
  readonly caches: { readonly order: CacheOrder; readonly report: readonly CacheReport[] }
}

export type InsideTopic = keyof InsideQuestions

/** What the commands ask. */
export interface InsideView {
  ask<T extends InsideTopic>(topic: T, order: InsideQuestions[T]['order']): Promise<InsideReports<T>>
}

export interface InsideReports<T extends InsideTopic> {
  /** of each process */
  readonly reports: readonly InsideQuestions[T]['report'][]
  /** sentences that name those that did not answer */
  readonly missing: readonly string[]
}

export interface ProcessReport {
  readonly pid: number
  /** `server`, `supervisor`, `worker 0` */
  readonly role: string
  /** milliseconds since it began */
  readonly uptime: number
  /** milliseconds of processor time since then */
  readonly user: number
  readonly system: number
  /** octets that it has in memory */
  readonly memory: number
  readonly sessions: number
  readonly received: number
  readonly delivered: number
  /** how often another one took its place */
  readonly restarts: number
}

export type DnsOrder =
  | { readonly act: 'list'; readonly most: number }
  /** every answer, or those about one name */
  | { readonly act: 'flush'; readonly name: string | undefined }
  /** what is kept; `ask`: a server is asked where nothing is */
  | { readonly act: 'lookup' | 'ask'; readonly name: string; readonly type: string }

export interface DnsReport {
  readonly caches: readonly DnsCacheReport[]
  readonly answers: readonly DnsAnswerRow[]
  /** why there is no answer */
  readonly problem: string | undefined
  readonly flushed: number
}

export interface DnsCacheReport {
  /** for whom it is: deliveries, or reception with its scripts */
  readonly cache: string
  readonly entries: number
  readonly lookups: number
  readonly hits: number
  readonly asked: number
  readonly failed: number
}

/** One record; one without data says that there is none. */
export interface DnsAnswerRow {
  readonly cache: string
  readonly name: string
  readonly type: string
  /** seconds that it may still be given */
  readonly ttl: number
  readonly data: string | undefined
}

export type StsOrder =
  | { readonly act: 'list' }
  | { readonly act: 'show' | 'refresh'; readonly domain: string }
  | { readonly act: 'flush'; readonly domain: string | undefined }

export interface StsReport {
  readonly policies: readonly StsPolicyRow[]
  readonly flushed: number
}

export interface StsPolicyRow {
  readonly domain: string
  readonly id: string
  readonly mode: string
  /** seconds */
  readonly maxAge: number
  /** milliseconds since the epoch */
  readonly fetchedAt: number
  readonly mx: readonly string[]
}

export interface ScriptFunction {
  readonly script: string
  readonly callout: string
  /** FILE:LINE; '' where that cannot be told */
  readonly at: string
}

export type CounterOrder =
  | { readonly act: 'list' }
  | { readonly act: 'add'; readonly path: string; readonly delta: number }
  | { readonly act: 'reset' | 'unlink'; readonly path: string }

export interface CounterValue {
  readonly path: string
  readonly value: number
  /** milliseconds since the epoch */
  readonly reset: number
}

export type CacheOrder =
  | { readonly act: 'list' }
  /** one, or all */
  | { readonly act: 'flush'; readonly name: string | undefined }

export interface CacheReport {
  readonly cache: string
  readonly capacity: number
  readonly entries: number
  readonly hits: number
  readonly misses: number
  /** that were dropped before their time, for want of room */
  readonly evicted: number
  readonly flushed: number
}
