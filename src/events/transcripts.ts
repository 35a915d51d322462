/**
 * What is said in SMTP sessions, line by line, for an operator who asks for it (momentum: console-commands/trace-smtp).
 *
 * Nobody asks: `begin` is one look at a number and no session has anything to tell. Contents of messages are never told.
 * Secrets neither: what AUTH carries is masked, in both directions, and so is a client's line that is no command, which
 * is where a password ends up when a client goes on with AUTH after it was refused.
 */

export interface TraceSubject {
  readonly direction: 'inbound' | 'outbound'
  /** of the other side; '' for a UNIX socket */
  readonly address: string
  /** of the connection; for the reader alone */
  readonly id: string
  /** where mail goes; '' inbound */
  readonly domain: string
  readonly binding: string
}

export interface TraceLine {
  /** milliseconds since the epoch */
  readonly at: number
  readonly direction: TraceSubject['direction']
  readonly address: string
  readonly id: string
  /** who says it: the client, the server, or nobody */
  readonly who: 'C' | 'S' | '*'
  /** a byte string without its line ending */
  readonly text: string
}

export interface Tracer {
  readonly matches: (subject: TraceSubject) => boolean
  readonly tell: (line: TraceLine) => void
}

/** octets of a line that are told */
const MAX_TEXT = 1000

export class Transcripts {
  readonly #tracers = new Map<number, Tracer>()
  readonly #clock: () => number

  /** @param clock milliseconds since the epoch */
  constructor(clock: () => number) {
    this.#clock = clock
  }

  /** Sessions that begin from now on are traced. */
  add(id: number, tracer: Tracer): void {
    this.#tracers.set(id, tracer)
  }

  remove(id: number): void {
    this.#tracers.delete(id)
  }

  /** A session begins. undefined: nobody asks for it */
  begin(subject: TraceSubject): Transcript | undefined {
    if (this.#tracers.size === 0) return undefined
    const ids = [...this.#tracers].flatMap(([id, tracer]) => (tracer.matches(subject) ? [id] : []))
    if (ids.length === 0) return undefined
    const { direction, address, id } = subject
    const about = { direction, address, id }
    return new Transcript((who, text) => {
      const line: TraceLine = { ...about, at: this.#clock(), who, text: text.slice(0, MAX_TEXT) }
      for (const each of ids) this.#tracers.get(each)?.tell(line)
    })
  }
}

/** One session's. Texts are byte strings, of one line or several. */
export class Transcript {
  readonly #tell: (who: TraceLine['who'], text: string) => void
  /** an exchange of AUTH is under way */
  #secret = false

  constructor(tell: (who: TraceLine['who'], text: string) => void) {
    this.#tell = tell
  }

  client(text: string): void {
    for (const line of linesOf(text)) this.#tell('C', this.#masked(line))
  }

  server(text: string): void {
    for (const line of linesOf(text)) {
      const goesOn = this.#secret && line.startsWith('334')
      if (!goesOn) this.#secret = false
      this.#tell('S', goesOn ? '334 ***' : line)
    }
  }

  note(text: string): void {
    this.#tell('*', text)
  }

  #masked(line: string): string {
    if (this.#secret) return '***'
    const [, verb = '', rest = ''] = /^\s*(\S*)\s*(.*)$/s.exec(line) ?? []
    const name = verb.toUpperCase()
    if (name === 'AUTH') {
      this.#secret = true
      const [mechanism = '', ...more] = rest.trim().split(/\s+/)
      const shown = /^[A-Za-z0-9_-]{1,20}$/.test(mechanism) ? mechanism : '***'
      return more.length === 0 ? `AUTH ${shown}` : `AUTH ${shown} ***`
    }
    return commands.has(name) ? line : `(no command, ${line.length} octets)`
  }
}

function linesOf(text: string): readonly string[] {
  return text.replace(/\r?\n$/, '').split(/\r?\n/)
}

const commands = new Set(
  'HELO EHLO LHLO MAIL RCPT DATA BDAT RSET NOOP QUIT VRFY EXPN HELP STARTTLS XCLIENT XREMOTEIP XSETCONTEXT .'.split(
    ' ',
  ),
)
