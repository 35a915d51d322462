/**
 * Messages that policy sends while it is asked about another one (momentum: lua/ref-msg-inject, lua/ref-msg-forward).
 *
 * They go straight into the spool, under ids of their own, and are delivered like any other; no policy is asked about
 * them. Nothing runs away: a transaction sends at most `MAX_MESSAGES`, and a message that comes back carries in its
 * header how many times policy has answered mail with mail. What is not a number there counts as too many.
 */

import { isInternational } from '../mail/address.ts'
import { formatDate } from '../mail/date.ts'
import type { Envelope } from '../mail/envelope.ts'
import { HeaderBlock } from '../mail/headers.ts'
import { ValidationContext } from '../policy/context.ts'
import type { MessageFacts, NewMail } from '../policy/phases.ts'
import type { NewMessage, ReceptionWriter } from '../spool/spool.ts'
import { keepMessages } from './keep.ts'
import { BodyContent, MAX_CONTENT, sendable } from './message-content.ts'
import { madeHereValue } from './received.ts'
import type { Session, Transaction } from './session-state.ts'
import { CopySigner } from './signing.ts'

const GENERATION = 'X-Postern-Generation'
const MAX_GENERATIONS = 5
/** one for each recipient */
const MAX_MESSAGES = 1000

/** For one transaction. */
export class Injection {
  readonly #session: Session
  readonly #transaction: Transaction
  readonly #generation: number
  #sent = 0

  /** @param headers of the message that was received, before policy has seen it */
  constructor(session: Session, transaction: Transaction, headers: HeaderBlock) {
    this.#session = session
    this.#transaction = transaction
    this.#generation = generationOf(headers) + 1
  }

  /** Resolves when the messages are on stable storage. @throws Error which says why they were not taken */
  async send(mail: NewMail): Promise<void> {
    const { services, limits } = this.#session
    this.#check(mail)
    const batchId = services.ids.next()
    const body = Buffer.from(sendable(mail.body), 'latin1')
    if (body.length > MAX_CONTENT) throw new RangeError(`a body has at most ${MAX_CONTENT} octets`)
    const header = this.#header(mail, batchId)
    if (header.length > limits.header) throw new RangeError(`a header has at most ${limits.header} octets`)
    const eightBit = [header, body].some((bytes) => bytes.some((octet) => octet > 0x7f))
    const utf8 = mail.sender !== undefined && isInternational(mail.sender)
    const writer = services.spool.create()
    const signer = new CopySigner(this.#session, writer)
    const { context } = this.#session
    const messages: NewMessage[] = []
    for (const [index, recipient] of mail.recipients.entries()) {
      // by the same rule as what came in: it may be a stranger's that a script passes on
      const signed = await signer.sign({ recipient, context, content: { replaced: body } }, header)
      const envelope = this.#envelope({
        id: index === 0 ? batchId : services.ids.next(),
        batchId,
        sender: mail.sender,
        recipient,
        bodyType: eightBit ? '8BITMIME' : '7BIT',
        ...(utf8 || isInternational(recipient) ? { smtpUtf8: true } : {}),
        size: signed.length + body.length,
      })
      messages.push({ header: signed, envelope })
    }
    try {
      await writer.append(body)
      await keepMessages(this.#session, writer, messages, 'internal')
    } catch (error) {
      await writer.abort()
      throw error
    }
  }

  #check({ recipients }: NewMail): void {
    if (this.#generation > MAX_GENERATIONS) throw new Error('mail loop: policy answers its own mail')
    if (recipients.length === 0) throw new RangeError('a message needs a recipient')
    // counted before anything waits, whether or not it comes to be kept
    this.#sent += recipients.length
    if (this.#sent > MAX_MESSAGES) throw new Error(`a transaction sends at most ${MAX_MESSAGES} messages`)
  }

  #header({ headers, sender }: NewMail, id: string): Buffer {
    const { services } = this.#session
    const { scope } = this.#transaction
    const block = headers.copy()
    block.delete(GENERATION)
    if (block.count('date') === 0) block.append('Date', formatDate(services.clock()))
    if (block.count('message-id') === 0)
      block.append('Message-ID', `<${id.replaceAll('/', '.')}@${services.hostname}>`)
    block.prepend(GENERATION, String(this.#generation))
    if (scope.options.rfc2822_trace_headers)
      block.prepend('Received', madeHereValue(this.#session, { id, scope }, sender))
    return block.toBytes()
  }

  #envelope(
    own: Pick<Envelope, 'id' | 'batchId' | 'sender' | 'recipient' | 'bodyType' | 'smtpUtf8' | 'size'>,
  ): Envelope {
    const { connection, services, context } = this.#session
    return {
      ...own,
      connectionId: connection.id,
      receivedAt: services.clock(),
      client: connection.remote,
      local: connection.local,
      bindingGroup: 'default',
      binding: 'default',
      connectionContext: context.snapshot('connection'),
      messageContext: {},
    }
  }
}

/** A message that policy fills and sends: nobody's, and empty. Its body shares the memory of the one that is received. */
export function newMessage(session: Session, writer: ReceptionWriter, injection: Injection): MessageFacts {
  return {
    id: session.services.ids.next(),
    sender: undefined,
    recipient: undefined,
    headers: new HeaderBlock(''),
    context: new ValidationContext(),
    size: 0,
    content: new BodyContent(writer, { text: '' }),
    send: (mail) => injection.send(mail),
  }
}

function generationOf(headers: HeaderBlock): number {
  const values = headers.values(GENERATION)
  return values.reduce(
    (most, value) => Math.max(most, /^[0-9]{1,3}$/.test(value) ? Number(value) : MAX_GENERATIONS),
    0,
  )
}
