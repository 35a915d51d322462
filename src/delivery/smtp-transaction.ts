/**
 * One mail transaction over a connection that has been greeted (RFC 5321 §3.3): MAIL, a RCPT for each recipient, DATA and
 * the message. What the commands say: smtp-envelope.ts. Where PIPELINING is offered all commands go out together (RFC 2920).
 *
 * What the host says is an answer to each recipient, never an error: a recipient that was refused has its own answer,
 * the others share what became of the message. When every recipient was refused and DATA was on its way already, a
 * message without a line ends it (RFC 2920 §3.1), and whatever is said to that counts for nobody. A host that takes no
 * more recipients for now (452) has not refused those that are left: they are deferred (RFC 5321 §4.5.3.1.10).
 * Where CHUNKING is offered the message goes out by BDAT (smtp-chunks.ts).
 *
 * With LMTP (RFC 2033) each recipient that was taken has an answer to the message too. A connection that breaks among
 * them takes nothing back: those who have their answer keep it, the others are tried again.
 */

import type { Envelope } from '../mail/envelope.ts'
import type { Reply } from '../mail/status.ts'
import type { StoredContent } from '../spool/spool.ts'
import { DataEncoder } from '../wire/encoder.ts'
import { wantsSuccess } from './notices/due.ts'
import { sendChunks, smallMessage } from './smtp-chunks.ts'
import { type ClientOptions, type Extensions, replyText, unexpected } from './smtp-client.ts'
import { ConnectionError, type SmtpConnection } from './smtp-connection.ts'
import { type Failure, mailCommand, rcptCommand } from './smtp-envelope.ts'
import { type AttemptResult, type Deferred, type Stage, stages } from './transport.ts'

/** What was said to one recipient. */
export type Answer = Pick<AttemptResult, 'kind' | 'stage' | 'text' | 'notice'> | Deferred

export interface Sent {
  /** one for each envelope, in their order */
  readonly answers: readonly Answer[]
  /** the connection afterwards: good for another message, to be ended by QUIT, or of no use */
  readonly connection: 'again' | 'quit' | 'broken'
}

/** What is sent. The envelopes have one sender and one body type; the content is that of each. */
export interface Job {
  readonly envelopes: readonly Envelope[]
  readonly content: StoredContent
  readonly extensions: Extensions
  /** BODY=8BITMIME is to be said */
  readonly eightBit: boolean
  /** SMTPUTF8 is to be said */
  readonly utf8: boolean
  /** every recipient has an answer of its own to the message */
  readonly lmtp?: boolean
}

/** A recipient that the host is asked about, by its place. */
interface Asked {
  readonly index: number
  readonly command: string
}

/** It is over for every recipient that has no answer yet. `broken`: the connection is of no use any more. */
class End extends Error {
  readonly failure: Failure
  readonly broken: boolean

  constructor(failure: Failure, broken: boolean) {
    super(failure.text)
    this.failure = failure
    this.broken = broken
  }
}

export class SmtpTransaction {
  readonly #connection: SmtpConnection
  readonly #timeouts: ClientOptions['timeouts']
  readonly #job: Job
  readonly #answers: (Answer | undefined)[]
  readonly #pipelining: boolean
  readonly #chunking: boolean
  /** the recipients that were taken, by index */
  #accepted: readonly number[] = []
  #stage: Stage = stages.afterEhlo

  constructor(connection: SmtpConnection, timeouts: ClientOptions['timeouts'], job: Job) {
    this.#connection = connection
    this.#timeouts = timeouts
    this.#job = job
    this.#answers = job.envelopes.map(() => undefined)
    this.#pipelining = job.extensions.has('PIPELINING')
    // an answer to each chunk from each recipient would be LMTP's way; DATA does as well
    this.#chunking = job.extensions.has('CHUNKING') && job.lmtp !== true
  }

  /** @throws an abort signal's reason, or what reading the content throws; the connection is of no use then */
  async run(): Promise<Sent> {
    let broken = false
    try {
      await this.#transact()
    } catch (error) {
      const end = error instanceof ConnectionError ? await this.#cut(error) : error
      if (!(end instanceof End)) throw end
      broken = end.broken
      this.#fill(end.failure)
    }
    const answers = this.#answers.filter((answer) => answer !== undefined)
    if (answers.length < this.#answers.length) throw new Error('a recipient was left without an answer')
    const closing = answers.some((answer) => answer.kind !== 'deferred' && answer.text.startsWith('421'))
    return { answers, connection: broken ? 'broken' : closing ? 'quit' : 'again' }
  }

  async #transact(): Promise<void> {
    const { envelopes, content } = this.#job
    const size = content.header.length + content.bodySize
    const [first] = envelopes
    if (first === undefined) return
    const mail = mailCommand(first, { ...this.#job, size })
    if (typeof mail !== 'string') throw new End(mail, false)
    const asked = envelopes.flatMap((envelope, index) => {
      const command = rcptCommand(envelope, this.#job)
      if (typeof command === 'string') return [{ index, command }]
      this.#answers[index] = command
      return []
    })
    if (asked.length === 0) return
    const commands = [mail, ...asked.map(({ command }) => command)]
    if (this.#chunking) await this.#transactInChunks(commands, asked)
    else await this.#transactWithData(commands, asked)
  }

  async #transactWithData([mail = '', ...rcpt]: readonly string[], asked: readonly Asked[]): Promise<void> {
    if (this.#pipelining) this.#connection.send(`${[mail, ...rcpt, 'DATA'].join('\r\n')}\r\n`)
    const accepted = await this.#envelope(mail, asked)
    // without pipelining DATA is not said for nobody
    if (accepted.length === 0 && !this.#pipelining) return
    const data = await this.#reply('DATA', stages.afterData, this.#timeouts.body_timeout)
    if (accepted.length === 0) {
      await this.#endOfNothing(data)
      return
    }
    this.#expect(3, data)
    this.#accepted = accepted
    if (this.#job.lmtp === true) this.#connection.expect(accepted.length)
    await this.#sendContent(this.#job.content)
    await this.#confirm()
  }

  /** RFC 3030. A small message goes out with its envelope; if then nobody is there to take it, it is not kept. */
  async #transactInChunks([mail = '', ...rcpt]: readonly string[], asked: readonly Asked[]): Promise<void> {
    const { content } = this.#job
    const { body_timeout: seconds } = this.#timeouts
    const small = this.#pipelining ? await smallMessage(content) : undefined
    if (this.#pipelining) this.#connection.send(`${[mail, ...rcpt].join('\r\n')}\r\n`)
    if (small !== undefined) {
      this.#connection.send(`BDAT ${small.length} LAST\r\n`)
      this.#stage = stages.afterEhlo
      await this.#connection.write(small, seconds)
    }
    const accepted = await this.#envelope(mail, asked)
    if (accepted.length === 0 && small === undefined) return
    this.#stage = stages.sendingBody
    const reply =
      small === undefined
        ? await sendChunks(this.#connection, content, { pipelining: this.#pipelining, seconds })
        : await this.#connection.reply(seconds, 'waiting for the reply to BDAT')
    if (accepted.length === 0) return
    this.#stage = stages.confirmation
    this.#expect(2, reply)
    this.#fillDelivered(reply)
  }

  /** What the host says to the whole message: to all, or with LMTP to each recipient that was taken (RFC 2033 §4.2). */
  async #confirm(): Promise<void> {
    const next = async (): Promise<Reply> =>
      await this.#connection.reply(this.#timeouts.body_timeout, 'waiting for the confirmation of the message')
    if (this.#job.lmtp === true) {
      for (const index of this.#accepted) {
        const reply = await next()
        this.#answers[index] = this.#refusal(2, reply) ?? this.#delivered(reply, index)
      }
      return
    }
    const confirmation = await next()
    this.#expect(2, confirmation)
    this.#fillDelivered(confirmation)
  }

  /** MAIL and RCPT; the indices of the recipients that were taken. Those that were not have their answer. */
  async #envelope(mail: string, asked: readonly Asked[]): Promise<readonly number[]> {
    const refused = this.#refusal(
      2,
      await this.#reply(mail, stages.afterMailFrom, this.#timeouts.mailfrom_timeout),
    )
    if (refused !== undefined) {
      this.#fill(refused)
      // the replies to what was sent ahead say nothing new, but they come
      if (this.#pipelining)
        for (const { command } of asked)
          await this.#reply(command, stages.afterMailFrom, this.#timeouts.rcptto_timeout)
      return []
    }
    const accepted: number[] = []
    for (const { index, command } of asked) {
      const reply = await this.#reply(command, stages.afterRcptTo, this.#timeouts.rcptto_timeout)
      const answer = this.#refusal(2, reply)
      if (answer === undefined) accepted.push(index)
      else
        this.#answers[index] =
          accepted.length > 0 && isTooMany(reply) ? { kind: 'deferred', until: 0 } : answer
    }
    return accepted
  }

  /** DATA was sent ahead and there is nobody to send to. */
  async #endOfNothing(data: Reply): Promise<void> {
    if (data.code < 300 || data.code >= 400) return
    // with LMTP nobody could tell how many answers there are to that: the connection has to go
    if (this.#job.lmtp === true)
      throw new End({ kind: 'transient', stage: this.#stage, text: unexpected(data) }, true)
    this.#connection.send('.\r\n')
    await this.#connection.reply(this.#timeouts.body_timeout, 'waiting for the end of the transaction')
  }

  /** A host that answers before it has the whole message has made up its mind: the rest is not sent. */
  async #sendContent(content: StoredContent): Promise<void> {
    const { body_timeout } = this.#timeouts
    const encoder = new DataEncoder()
    this.#stage = stages.sendingBody
    await this.#connection.write(encoder.encode(asBuffer(content.header)), body_timeout)
    for await (const chunk of content.body()) {
      if (this.#connection.unread > 0) throw await this.#interrupted()
      await this.#connection.write(encoder.encode(asBuffer(chunk)), body_timeout)
    }
    if (this.#connection.unread > 0) throw await this.#interrupted()
    await this.#connection.write(encoder.end(), body_timeout)
    this.#stage = stages.confirmation
  }

  /** With LMTP such an answer is the first recipient's alone. */
  async #interrupted(): Promise<End> {
    const reply = await this.#connection.reply(0, '')
    const kind = reply.code >= 500 ? 'permanent' : 'transient'
    const text = reply.code >= 400 ? replyText(reply) : unexpected(reply)
    const failure: Failure = { kind, stage: this.#stage, text }
    const [first] = this.#accepted
    if (this.#job.lmtp !== true || first === undefined) return new End(failure, true)
    this.#answers[first] = failure
    return new End({ ...failure, kind: 'transient', text: unexpected(reply) }, true)
  }

  /** A connection that fails ends it where it was; the answer that explains it may have come first. */
  async #cut(error: ConnectionError): Promise<End> {
    // with chunks answers come all along
    if (this.#stage === stages.sendingBody && this.#connection.unread > 0 && !this.#chunking)
      return await this.#interrupted()
    return new End({ kind: 'transient', stage: this.#stage, text: error.text }, true)
  }

  /** The reply to a command, which is sent now unless all were sent ahead. */
  async #reply(command: string, stage: Stage, seconds: number): Promise<Reply> {
    if (!this.#pipelining) this.#connection.send(`${command}\r\n`)
    this.#stage = stage
    const [verb = ''] = /^(?:MAIL FROM|RCPT TO|[A-Z]+)/.exec(command) ?? []
    return await this.#connection.reply(seconds, `waiting for the reply to ${verb}`)
  }

  /** What a reply of another kind than the hoped-for one means. @throws End for one that makes no sense */
  #refusal(firstDigit: number, reply: Reply): Failure | undefined {
    if (Math.floor(reply.code / 100) === firstDigit) return undefined
    const stage = this.#stage
    if (reply.code >= 500) return { kind: 'permanent', stage, text: replyText(reply) }
    if (reply.code >= 400) return { kind: 'transient', stage, text: replyText(reply) }
    throw new End({ kind: 'transient', stage, text: unexpected(reply) }, true)
  }

  #expect(firstDigit: number, reply: Reply): void {
    const failure = this.#refusal(firstDigit, reply)
    if (failure !== undefined) throw new End(failure, false)
  }

  #fillDelivered(reply: Reply): void {
    for (const index of this.#answers.keys()) this.#answers[index] ??= this.#delivered(reply, index)
  }

  /** Where the host offers DSN, telling the sender is its business from now on (RFC 3461 §5.2.1). */
  #delivered(reply: Reply, index: number): Answer {
    const { envelopes, extensions, lmtp } = this.#job
    const envelope = envelopes[index]
    const tells = envelope !== undefined && wantsSuccess(envelope) && !extensions.has('DSN')
    const answer = { kind: 'delivered', stage: stages.confirmation, text: replyText(reply) } as const
    return tells ? { ...answer, notice: lmtp === true ? 'delivered' : 'relayed' } : answer
  }

  /** The same for everybody who has no answer yet. */
  #fill(answer: Answer): void {
    for (const [index, known] of this.#answers.entries()) this.#answers[index] = known ?? answer
  }
}

/** RFC 5321 §4.5.3.1.10, where 552 is also known. 452 is said of a full mailbox too, with 4.2.x. */
function isTooMany({ code, text }: Reply): boolean {
  return code === 452 ? !text.startsWith('4.2.') : code === 552 && text.startsWith('5.5.3')
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
