/** What a process has in common with the others of its node, where it is one of several workers (docs/processes.md). */

import type { LimitCounts } from './config/limit-counts.ts'
import type { TracedLines } from './console/inside/traces.ts'
import type { AuthFailure, AuthFailureEntries } from './smtp/auth/failures.ts'
import type { TicketSecretState } from './tls/ticket-secret.ts'

export interface NodeRole {
  /** from 0; the first one tells what one process has to tell */
  readonly index: number
  readonly workers: number
  /** of the spool: the first one takes new mail */
  readonly partitions: readonly number[]
  /** the one that the node has locked, whatever a reload has said since; `mode`: permission bits of its files */
  readonly spool: { readonly path: string; readonly mode: number }
  /** by which a session's ticket is good in every worker. Secret. */
  readonly ticketSecret: TicketSecretState
  /** of limits that hold for the node */
  readonly counts: LimitCounts
  /** failed logins, of all workers */
  readonly failures: {
    readonly known: AuthFailureEntries
    readonly onFailure: (failure: AuthFailure) => void
  }
  /** told what sessions say that an operator asks for */
  readonly onTraced: (traced: TracedLines) => void
}
