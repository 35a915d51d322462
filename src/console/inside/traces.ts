/** Traces of SMTP sessions as the commands see them: whoever owns the console has them, wherever the sessions are. */

import type { TraceLine } from '../../events/transcripts.ts'

export interface TraceFilter {
  readonly direction: 'inbound' | 'outbound'
  /** an address or a network; undefined: any */
  readonly network: string | undefined
  /** outbound: where the mail goes, lower case; undefined: anywhere */
  readonly domain: string | undefined
  /** outbound; undefined: any */
  readonly binding: string | undefined
}

export interface TraceLimits {
  /** after so many it ends */
  readonly lines: number
  readonly seconds: number
}

/** Where the lines go. */
export interface TraceOutput {
  /** the path of a file, or `console` */
  readonly name: string
  /** Rejects when nothing more can be written: the trace ends then. */
  readonly write: (text: string) => Promise<void>
  /** Called once. @param why in words */
  readonly ended: (why: string) => void
}

export interface TraceRow {
  readonly id: number
  readonly filter: TraceFilter
  readonly output: string
  /** that have been written */
  readonly lines: number
  /** that were left out because there were too many at once */
  readonly lost: number
}

export interface TraceView {
  /** Sessions that begin from now on are traced. @throws Error when there are too many traces */
  begin(filter: TraceFilter, limits: TraceLimits, output: TraceOutput): Promise<number>
  list(): readonly TraceRow[]
  /** @returns whether there was such a trace */
  end(id: number, why: string): Promise<boolean>
}

/** What a process tells the owner of the console. */
export interface TracedLines {
  readonly id: number
  readonly lines: readonly TraceLine[]
  /** that were left out before these */
  readonly lost: number
}

/** What is asked of each process. */
export type TraceOrder =
  | { readonly act: 'begin'; readonly id: number; readonly filter: TraceFilter }
  | { readonly act: 'end'; readonly id: number }
