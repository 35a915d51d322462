/**
 * The traces of one process: which sessions somebody asks for, and what they say, on its way to whoever owns the console
 * in small packets. Bounded: what comes faster than it leaves is left out and counted.
 */

import { cidrContains, parseCidr } from '../config/address.ts'
import type { TracedLines, TraceFilter, TraceOrder } from '../console/inside/traces.ts'
import type { TraceLine, TraceSubject, Transcripts } from '../events/transcripts.ts'

const PACKET_MS = 100
const MAX_WAITING = 2000

interface Waiting {
  lines: TraceLine[]
  lost: number
}

export class Tracing {
  readonly #transcripts: Transcripts
  readonly #tell: (traced: TracedLines) => void
  readonly #waiting = new Map<number, Waiting>()
  #timer: NodeJS.Timeout | undefined

  constructor(transcripts: Transcripts, tell: (traced: TracedLines) => void) {
    this.#transcripts = transcripts
    this.#tell = tell
  }

  obey(order: TraceOrder): boolean {
    if (order.act === 'begin') this.#begin(order.id, order.filter)
    else this.#end(order.id)
    return true
  }

  #begin(id: number, filter: TraceFilter): void {
    this.#waiting.set(id, { lines: [], lost: 0 })
    this.#timer ??= setInterval(() => this.#flush(), PACKET_MS)
    this.#timer.unref()
    this.#transcripts.add(id, { matches: matcherOf(filter), tell: (line) => this.#take(id, line) })
  }

  #end(id: number): void {
    this.#transcripts.remove(id)
    this.#flush()
    this.#waiting.delete(id)
    if (this.#waiting.size > 0) return
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  #take(id: number, line: TraceLine): void {
    const waiting = this.#waiting.get(id)
    if (waiting === undefined) return
    if (waiting.lines.length < MAX_WAITING) waiting.lines.push(line)
    else waiting.lost += 1
  }

  #flush(): void {
    for (const [id, { lines, lost }] of this.#waiting) {
      if (lines.length === 0) continue
      this.#waiting.set(id, { lines: [], lost: 0 })
      this.#tell({ id, lines, lost })
    }
  }
}

function matcherOf({ direction, network, domain, binding }: TraceFilter): (subject: TraceSubject) => boolean {
  const cidr = network === undefined ? undefined : parseCidr(network)
  // what cannot be understood matches nothing
  const inside = (address: string): boolean =>
    network === undefined ||
    (cidr !== undefined && cidrContains(cidr, address === '' ? '127.0.0.1' : address))
  return (subject) =>
    subject.direction === direction &&
    inside(subject.address) &&
    (domain === undefined || subject.domain === domain) &&
    (binding === undefined || subject.binding === binding)
}
