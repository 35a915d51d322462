/**
 * The parts of a server that outlive every reload, made from the configuration with which it begins. Listeners are not
 * among them: they need the server.
 */

import { DeliveryQueue } from './delivery/queue.ts'
import { EventBus, type ServerEvent } from './events/events.ts'
import type { PartnerReport } from './events/partner-report.ts'
import { Transcripts } from './events/transcripts.ts'
import { buildGeneration, type ConfigurationSource, type Generation } from './generation.ts'
import { hostnameOf } from './hostname.ts'
import { deliveryBudget } from './listener/descriptors.ts'
import type { Listeners } from './listener/listener.ts'
import type { Decisions } from './logs/decisions.ts'
import type { Logs } from './logs/logs.ts'
import { IdGenerator } from './mail/message-id.ts'
import type { NodeRole } from './node-role.ts'
import { NoticeSigning } from './notice-signing.ts'
import { AuthFailures } from './smtp/auth/failures.ts'
import { HashQueue } from './smtp/auth/hash-queue.ts'
import type { SpoolOptions } from './spool/lmdb-spool.ts'
import type { Partitions } from './spool/partitions.ts'
import { keepFacts, openSpoolOf, warningTime } from './standing-parts.ts'
import { TicketSecret } from './tls/ticket-secret.ts'
import { type LookupsInForce, transportsOf } from './transports.ts'

export interface ServerOptions extends ConfigurationSource {
  readonly version: string
  /** told every fact, beside the logs; for the terminal and for tests */
  readonly onEvent?: (event: ServerEvent) => void
  /** milliseconds that `stop` waits for sessions and deliveries under way; 30,000 unless given */
  readonly drainTime?: number
  /** what `shutdown` at the console does; without it the program around the server decides when it ends */
  readonly onShutdown?: (() => void) | undefined
  /** where this process is one of several workers: another one has the sockets of operators and the lock of the spool */
  readonly node?: NodeRole | undefined
}

/** The parts that outlive a reload. */
export interface Parts {
  readonly events: EventBus
  readonly ids: IdGenerator
  readonly ticketSecret: TicketSecret
  readonly logs: Logs
  /** the decision records that can be asked for */
  readonly decisions: Decisions
  readonly partnerReport: PartnerReport
  readonly spool: Partitions
  readonly spoolOptions: SpoolOptions
  readonly queue: DeliveryQueue
  /** signs bounces, by the generation in force */
  readonly notices: NoticeSigning
  readonly listeners: Listeners
  /** Spool_Min_Free, which a reload may change */
  readonly reserve: { octets: number }
  /** told what SMTP sessions say */
  readonly transcripts: Transcripts
  /** what deliveries look up with */
  readonly lookups: LookupsInForce
  /** failed logins, by address */
  readonly authFailures: AuthFailures
  /** what hashes passwords: few at once, over all generations */
  readonly hashQueue: HashQueue
}

/** Builds everything that needs no server. @throws ConfigError, SpoolLockedError, DataFileError */
export async function buildParts(
  options: ServerOptions,
): Promise<{ readonly parts: Omit<Parts, 'listeners'>; readonly generation: Generation }> {
  const events = new EventBus((error) =>
    process.stderr.write(`postern: a listener failed: ${String(error)}\n`),
  )
  if (options.onEvent !== undefined) events.subscribe(options.onEvent)
  const { node } = options
  const ticketSecret = new TicketSecret(node?.ticketSecret)
  const hashQueue = new HashQueue()
  const generation = await buildGeneration({
    source: options,
    number: 1,
    events,
    ticketSecret,
    hashQueue,
    counts: node?.counts,
  })
  const { settings } = generation
  const ids = new IdGenerator({ pid: process.pid, clock: Date.now })
  const facts = keepFacts(settings, events, node)
  const { spoolbase, spool_mode, spool_min_free, reception_memory, large_message_threshold } = settings.global
  const reserve = { octets: spool_min_free }
  const spoolOptions = {
    ...(node?.spool ?? { path: spoolbase.path, mode: spool_mode }),
    get minFree() {
      return reserve.octets
    },
    receptionMemory: Math.floor(reception_memory / (node?.workers ?? 1)),
    largeBody: large_message_threshold,
    sharers: node?.workers ?? 1,
    clock: Date.now,
    events,
  }
  const spool = await openSpoolOf(settings, spoolOptions, node)
  const lookups: LookupsInForce = {}
  const transcripts = new Transcripts(Date.now)
  const transports = transportsOf(generation, { events, lookups, transcripts })
  const notices = new NoticeSigning(generation, events)
  const queue = new DeliveryQueue({
    spool,
    settings,
    transports,
    events,
    ids,
    hostname: hostnameOf(settings),
    sign: notices.sign,
    concurrency: deliveryBudget(),
    node,
  })
  facts.partnerReport.expect(generation.partners.pins, warningTime(settings))
  const own = { events, ids, ticketSecret, hashQueue, authFailures: failuresOf(node) }
  const parts = { ...own, ...facts, spool, spoolOptions, queue, notices, reserve, lookups, transcripts }
  return { parts, generation }
}

/** Failed logins, those of other workers included. */
function failuresOf(node: NodeRole | undefined): AuthFailures {
  const failures = new AuthFailures(Date.now, undefined, node?.failures.onFailure)
  failures.restore(node?.failures.known ?? [])
  return failures
}
