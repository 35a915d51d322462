/**
 * A message on its way in, by DATA or in chunks (BDAT): its header is collected and checked, its body streams into the
 * spool, so memory does not grow with it.
 *
 * A message that is refused in mid-flight (too large, no room, a bare CR or LF, a NUL) is read on to its end, so that the
 * client hears why and both sides stay in step; but not for ever: after so many useless octets the refusal is sent and
 * the connection is cut. A client that is too slow gets 421 4.4.2.
 */

import type { Reply } from '../mail/status.ts'
import type { ReceptionWriter } from '../spool/spool.ts'
import { SpoolFullError } from '../spool/spool.ts'
import { ChunkScanner } from '../wire/chunk.ts'
import type { DataViolation } from '../wire/data.ts'
import { DataDecoder } from '../wire/data.ts'
import { giveBack } from '../wire/give-back.ts'
import { HeaderSplitter, headerProblemReplies } from '../wire/header-split.ts'
import { DataPace } from './data-pace.ts'
import { describe, Refusal, refuse, spoolFull, tellPanic } from './reject.ts'
import type { ChunkedReception, Session, Transaction } from './session-state.ts'

interface ReceivedMessage {
  readonly header: string
  readonly bodySize: number
  readonly writer: ReceptionWriter
}

export class MessageReception implements ChunkedReception {
  readonly #session: Session
  readonly #scanner = new ChunkScanner()
  readonly #splitter: HeaderSplitter
  readonly #writer: ReceptionWriter
  readonly #pace: DataPace
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
    this.#pace = new DataPace(session)
    this.#keepsBody = !transaction.discarded
  }

  /** Reads to the final dot. @throws Refusal when the client is too slow, or the message is useless and endless */
  async receive(): Promise<void> {
    const { lines } = this.#session
    const decoder = new DataDecoder()
    for (;;) {
      const next = lines.buffered > 0 ? lines.drain() : this.#pace.next()
      const chunk = next instanceof Promise ? await next : next
      const { output, done, rest } = decoder.push(chunk)
      for (const piece of output) {
        const taken = this.#take(piece)
        if (taken !== undefined) await taken
      }
      this.#failure ??= violationOf(decoder)
      if (done) {
        lines.push(rest)
        const settled = this.#settle()
        if (settled !== undefined) await settled
        return
      }
      this.#countUseless(chunk.length)
      // header and spool have copied what they keep
      giveBack(chunk)
    }
  }

  /**
   * Reads the octets of one chunk, to the last, whatever is wrong with them.
   * @throws Refusal afterwards, when the message cannot be taken; or when the client is too slow, or the chunk is useless
   *   and endless, and then the connection ends
   */
  async receiveChunk(octets: number): Promise<void> {
    const { lines, io } = this.#session
    const most = this.#session.scope.options.max_message_size
    if (most > 0 && this.#size + octets > most) await this.#fail(refusedBody(TOO_LARGE))
    this.#expect(octets)
    this.#pace.check()
    if (lines.buffered < octets) await io.flush()
    for (let left = octets; left > 0; ) {
      const chunk = lines.buffered > 0 ? lines.drain() : await this.#pace.next()
      const piece = chunk.subarray(0, left)
      left -= piece.length
      if (piece.length < chunk.length) lines.push(chunk.subarray(piece.length))
      this.#scanner.push(piece)
      await this.#take(piece)
      this.#failure ??= violationOf(this.#scanner)
      this.#countUseless(piece.length)
    }
    if (this.#failure !== undefined) throw this.#failure
  }

  /** After the last chunk. @throws Refusal */
  async endChunks(): Promise<void> {
    const lacking = this.#scanner.end()
    this.#failure ??= violationOf(this.#scanner)
    if (lacking !== '' && this.#size > 0) await this.#take(Buffer.from(lacking))
    await this.#settle()
    if (this.#failure !== undefined) throw this.#failure
  }

  /** What came. @throws Refusal when it is no message that can be taken */
  message(): ReceivedMessage {
    const { text, problem } = this.#splitter.header()
    const failure = this.#failure
    // a header that was cut off says nothing of itself; of two things that were found the header's is the one to name
    const mayName = failure === undefined || failure.reply.text === VIOLATIONS['bare-lf'].text
    if (problem === 'lone-newline' && mayName) throw refusedBody(headerProblemReplies[problem])
    if (failure !== undefined) throw failure
    // RFC 5322 §3.5: a message may consist of a header alone.
    if (problem !== undefined && problem !== 'not-terminated')
      throw refusedBody(headerProblemReplies[problem])
    return { header: text, bodySize: this.#bodySize, writer: this.#writer }
  }

  async drop(): Promise<void> {
    try {
      await this.#writer.abort()
    } catch (error) {
      tellPanic(this.#session, 'spool', describe(error))
    }
  }

  /** @returns what to wait for */
  #take(piece: Buffer): Promise<void> | undefined {
    if (this.#failure !== undefined) return undefined
    this.#size += piece.length
    const most = this.#session.scope.options.max_message_size
    if (most > 0 && this.#size > most) return this.#fail(refusedBody(TOO_LARGE))
    const body = this.#splitter.push(piece)
    if (this.#splitter.tooLarge) return this.#fail(refusedBody(TOO_LARGE))
    this.#bodySize += body.length
    if (body.length === 0 || !this.#keepsBody) return undefined
    try {
      return this.#writer.append(body)?.catch((error: unknown) => this.#failToKeep(error))
    } catch (error) {
      return this.#failToKeep(error)
    }
  }

  /** Before policy or a signer reads the message: a full disk is neither's fault. */
  #settle(): Promise<void> | undefined {
    if (this.#failure !== undefined) return undefined
    return this.#writer.settle()?.catch((error: unknown) => this.#failToKeep(error))
  }

  async #failToKeep(error: unknown): Promise<void> {
    await this.#fail(error instanceof SpoolFullError ? spoolFull(error) : this.#broken(error))
  }

  /** A chunk that is of no use and says so beforehand need not be waited for. */
  #expect(octets: number): void {
    if (this.#failure !== undefined && octets > this.#session.limits.discard) throw closing(this.#failure)
  }

  #countUseless(octets: number): void {
    if (this.#failure === undefined) return
    this.#useless += octets
    if (this.#useless > this.#session.limits.discard) throw closing(this.#failure)
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

  /**
   * What was kept goes at once: the rest of a refused message must not hold memory or disk. A disk that does not let go
   * of it changes nothing: the rest is read all the same.
   */
  async #fail(failure: Refusal): Promise<void> {
    this.#failure ??= failure
    await this.drop()
  }
}

/**
 * Reads the octets of a chunk that is refused for another reason than what is in it.
 * @throws Refusal when the client is too slow, or the chunk is not worth waiting for
 */
export async function skipChunk(session: Session, octets: number, refusal: Refusal): Promise<void> {
  const { lines, io, limits } = session
  if (octets > limits.discard) throw closing(refusal)
  if (lines.buffered < octets) await io.flush()
  const pace = new DataPace(session)
  for (let left = octets; left > 0; ) {
    const chunk = lines.buffered > 0 ? lines.drain() : await pace.next()
    if (left < chunk.length) lines.push(chunk.subarray(left))
    left -= Math.min(left, chunk.length)
  }
}

function violationOf({ violation }: { readonly violation: DataViolation | undefined }): Refusal | undefined {
  return violation === undefined ? undefined : refusedBody(VIOLATIONS[violation])
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

/** The same refusal, and the end of the connection: nobody can wait for an end that never comes. */
function closing({ reply, fault, module, state, cause }: Refusal): Refusal {
  return new Refusal(reply, { fault, module, cause, close: true, ...(state === undefined ? {} : { state }) })
}
