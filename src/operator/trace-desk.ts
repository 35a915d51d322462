/**
 * The traces that operators have asked for, in the process that owns the console: numbers them, writes what the processes
 * tell, and ends each at its limit, or when its output takes nothing more. Few at once.
 */

import type {
  TracedLines,
  TraceFilter,
  TraceLimits,
  TraceOrder,
  TraceOutput,
  TraceRow,
  TraceView,
} from '../console/inside/traces.ts'
import { fromBytes, printable } from '../console/render.ts'
import type { TraceLine } from '../events/transcripts.ts'

const MAX_TRACES = 16
/** octets that wait for an output; what is more is left out */
const MAX_WAITING = 4 * 1024 * 1024

interface Trace {
  readonly id: number
  readonly filter: TraceFilter
  readonly output: TraceOutput
  readonly most: number
  readonly timer: NodeJS.Timeout
  lines: number
  lost: number
  /** octets that are on their way */
  waiting: number
  /** writes follow one another */
  last: Promise<void>
}

export class TraceDesk implements TraceView {
  readonly #ask: (order: TraceOrder) => Promise<void>
  readonly #traces = new Map<number, Trace>()
  #nextId = 1

  /** @param ask tells every process */
  constructor(ask: (order: TraceOrder) => Promise<void>) {
    this.#ask = ask
  }

  async begin(filter: TraceFilter, { lines, seconds }: TraceLimits, output: TraceOutput): Promise<number> {
    if (this.#traces.size >= MAX_TRACES) throw new Error(`there are ${MAX_TRACES} traces already`)
    const id = this.#nextId++
    const timer = setTimeout(() => void this.end(id, `${seconds} seconds are over`), seconds * 1000)
    timer.unref()
    const begun = { id, filter, output, most: lines, timer }
    this.#traces.set(id, { ...begun, lines: 0, lost: 0, waiting: 0, last: Promise.resolve() })
    try {
      await this.#ask({ act: 'begin', id, filter })
    } catch (error) {
      await this.end(id, 'it could not begin')
      throw error
    }
    return id
  }

  list(): readonly TraceRow[] {
    return [...this.#traces.values()].map(({ id, filter, output, lines, lost }) => {
      return { id, filter, output: output.name, lines, lost }
    })
  }

  async end(id: number, why: string): Promise<boolean> {
    const trace = this.#traces.get(id)
    if (trace === undefined) return false
    clearTimeout(trace.timer)
    // a process that is gone traces nothing
    await this.#ask({ act: 'end', id }).catch(() => undefined)
    if (!this.#traces.delete(id)) return false
    void trace.last.finally(() => trace.output.ended(why))
    return true
  }

  /** What a process tells. */
  receive({ id, lines, lost }: TracedLines): void {
    const trace = this.#traces.get(id)
    if (trace === undefined) return
    trace.lost += lost
    const room = trace.waiting > MAX_WAITING ? 0 : Math.max(0, trace.most - trace.lines)
    const kept = lines.slice(0, room)
    trace.lost += trace.waiting > MAX_WAITING ? lines.length : 0
    trace.lines += kept.length
    const text = kept.map(lineOf).join('')
    if (text !== '') this.#write(trace, text)
    if (trace.lines >= trace.most) void this.end(id, `${trace.most} lines are told`)
  }

  #write(trace: Trace, text: string): void {
    trace.waiting += text.length
    trace.last = trace.last
      .then(() => trace.output.write(text))
      .catch(() => void this.end(trace.id, 'nothing more can be written'))
      .finally(() => {
        trace.waiting -= text.length
      })
  }
}

/** `2026-11-22T17:12:01.123Z inbound 192.0.2.1 C1 C: EHLO client.example` */
function lineOf({ at, direction, address, id, who, text }: TraceLine): string {
  const whose = who === '*' ? '*' : `${who}:`
  const head = `${new Date(at).toISOString()} ${direction} ${address === '' ? 'local' : address} ${id}`
  return `${printable(head)} ${whose} ${printable(fromBytes(text))}\n`
}
