/** What the commands need from the rest of the server. Everything is asked for anew, because a reload replaces it. */

import type { Diagnostic } from '../config/diagnostic.ts'
import type { LiveConfiguration } from '../config/live/live-configuration.ts'
import type { Settings } from '../config/settings.ts'
import type { QueueQuestions, QueueTopic } from '../delivery/operator/orders.ts'
import type { DomainCounts, QueueCounts } from '../delivery/queue-counts.ts'
import type { OperatorAct } from '../events/events.ts'
import type { Ending } from '../events/expiry.ts'
import type { LiveSession } from '../events/live.ts'
import type { PinUse, ServerOnlyCertificate } from '../events/partner-report.ts'
import type { Decisions } from '../logs/decisions.ts'
import type { Counters } from './counters.ts'
import type { InsideView } from './inside/questions.ts'
import type { TraceView } from './inside/traces.ts'
import type { PanicMemory } from './panics.ts'
import type { VerdictTable } from './verdicts.ts'

export interface ConsoleServices {
  readonly version: string
  readonly pid: number
  /** milliseconds since the epoch */
  readonly started: number
  readonly clock: () => number
  readonly hostname: () => string
  readonly settings: () => Settings
  /** the configuration as it is changed from the console; undefined in a worker, which does not own it */
  readonly configuration?: LiveConfiguration | undefined
  readonly counters: Pick<Counters, 'reset' | 'since' | 'counts' | 'rates'>
  readonly panics: Pick<PanicMemory, 'entries'>
  /** inbound sessions under way, the oldest first */
  readonly sessions: () => readonly LiveSession[]
  readonly queue: QueueView
  /** what every process that has mail knows of its insides */
  readonly inside: InsideView
  /** transcripts of SMTP sessions; undefined in a worker, which does not own the console */
  readonly traces: TraceView | undefined
  /** Drains and ends, as SIGTERM; undefined: the program around the server decides that. */
  readonly shutdown: (() => void) | undefined
  /**
   * Every worker drains and is replaced, one after the other; undefined: there is one process. @returns how many
   * @throws ConsoleError that says how far it came
   */
  readonly restartWorkers?: (() => Promise<number>) | undefined
  /** Writes down who has done what. */
  readonly account: (act: OperatorAct) => void
  /** @returns the warnings about the new configuration. @throws with `diagnostics` when the old one stays in force */
  readonly reload: () => Promise<readonly Diagnostic[]>
  readonly reopenLogs: () => Promise<void>
  /** what scripts registered */
  readonly scripts: () => ScriptCommands | undefined
  readonly tls: TlsView
  /** records of TLS connections, and what the shadow mode has found */
  readonly decisions: Pick<Decisions, 'live' | 'ended' | 'find' | 'shadow'>
  /** handshakes of the last minutes, a day of them at most */
  readonly verdicts: (minutes?: number) => VerdictTable
  /** pins of partners, and which of them are in use */
  readonly pins: () => readonly PinUse[]
  /** clients' certificates that are for servers only */
  readonly serverOnly: () => readonly ServerOnlyCertificate[]
  /** what ends, the next one first */
  readonly expiries: () => readonly Expiry[]
}

/** Something that ends, and when. */
export interface Expiry extends Ending {
  /** whole days that are left, below 0 after the end */
  readonly days: number
  /** a client's: when it was seen last, milliseconds since the epoch */
  readonly lastSeen: number | undefined
  /** a client's: another with a later end has been seen since */
  readonly renewed: boolean
}

export interface QueueView {
  readonly counts: QueueCounts
  byDomain(): readonly DomainCounts[]
  /** Asks every process that has mail. */
  ask<T extends QueueTopic>(topic: T, order: QueueQuestions[T]['order']): Promise<QueueReports<T>>
}

export interface QueueReports<T extends QueueTopic> {
  /** of each process */
  readonly reports: readonly QueueQuestions[T]['report'][]
  /** sentences that name those that did not answer */
  readonly missing: readonly string[]
}

export interface ScriptCommands {
  /** first words */
  readonly commands: readonly string[]
  /** undefined when no script has it; never rejects */
  command(words: readonly string[]): Promise<ScriptAnswer | undefined>
}

export type ScriptAnswer =
  | { readonly kind: 'done'; readonly output: string }
  | { readonly kind: 'failed'; readonly output: string; readonly message: string }

/** A context of OpenSSL that is kept for the next handshake. */
export interface CachedContext {
  /** milliseconds since the epoch */
  readonly made: number
  readonly sessions: number
  /** the server's: RFC 4514, escaped */
  readonly certificate: string
  /** milliseconds since the epoch */
  readonly notAfter: number
  /** paths */
  readonly clientCa: string | undefined
  readonly crl: string | undefined
  /** undefined: the default */
  readonly ciphers: string | undefined
}

export interface TlsView {
  contexts(): readonly CachedContext[]
  /** Reads every certificate, CA and list anew. @throws with `diagnostics` when one fails; nothing changes then */
  flush(): Promise<void>
}
