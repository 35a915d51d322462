/**
 * Warnings in time: what ends among the files of the configuration and the certificates that clients have shown.
 *
 * Of clients only those count that verified, so that nobody can fill the table who has no certificate of a CA of ours; it
 * is bounded all the same, and who has not been seen for longest goes first. A client's certificate that has a successor,
 * of the same subject and issuer and seen since, is not warned about. A revocation list is warned about in the last
 * third of its time only, since it is replaced as a matter of course, and its end is told by `crl-watch.ts`.
 */

import type { EventSink, ServerEvent } from '../events/events.ts'
import type { Ending } from '../events/expiry.ts'

export interface ExpiryWatchOptions {
  /** what the configuration in force has loaded */
  readonly configured: () => readonly Ending[]
  /** TLS_Expiry_Warning: days */
  readonly thresholds: () => readonly number[]
  readonly events: EventSink
  /** milliseconds since the epoch */
  readonly clock: () => number
  /** clients' certificates that are remembered; 10,000 unless given */
  readonly maxClients?: number
}

/** Something that ends, and when. */
export interface Expiry extends Ending {
  /** whole days that are left, below 0 after the end */
  readonly days: number
  /** the number of days of TLS_Expiry_Warning that is reached, 0 after the end; undefined: it is far away */
  readonly threshold: number | undefined
  /** a client's: when it was seen last, milliseconds since the epoch */
  readonly lastSeen: number | undefined
  /** a client's: another with a later end has been seen since */
  readonly renewed: boolean
}

interface SeenClient {
  readonly ending: Ending
  readonly lastSeen: number
}

const HOUR = 3_600_000
const DAY = 24 * HOUR
const MAX_CLIENTS = 10_000
/** days after its end for which a client's certificate is remembered */
const AFTERWARDS = 30

export class ExpiryWatch {
  readonly #options: ExpiryWatchOptions
  /** by fingerprint, who has not been seen for longest first */
  readonly #clients = new Map<string, SeenClient>()
  /** by certificate and threshold: when it was told last */
  #told = new Map<string, number>()
  #timer: NodeJS.Timeout | undefined

  constructor(options: ExpiryWatchOptions) {
    this.#options = options
  }

  /** Looks now, and then every hour. */
  start(): void {
    this.#timer ??= setInterval(() => this.look(), HOUR).unref()
    this.look()
  }

  stop(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  /** Takes a fact; for `EventBus.subscribe`. */
  handle(event: ServerEvent): void {
    if (event.kind !== 'tls' || event.certificate === undefined) return
    const { subject: name, ...rest } = event.certificate
    const known = this.#clients.delete(rest.fingerprint)
    const ending: Ending = { what: 'client', name, source: '', ...rest }
    this.#clients.set(rest.fingerprint, { ending, lastSeen: event.at })
    const [oldest] = this.#clients.keys()
    if (this.#clients.size > (this.#options.maxClients ?? MAX_CLIENTS) && oldest !== undefined)
      this.#clients.delete(oldest)
    if (!known) this.#consider(this.#expiry(ending, { lastSeen: event.at, renewed: false }), this.#told)
  }

  /** Everything that is known to end, what ends first first. */
  items(): readonly Expiry[] {
    const now = this.#options.clock()
    for (const [fingerprint, { ending }] of this.#clients) {
      if (now - ending.notAfter > AFTERWARDS * DAY) this.#clients.delete(fingerprint)
    }
    const newest = this.#newest()
    const clients = [...this.#clients.values()].map(({ ending, lastSeen }) => {
      const successor = newest.get(holderOf(ending))
      const renewed =
        successor !== undefined &&
        successor.ending.notAfter > ending.notAfter &&
        successor.lastSeen >= lastSeen
      return this.#expiry(ending, { lastSeen, renewed })
    })
    const configured = this.#options
      .configured()
      .map((ending) => this.#expiry(ending, { lastSeen: undefined, renewed: false }))
    return [...configured, ...clients].toSorted((a, b) => a.notAfter - b.notAfter)
  }

  /** Tells what is due. */
  look(): void {
    const told = new Map<string, number>()
    for (const item of this.items()) this.#consider(item, told)
    this.#told = told
  }

  /** For each subject and issuer the certificate with the latest end. */
  #newest(): Map<string, SeenClient> {
    const newest = new Map<string, SeenClient>()
    for (const client of this.#clients.values()) {
      const holder = holderOf(client.ending)
      const other = newest.get(holder)
      if (other === undefined || other.ending.notAfter < client.ending.notAfter) newest.set(holder, client)
    }
    return newest
  }

  #expiry(ending: Ending, client: Pick<Expiry, 'lastSeen' | 'renewed'>): Expiry {
    const left = ending.notAfter - this.#options.clock()
    const reached = this.#options.thresholds().filter((days) => left <= days * DAY)
    const early = ending.what === 'crl' && left > (ending.notAfter - ending.notBefore) / 3
    const threshold = left <= 0 ? 0 : reached.length === 0 || early ? undefined : Math.min(...reached)
    return { ...ending, ...client, days: Math.floor(left / DAY), threshold }
  }

  #consider(item: Expiry, told: Map<string, number>): void {
    const { threshold } = item
    const { clock, thresholds } = this.#options
    if (threshold === undefined || item.renewed || thresholds().length === 0) return
    if (item.what === 'crl' && threshold === 0) return
    const now = clock()
    const key = `${item.what} ${item.source} ${item.fingerprint} ${threshold}`
    const last = this.#told.get(key)
    const due = last === undefined || now - last >= DAY
    told.set(key, due ? now : last)
    if (due) this.#tell(item, threshold, now)
  }

  #tell({ lastSeen: _lastSeen, renewed: _renewed, ...item }: Expiry, threshold: number, at: number): void {
    const { events } = this.#options
    events.emit({ kind: 'expiry', at, ...item, threshold })
    const level = threshold === 0 ? 'error' : 'warning'
    events.emit({ kind: 'panic', at, level, module: 'tls', text: sentence(item) })
  }
}

function holderOf({ name, issuer }: Ending): string {
  return `${issuer}\0${name}`
}

function sentence({
  what,
  name,
  issuer,
  source,
  notAfter,
  days,
  threshold,
}: Omit<Expiry, 'lastSeen' | 'renewed'>): string {
  const day = new Date(notAfter).toISOString().slice(0, 10)
  const when =
    threshold === 0 ? `expired on ${day}` : `expires on ${day}, in ${days === 1 ? '1 day' : `${days} days`}`
  if (what === 'client') return `${WORDS[what]} "${name}" from "${issuer}" ${when}`
  return `${source}: ${WORDS[what]} "${name}" ${when}`
}

const WORDS = {
  server: "the server's certificate",
  'client-ca': 'the CA of clients',
  crl: 'the revocation list of',
  'ocsp-ca': 'the CA of an OCSP responder',
  'ocsp-signer': 'the signer of OCSP answers',
  'responder-ca': 'the root of an OCSP responder',
  client: 'the certificate of the client',
} as const
