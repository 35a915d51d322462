/**
 * One message over a connection, as an ESMTP client (RFC 5321): banner, EHLO (HELO for a host that does not know it), or
 * RSET on a connection that was used before; MAIL and RCPT together where PIPELINING is offered (RFC 2920), DATA.
 *
 * Nothing is sent before the banner. A 4xx or 5xx answer at any step ends the attempt with that answer. STARTTLS takes
 * its place after EHLO, further extensions beside SIZE (RFC 1870) and 8BITMIME (RFC 6152).
 */

import type { OutboundValues } from '../config/settings.ts'
import { formatPath } from '../mail/address.ts'
import type { Envelope } from '../mail/envelope.ts'
import type { Reply } from '../mail/status.ts'
import type { StoredContent } from '../spool/spool.ts'
import { DataEncoder } from '../wire/encoder.ts'
import { ConnectionError, type SmtpConnection } from './smtp-connection.ts'
import { type Stage, stages } from './transport.ts'

/** The attempt is over, at this stage, with this answer. `broken`: the connection is of no use any more. */
export class AttemptEnd extends Error {
  readonly kind: 'transient' | 'permanent'
  readonly stage: Stage
  readonly text: string
  readonly broken: boolean

  constructor(
    kind: AttemptEnd['kind'],
    stage: Stage,
    text: string,
    options: ErrorOptions & { readonly broken?: boolean } = {},
  ) {
    super(text, options)
    this.name = 'AttemptEnd'
    this.kind = kind
    this.stage = stage
    this.text = text
    this.broken = options.broken ?? false
  }
}

export interface ClientOptions {
  readonly timeouts: Pick<
    OutboundValues,
    | 'connect_timeout'
    | 'ehlo_timeout'
    | 'mailfrom_timeout'
    | 'rcptto_timeout'
    | 'body_timeout'
    | 'rset_timeout'
  >
  /** the name that we give ourselves */
  readonly ehloHostname: string
}

/** What the other side offers after EHLO: keyword in upper case → parameters. */
export type Extensions = ReadonlyMap<string, string>

export class SmtpClient {
  readonly #connection: SmtpConnection
  readonly #options: ClientOptions
  #stage: Stage = stages.notConnected

  constructor(connection: SmtpConnection, options: ClientOptions) {
    this.#connection = connection
    this.#options = options
  }

  /** Connects, waits for the banner, says EHLO. @throws AttemptEnd, or an abort signal's reason */
  async greet(): Promise<Extensions> {
    const { connect_timeout, ehlo_timeout } = this.#options.timeouts
    return await this.#ending(async () => {
      await this.#connection.connected(connect_timeout)
      this.#stage = stages.banner
      this.#expect(2, await this.#connection.reply(ehlo_timeout, 'waiting for the banner'))
      const ehlo = await this.#command(`EHLO ${this.#options.ehloHostname}`, stages.afterEhlo, ehlo_timeout)
      if (ehlo.code < 500) {
        this.#expect(2, ehlo)
        return parseExtensions(ehlo)
      }
      const helo = `HELO ${this.#options.ehloHostname}`
      this.#expect(2, await this.#command(helo, stages.afterEhlo, ehlo_timeout))
      return new Map()
    })
  }

  /** Makes a connection that was used before ready for the next message. @throws AttemptEnd, or an abort signal's reason */
  async reset(): Promise<void> {
    await this.#ending(async () => {
      this.#expect(2, await this.#command('RSET', stages.afterRset, this.#options.timeouts.rset_timeout))
    })
  }

  /** Hands the message over; returns the answer to it. @throws AttemptEnd, or an abort signal's reason */
  async send(envelope: Envelope, content: StoredContent, extensions: Extensions): Promise<string> {
    return await this.#ending(async () => {
      await this.#sendEnvelope(envelope, content, extensions)
      const data = await this.#command('DATA', stages.afterData, this.#options.timeouts.body_timeout)
      this.#expect(3, data)
      await this.#sendContent(content)
      const answer = await this.#connection.reply(
        this.#options.timeouts.body_timeout,
        'waiting for the confirmation of the message',
      )
      this.#expect(2, answer)
      return replyText(answer)
    })
  }

  async #sendEnvelope(envelope: Envelope, content: StoredContent, extensions: Extensions): Promise<void> {
    const { mailfrom_timeout, rcptto_timeout } = this.#options.timeouts
    this.#stage = stages.afterEhlo
    const mail = `MAIL FROM:${path(envelope.sender)}${mailParameters(envelope, content, extensions)}`
    const rcpt = `RCPT TO:${path(envelope.recipient)}`
    if (!extensions.has('PIPELINING')) {
      this.#expect(2, await this.#command(mail, stages.afterMailFrom, mailfrom_timeout))
      this.#expect(2, await this.#command(rcpt, stages.afterRcptTo, rcptto_timeout))
      return
    }
    // DATA is not sent ahead: if RCPT is refused there must be no message to send (RFC 2920 §3.1)
    this.#connection.send(`${mail}\r\n${rcpt}\r\n`)
    this.#stage = stages.afterMailFrom
    this.#expect(2, await this.#connection.reply(mailfrom_timeout, 'waiting for the reply to MAIL FROM'))
    this.#stage = stages.afterRcptTo
    this.#expect(2, await this.#connection.reply(rcptto_timeout, 'waiting for the reply to RCPT TO'))
  }

  /** A host that answers before it has the whole message has made up its mind: the rest is not sent. */
  async #sendContent(content: StoredContent): Promise<void> {
    const { body_timeout } = this.#options.timeouts
    const encoder = new DataEncoder()
    this.#stage = stages.sendingBody
    await this.#connection.write(encoder.encode(asBuffer(content.header)), body_timeout)
    for await (const chunk of content.body()) {
      if (this.#connection.unread > 0) await this.#interrupted()
      await this.#connection.write(encoder.encode(asBuffer(chunk)), body_timeout)
    }
    if (this.#connection.unread > 0) await this.#interrupted()
    await this.#connection.write(encoder.end(), body_timeout)
    this.#stage = stages.confirmation
  }

  async #interrupted(): Promise<never> {
    const reply = await this.#connection.reply(0, '')
    const kind = reply.code >= 500 ? 'permanent' : 'transient'
    const text = reply.code >= 400 ? replyText(reply) : unexpected(reply)
    throw new AttemptEnd(kind, this.#stage, text, { broken: true })
  }

  async #command(line: string, stage: Stage, seconds: number): Promise<Reply> {
    this.#connection.send(`${line}\r\n`)
    this.#stage = stage
    const [verb = ''] = /^(?:MAIL FROM|RCPT TO|[A-Z]+)/.exec(line) ?? []
    return await this.#connection.reply(seconds, `waiting for the reply to ${verb}`)
  }

  #expect(firstDigit: number, reply: Reply): void {
    if (Math.floor(reply.code / 100) === firstDigit) return
    if (reply.code >= 500) throw new AttemptEnd('permanent', this.#stage, replyText(reply))
    if (reply.code >= 400) throw new AttemptEnd('transient', this.#stage, replyText(reply))
    throw new AttemptEnd('transient', this.#stage, unexpected(reply), { broken: true })
  }

  /** A connection that fails ends the attempt where it was; the answer that explains it may have come first. */
  async #ending<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      if (!(error instanceof ConnectionError)) throw error
      if (this.#stage === stages.sendingBody && this.#connection.unread > 0) await this.#interrupted()
      throw new AttemptEnd('transient', this.#stage, error.text, { broken: true, cause: error })
    }
  }
}

/**
 * Parameters of MAIL FROM.
 * @throws AttemptEnd where the next hop cannot take the message
 */
function mailParameters(envelope: Envelope, content: StoredContent, extensions: Extensions): string {
  let parameters = ''
  const limit = extensions.get('SIZE')
  if (limit !== undefined) {
    const size = content.header.length + content.bodySize
    // RFC 1870 §4: 0 or nothing is no limit
    if (/^[1-9]\d*$/.test(limit) && size > Number(limit)) {
      const text = `552 5.3.4 [internal] Message of ${size} octets is larger than the remote host takes (${limit})`
      throw new AttemptEnd('permanent', stages.afterEhlo, text)
    }
    parameters += ` SIZE=${size}`
  }
  if (envelope.bodyType === '8BITMIME') {
    if (!extensions.has('8BITMIME')) {
      const text = '554 5.6.3 [internal] Conversion of 8BITMIME content required, but not supported'
      throw new AttemptEnd('permanent', stages.afterEhlo, text)
    }
    parameters += ' BODY=8BITMIME'
  }
  return parameters
}

function path(mailbox: Envelope['sender']): string {
  const text = formatPath(mailbox)
  if (/^<[ -~]*>$/.test(text)) return text
  throw new AttemptEnd(
    'permanent',
    stages.afterEhlo,
    '553 5.6.7 [internal] The address cannot be sent without SMTPUTF8',
  )
}

function parseExtensions(reply: Reply): Extensions {
  const [, ...lines] = reply.text.split('\n')
  return new Map(
    lines.map((line) => {
      const [keyword = '', ...parameters] = line.trim().split(/[ \t]+/)
      return [keyword.toUpperCase(), parameters.join(' ')]
    }),
  )
}

/** longer answers are cut: they go into logs and into the spool */
const MAX_TEXT = 1000

/** A reply on one line: its code, then the text of its lines. */
function replyText(reply: Reply): string {
  return `${reply.code} ${reply.text}`
    .replace(/[^ -~\x80-\xff]+/g, ' ')
    .trimEnd()
    .slice(0, MAX_TEXT)
}

function unexpected(reply: Reply): string {
  return `451 4.5.0 [internal] Unexpected reply from the remote host: ${replyText(reply)}`.slice(0, MAX_TEXT)
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
