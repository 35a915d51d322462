/**
 * What comes before a message, as an ESMTP client (RFC 5321): banner, EHLO (HELO for a host that does not know it), or
 * RSET on a connection that was used before. As an LMTP client it is LHLO (RFC 2033), and nothing else will do. What may come between EHLO and a message, TLS and so on, is arranged in
 * session/setup.ts; the message itself: smtp-transaction.ts.
 *
 * Nothing is sent before the banner. A 4xx or 5xx answer at any step ends the attempt with that answer.
 */

import type { SecureContext, TLSSocket } from 'node:tls'
import type { OutboundValues } from '../config/settings.ts'
import type { DeliveryMethod } from '../config/settings-session.ts'
import type { Reply } from '../mail/status.ts'
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
  /** `SMTP`: HELO at once, and no extensions */
  readonly method: DeliveryMethod
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
      const { method, ehloHostname } = this.#options
      if (method !== 'SMTP') {
        const ehlo = await this.#command(this.#hello, stages.afterEhlo, ehlo_timeout)
        if (ehlo.code < 500 || method === 'LMTP') return this.#extensions(ehlo)
      }
      const helo = `HELO ${ehloHostname}`
      this.#expect(2, await this.#command(helo, stages.afterEhlo, ehlo_timeout))
      return new Map()
    })
  }

  /**
   * EHLO once more, after STARTTLS or XCLIENT: what was offered before counts no longer (RFC 3207 §4.2).
   * @throws AttemptEnd, or an abort signal's reason
   */
  async hello(): Promise<Extensions> {
    const { ehlo_timeout } = this.#options.timeouts
    return await this.#ending(async () =>
      this.#extensions(await this.#command(this.#hello, stages.afterEhlo, ehlo_timeout)),
    )
  }

  get #hello(): string {
    const { method, ehloHostname } = this.#options
    return `${method === 'LMTP' ? 'LHLO' : 'EHLO'} ${ehloHostname}`
  }

  /** A command whose reply the caller judges. @throws AttemptEnd, or an abort signal's reason */
  async ask(line: string): Promise<Reply> {
    const { ehlo_timeout } = this.#options.timeouts
    return await this.#ending(async () => await this.#command(line, stageOf(line), ehlo_timeout))
  }

  /** @throws AttemptEnd, whose cause is a TlsFailure when it is TLS that failed, or an abort signal's reason */
  async startTls(secureContext: SecureContext, servername: string | undefined): Promise<TLSSocket> {
    const { ehlo_timeout: seconds } = this.#options.timeouts
    return await this.#ending(async () => {
      this.#stage = stages.tlsHandshake
      return await this.#connection.startTls({ secureContext, servername, seconds })
    })
  }

  /** Makes a connection that was used before ready for the next message. @throws AttemptEnd, or an abort signal's reason */
  async reset(): Promise<void> {
    await this.#ending(async () => {
      this.#expect(2, await this.#command('RSET', stages.afterRset, this.#options.timeouts.rset_timeout))
    })
  }

  async #command(line: string, stage: Stage, seconds: number): Promise<Reply> {
    this.#connection.send(`${line}\r\n`)
    this.#stage = stage
    // the verb alone: what follows AUTH is nobody's business
    const [verb = 'AUTH'] = /^(?:EHLO|LHLO|HELO|RSET|STARTTLS|XCLIENT|AUTH)/.exec(line) ?? []
    return await this.#connection.reply(seconds, `waiting for the reply to ${verb}`)
  }

  #extensions(ehlo: Reply): Extensions {
    this.#expect(2, ehlo)
    return parseExtensions(ehlo)
  }

  #expect(firstDigit: number, reply: Reply): void {
    if (Math.floor(reply.code / 100) === firstDigit) return
    if (reply.code >= 500) throw new AttemptEnd('permanent', this.#stage, replyText(reply))
    if (reply.code >= 400) throw new AttemptEnd('transient', this.#stage, replyText(reply))
    throw new AttemptEnd('transient', this.#stage, unexpected(reply), { broken: true })
  }

  /** A connection that fails ends the attempt where it was. */
  async #ending<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      if (!(error instanceof ConnectionError)) throw error
      throw new AttemptEnd('transient', this.#stage, error.text, { broken: true, cause: error })
    }
  }
}

function stageOf(line: string): Stage {
  if (line.startsWith('STARTTLS')) return stages.afterStarttls
  return line.startsWith('XCLIENT') ? stages.afterXclient : stages.afterEhlo
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
export function replyText(reply: Reply): string {
  return `${reply.code} ${reply.text}`
    .replace(/[^ -~\x80-\xff]+/g, ' ')
    .trimEnd()
    .slice(0, MAX_TEXT)
}

/** Our own text for a reply that makes no sense where it came. */
export function unexpected(reply: Reply): string {
  return `451 4.5.0 [internal] Unexpected reply from the remote host: ${replyText(reply)}`.slice(0, MAX_TEXT)
}
