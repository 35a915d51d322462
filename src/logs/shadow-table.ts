/**
 * What TLS_Verify_Mode_Shadow and Require_TLS_Shadow have found, added up by client network and certificate: whom to talk to before enforcing.
 *
 * Clients choose their addresses and their certificates, so the table is bounded: when it is full the rows that were
 * counted least, and of these the ones seen longest ago, go into one row of others. Networks that take more than a tenth
 * of the table come first, so that one client with certificates without number pushes nobody out but itself.
 */

import { formatAddress, parseAddress } from '../config/address.ts'
import type { DecisionRecord, ShadowReason, ShadowVerdict } from '../events/decision.ts'

export interface ShadowRow {
  /** the client's /24 or /48; `local` for a UNIX socket */
  readonly network: string
  /** `none`: none was presented, or none asked for */
  readonly certificate: 'none' | { readonly subject: string; readonly issuer: string }
  readonly verdict: ShadowVerdict['verdict']
  /** `no-tls`: clear text, which Require_TLS would not take */
  readonly reason: ShadowReason | 'no-tls'
  /** why the certificate does not verify, '' without one */
  readonly cause: string
  readonly count: number
  /** milliseconds since the epoch */
  readonly first: number
  readonly last: number
}

export interface ShadowTable {
  /** the most frequent first; a client that verifies is in no row */
  readonly rows: readonly ShadowRow[]
  /** what rows that had to go have counted */
  readonly others:
    | { readonly rows: number; readonly count: number; readonly first: number; readonly last: number }
    | undefined
  /** handshakes of scopes with a shadow mode, and connections in clear text that would be refused, since the start */
  readonly totals: Readonly<Record<ShadowTotal, number>>
}

export type ShadowTotal =
  /** no certificate */
  | 'wouldRefuse'
  /** a certificate that verifies */
  | 'verified'
  /** one that does not: policy would decide */
  | 'unverified'
  /** the shadow mode is none */
  | 'wouldNotAsk'
  /** not asked for, or the handshake failed */
  | 'unknown'
  /** clear text, where Require_TLS would refuse it */
  | 'noTls'

const MAX_ROWS = 1000
/** text of a certificate that a row keeps */
const MAX_TEXT = 512

type Counted = { -readonly [K in keyof ShadowRow]: ShadowRow[K] }

export class ShadowCounts {
  readonly #maxRows: number
  readonly #rows = new Map<string, Counted>()
  readonly #totals: Record<ShadowTotal, number> = {
    wouldRefuse: 0,
    verified: 0,
    unverified: 0,
    wouldNotAsk: 0,
    unknown: 0,
    noTls: 0,
  }
  #others: { rows: number; count: number; first: number; last: number } | undefined

  constructor(maxRows = MAX_ROWS) {
    this.#maxRows = maxRows
  }

  /** Counts one connection, if its scope has a shadow. */
  count(record: DecisionRecord): void {
    const { shadow, requireTlsShadow, remote, identity, cause, outcome, at } = record
    if (requireTlsShadow !== undefined) {
      this.#totals.noTls += 1
      const network = networkOf(remote.address)
      this.#add({ network, certificate: 'none', verdict: 'would-refuse', reason: 'no-tls', cause: '' }, at)
    }
    if (shadow === undefined) return
    this.#totals[totals[shadow.reason]] += 1
    const { verdict, reason } = shadow
    // those who fail anyway or verify are nobody to talk to
    if (reason === 'verified' || reason === 'would-not-ask' || reason === 'handshake-failed') return
    const network = networkOf(remote.address)
    const certificate = identity && { subject: cut(identity.subject), issuer: cut(identity.issuer) }
    const why = outcome === 'failed' ? '' : cause
    this.#add({ network, certificate: certificate ?? 'none', verdict, reason, cause: why }, at)
  }

  #add(kind: Omit<ShadowRow, 'count' | 'first' | 'last'>, at: number): void {
    const { network, certificate, verdict, reason, cause } = kind
    const named = certificate === 'none' ? [] : [certificate.subject, certificate.issuer]
    const key = JSON.stringify([network, verdict, reason, cause, ...named])
    const row = this.#rows.get(key)
    if (row !== undefined) {
      row.count += 1
      row.last = at
      return
    }
    if (this.#rows.size >= this.#maxRows) this.#makeRoom()
    this.#rows.set(key, { ...kind, count: 1, first: at, last: at })
  }

  table(): ShadowTable {
    return {
      rows: [...this.#rows.values()]
        .map((row) => ({ ...row }))
        .toSorted((a, b) => b.count - a.count || b.last - a.last),
      others: this.#others && { ...this.#others },
      totals: { ...this.#totals },
    }
  }

  /** A tenth at a time, so that a flood of new clients does not sort the table for each of them. */
  #makeRoom(): void {
    const rows = new Map<string, number>()
    for (const { network } of this.#rows.values()) rows.set(network, (rows.get(network) ?? 0) + 1)
    const alone = ({ network }: Counted): number => ((rows.get(network) ?? 0) > this.#maxRows / 10 ? 0 : 1)
    const least = [...this.#rows].toSorted(
      ([, a], [, b]) => alone(a) - alone(b) || a.count - b.count || a.last - b.last,
    )
    for (const [key, { count, first, last }] of least.slice(0, Math.max(1, this.#maxRows / 10))) {
      this.#rows.delete(key)
      this.#others ??= { rows: 0, count: 0, first, last }
      this.#others.rows += 1
      this.#others.count += count
      this.#others.first = Math.min(this.#others.first, first)
      this.#others.last = Math.max(this.#others.last, last)
    }
  }
}

const totals: Readonly<Record<ShadowReason, ShadowTotal>> = {
  'no-certificate': 'wouldRefuse',
  verified: 'verified',
  unverified: 'unverified',
  'would-not-ask': 'wouldNotAsk',
  'not-asked-for': 'unknown',
  'handshake-failed': 'unknown',
}

/** What one operator mostly holds: the /24 of an IPv4 address, the /48 of an IPv6 address. */
function networkOf(text: string): string {
  const address = parseAddress(text)
  if (address === undefined) return 'local'
  const octets = address.family === 4 ? 3 : 6
  const bytes = address.bytes.map((octet, index) => (index < octets ? octet : 0))
  return `${formatAddress({ ...address, bytes })}/${octets * 8}`
}

function cut(text: string): string {
  return text.length <= MAX_TEXT ? text : `${text.slice(0, MAX_TEXT - 4)}\\...`
}
