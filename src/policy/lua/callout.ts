/** One call of one function of a script: what it may see, what it has said, and what it waits for. */

import type { EventSink } from '../../events/events.ts'
import type { ContextKind, ValidationContext } from '../context.ts'
import type { Decision } from '../decision.ts'
import type {
  AnyFacts,
  AnyPhase,
  LoginAttempt,
  MessageFacts,
  PresentedCertificate,
  SessionFacts,
} from '../phases.ts'
import type { KnownStrings } from './known-strings.ts'
import type { Task } from './outcome.ts'
import type { Spares } from './spares.ts'
import { type LuaState, ScriptError } from './state.ts'

/** What a callout is about. */
export interface CalloutSubject {
  readonly phase: AnyPhase
  readonly session: SessionFacts
  readonly message: MessageFacts | undefined
  /** the command line without its line ending, '' in phases without one */
  readonly line: string
  /** outcome of the authentication, in its phase */
  readonly authentication: 'pass' | 'fail' | 'error' | undefined
  readonly decision: Decision
  /** before a handshake */
  readonly handshake?: AnyFacts['tls_parameters'] | undefined
  /** after a handshake */
  readonly certificate?: PresentedCertificate | undefined
  /** of `ac_auth://` */
  readonly login?: LoginAttempt | undefined
  /** asked after the end of the session: that the client is gone ends no wait */
  readonly afterwards?: boolean
}

/** How much one callout may put where Lua's own memory budget does not count. */
const maxLogLines = 100
const maxLogText = 4096
const maxHeaderText = 262_144
const maxNewMessages = 20

/** What a suspended script waits for. */
export interface Wait {
  /** resolves when the script can go on; never rejects */
  readonly settled: Promise<void>
  /** nobody is interested any more */
  readonly abort: () => void
  /** pushes what the function that waited returns, or throws a ScriptError; asked once, after `settled` */
  readonly answer: (L: number) => number
}

export class Callout {
  /** set by a host function just before it suspends the script */
  wait: Wait | undefined
  /** of the wait that is over, until the function that waited has fetched it */
  answer: Wait['answer'] | undefined
  /** where `print` writes; the paniclog unless given */
  readonly print: ((text: string) => void) | undefined
  readonly #subject: CalloutSubject | undefined
  readonly #gone: AbortSignal | undefined
  #cleanups: (() => void)[] | undefined
  #headerText = 0
  /** the callout in which the message was made that this one is about */
  #maker: Callout | undefined
  #made = 0

  /** Without a subject: a timer, a console command or whatever else runs outside of a session. */
  constructor(subject: CalloutSubject | undefined, task: Pick<Task, 'print' | 'gone'> = {}) {
    this.#subject = subject
    this.#gone = task.gone
    this.print = task.print
  }

  /** A callout's stand-in for a message that it makes. @throws ScriptError where none can be made */
  forNewMessage(): Callout {
    const { create } = this.message
    if (create === undefined) throw new ScriptError('msys.core.ec_message_new works from validate_data on')
    if (++this.#made > maxNewMessages)
      throw new ScriptError(`msys.core.ec_message_new: at most ${maxNewMessages} messages in a callout`)
    const made = new Callout({ ...this.subject, message: create() })
    made.#maker = this
    return made
  }

  /** Whether its message is one that a script has made: nobody is answered about it. */
  get ownMessage(): boolean {
    return this.#maker !== undefined
  }

  /** @throws ScriptError outside of a session */
  get subject(): CalloutSubject {
    if (this.#subject === undefined) throw new ScriptError('there is no session here')
    return this.#subject
  }

  get session(): SessionFacts | undefined {
    return this.#subject?.session
  }

  /** aborted when nobody waits for this callout any more */
  get gone(): AbortSignal | undefined {
    return this.#subject?.afterwards === true ? undefined : (this.session?.gone ?? this.#gone)
  }

  /** Does something when the callout ends, in whatever way. */
  whenEnded(cleanup: () => void): void {
    this.#cleanups ??= []
    this.#cleanups.push(cleanup)
  }

  end(): void {
    const cleanups = this.#cleanups
    this.#cleanups = undefined
    for (const cleanup of cleanups ?? []) cleanup()
  }

  /** @throws ScriptError in callouts that have no message */
  get message(): MessageFacts {
    const { message } = this.subject
    if (message === undefined) throw new ScriptError('there is no message in this phase')
    return message
  }

  /** Where keys of this kind are read and written: a recipient's copy has message keys of its own. */
  contextOf(kind: ContextKind): ValidationContext {
    const { session, message } = this.subject
    return kind === 'message' ? (message ?? session).context : session.context
  }

  /** Counts text that goes into a header. */
  spendHeader(octets: number): void {
    this.#maker?.spendHeader(octets)
    this.#headerText += octets
    if (this.#headerText > maxHeaderText)
      throw new ScriptError('a callout may add at most 256 KiB to a header')
  }
}

/** A host function that belongs to an object: its first argument is the object. */
export type Method = (L: number, callout: Callout) => number
export type MethodTable = Readonly<Record<string, Method>>

/** How a method waits: see `lib/waits.ts`. */
export interface WaitStarter {
  begin(L: number, name: string, start: (signal: AbortSignal) => Promise<Wait['answer']>): number
  without(L: number, answer: Wait['answer']): number
}

export interface ObjectHost {
  readonly state: LuaState
  readonly known: KnownStrings
  readonly spares: Spares
  readonly waits: WaitStarter
  readonly log: ScriptLog
  /** the callout that runs; undefined while scripts load */
  readonly current: () => Callout | undefined
}

export type PanicLevel = 'debug' | 'info' | 'notice' | 'warning' | 'error' | 'critical'

/** by Momentum's numbers, the first of which are all critical here */
export const panicLevels: readonly PanicLevel[] = [
  'critical',
  'critical',
  'critical',
  'error',
  'warning',
  'notice',
  'info',
  'debug',
]

/** The paniclog as scripts reach it: so many lines for each callout or load, no control characters, bounded text. */
export class ScriptLog {
  readonly #events: EventSink
  readonly #now: () => number
  #lines = 0

  /** @param now milliseconds since the epoch */
  constructor(events: EventSink, now: () => number) {
    this.#events = events
    this.#now = now
  }

  /** A new callout has its whole allowance. */
  restart(): void {
    this.#lines = 0
  }

  /** A line that a script asked for. */
  say(level: PanicLevel, text: string): void {
    this.#lines++
    if (this.#lines <= maxLogLines) this.tell(level, text)
    else if (this.#lines === maxLogLines + 1) this.tell('warning', 'more output of this callout is dropped')
  }

  /** A line about a script. */
  tell(level: PanicLevel, text: string): void {
    // oxlint-disable-next-line no-control-regex -- control characters are what is replaced
    const line = text.slice(0, maxLogText).replaceAll(/[\0-\x1f\x7f]+/g, ' ')
    this.#events.emit({ kind: 'panic', at: this.#now(), level, module: 'scriptlet', text: line })
  }
}
