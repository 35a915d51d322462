/**
 * DATA: RFC 5321 §4.1.1.4. Takes a message off the wire; `accept.ts` decides what becomes of it.
 *
 * The body streams into the spool: memory does not grow with it. A message that is refused in mid-flight (too large, no
 * room, a bare CR or LF, a NUL) is read on to its final dot, so that the client hears why and both sides stay in step;
 * but not for ever: after so many useless octets the refusal is sent and the connection is cut. A client that is too
 * slow gets 421 4.4.2.
 */

import type { Reply } from '../mail/status.ts'
import type { ReceptionWriter } from '../spool/spool.ts'
import { SpoolFullError } from '../spool/spool.ts'
import type { DataViolation } from '../wire/data.ts'
import { DataDecoder } from '../wire/data.ts'
import { HeaderSplitter, headerProblemReplies } from '../wire/header-split.ts'
import { formatReply } from '../wire/reply.ts'
import { acceptMessage } from './accept.ts'
import type { Command } from './command.ts'
import { command, noArguments } from './command.ts'
import { DataPace } from './data-pace.ts'
import { describe, Refusal, refuse, spoolFull, tellPanic } from './reject.ts'
import type { Session, Transaction } from './session-state.ts'

export const data: Command = command({
  verb: 'DATA',
  needsHello: true,
  beforeTls: false,
  parse: noArguments('5.5.4 unexpected argument to DATA'),
  check(session) {
    const { transaction } = session
    if (transaction === undefined) throw refuse(503, '5.5.1 DATA without MAIL FROM')
    if (transaction.recipients.length === 0) throw refuse(503, '5.5.1 DATA without RCPT TO')
  },
  async proceed(session) {
    const { transaction, io } = session
    if (transaction === undefined) throw refuse(503, '5.5.1 DATA without MAIL FROM')
    io.send(formatReply({ code: 354, text: 'continue.  finished with "\\r\\n.\\r\\n"' }))
    await io.flush()
    // Whatever happens from here on, the transaction is used up (RFC 5321 §4.1.1.4).
    session.takeBack = () => session.resetTransaction()
    const reception = new MessageReception(session, transaction)
    try {
      await reception.receive()
      // The final dot was read: from here on the session is in step again whatever fails.
      const reply = await acceptMessage(session, transaction, reception.message())
      session.resetTransaction()
      return reply
    } finally {
      await reception.abort()
    }
  },
})

class MessageReception {
  readonly #session: Session
  readonly #decoder = new DataDecoder()
  readonly #splitter: HeaderSplitter
  readonly #writer: ReceptionWriter
  /** octets of the message so far, header included */
  #size = 0
  #bodySize = 0
  #useless = 0
  #failure: Refusal | undefined
  readonly #keepsBody: boolean

  constructor(session: Session, transaction: Transaction) {
    this.#session = session
    this.#splitter = new HeaderSplitter(session.limits.header)
    this.#writer = session.services.spool.create()
    this.#keepsBody = !transaction.discarded
  }

  /** Reads to the final dot. @throws Refusal when the client is too slow, or the message is useless and endless */
  async receive(): Promise<void> {
    const { lines, limits } = this.#session
    const pace = new DataPace(this.#session)
    for (let chunk = lines.drain(); ; chunk = await pace.next()) {
      const { output, done, rest } = this.#decoder.push(chunk)
      for (const piece of output) await this.#take(piece)
      this.#failure ??= this.#violation()
      if (done) {
        lines.push(rest)
        return
      }
      if (this.#failure !== undefined) {
        this.#useless += chunk.length
        if (this.#useless > limits.discard) throw closing(this.#failure)
      }
    }
  }

  /** What came. @throws Refusal when it is no message that can be taken */
  message(): { readonly header: string; readonly bodySize: number; readonly writer: ReceptionWriter } {
    const { text, problem } = this.#splitter.header()
    if (problem === 'lone-newline') throw refusedBody(headerProblemReplies[problem])
    if (this.#failure !== undefined) throw this.#failure
    // RFC 5322 §3.5: a message may consist of a header alone.
    if (problem !== undefined && problem !== 'not-terminated')
      throw refusedBody(headerProblemReplies[problem])
    return { header: text, bodySize: this.#bodySize, writer: this.#writer }
  }

  async abort(): Promise<void> {
    await this.#writer.abort()
  }

  async #take(piece: Buffer): Promise<void> {
    if (this.#failure !== undefined) return
    this.#size += piece.length
    const most = this.#session.scope.options.max_message_size
    if (most > 0 && this.#size > most) return this.#fail(refusedBody(TOO_LARGE))
    const body = this.#splitter.push(piece)
    if (this.#splitter.tooLarge) return this.#fail(refusedBody(TOO_LARGE))
    this.#bodySize += body.length
    if (body.length === 0 || !this.#keepsBody) return
    try {
      const wait = this.#writer.append(body)
      if (wait !== undefined) await wait
    } catch (error) {
      await this.#fail(error instanceof SpoolFullError ? spoolFull(error) : this.#broken(error))
    }
  }

  /** Not foreseen. The rest of the message is still read: it must never be taken for commands. */
  #broken(error: unknown): Refusal {
    tellPanic(this.#session, 'spool', describe(error))
    return refuse(451, '4.3.0 transaction failed', {
      fault: 'us',
      module: 'spool',
      state: 'reading body',
      cause: error,
    })
  }

  /** What was kept goes at once: the rest of a refused message must not hold memory or disk. */
  async #fail(failure: Refusal): Promise<void> {
    this.#failure = failure
    await this.#writer.abort()
  }

  #violation(): Refusal | undefined {
    const { violation } = this.#decoder
    return violation === undefined ? undefined : refusedBody(VIOLATIONS[violation])
  }
}

const VIOLATIONS: Readonly<Record<DataViolation, Reply>> = {
  nul: { code: 550, text: '5.6.0 NUL in message (see RFC2822 section 2.1)' },
  'bare-cr': { code: 550, text: '5.6.0 Lone CR or LF in body (see RFC2822 section 2.3)' },
  'bare-lf': { code: 550, text: '5.6.0 Lone CR or LF in body (see RFC2822 section 2.3)' },
}

const TOO_LARGE = { code: 552, text: '5.3.4 message size limit exceeded' }

function refusedBody({ code, text }: Reply): Refusal {
  return refuse(code, text, { state: 'reading body' })
}

/** The same refusal, and the end of the connection: nobody can wait for a final dot that never comes. */
function closing({ reply, fault, module, state, cause }: Refusal): Refusal {
  return new Refusal(reply, { fault, module, cause, close: true, ...(state === undefined ? {} : { state }) })
}
