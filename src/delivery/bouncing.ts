/**
 * Makes the notice of what became of a message, and puts it into the spool.
 *
 * When `make` resolves with a notice it is durable, and its message still there: whoever asked forgets that one next, and
 * sends the notice only then, so a kill at any step neither loses the news nor tells it twice. Where nobody is to be told
 * (notices/due.ts) none is made; the message has its line in the log. It is signed, where somebody is there who can,
 * before it is kept.
 */

import { randomBytes } from 'node:crypto'
import type { OutboundValues } from '../config/settings.ts'
import type { Mailbox } from '../mail/envelope.ts'
import type { IdGenerator } from '../mail/message-id.ts'
import type { Spool, StoredContent, StoredMessage } from '../spool/spool.ts'
import { makeBounce } from './bounce.ts'
import type { Clock } from './clock.ts'
import { isDoubleBounce } from './notices/double-bounce.ts'
import { toldOfEnd } from './notices/due.ts'

export interface BouncingOptions {
  readonly spool: Spool
  readonly ids: Pick<IdGenerator, 'next'>
  readonly clock: Clock
  /** notices go unsigned unless given */
  readonly sign?: NoticeSigner | undefined
}

/**
 * The signatures of a notice: fields to stand above its header, '' for none.
 * @throws what reading the body throws
 */
export type NoticeSigner = (notice: {
  readonly to: Mailbox
  readonly header: Uint8Array
  /** reads it from the beginning, each time */
  body(): AsyncIterable<Uint8Array>
}) => Promise<string>

/** What holds for the domain to which the message goes. */
export type NoticeOptions = OutboundValues & { readonly hostname: string }

type CommitOptions = NoticeOptions & {
  readonly to: Mailbox
  readonly id: string
  readonly delayNumber?: number
}

export class Bouncing {
  readonly #options: BouncingOptions

  constructor(options: BouncingOptions) {
    this.#options = options
  }

  /**
   * Tells the end of a message.
   * @returns the notice, or undefined when none is due
   * @throws SpoolFullError, or what the storage says; nothing was made then
   */
  async make(ended: StoredMessage, options: NoticeOptions): Promise<StoredMessage | undefined> {
    const to = toldOfEnd(ended, options)
    if (to === undefined || (ended.envelope.sender === undefined && (await this.#isToldOf(ended)))) {
      return undefined
    }
    return await this.#commit(ended, { ...options, to, id: this.#options.ids.next() })
  }

  /**
   * Tells that a message is late. Its id follows from the message and the number, so it is known whether it was made.
   * @throws SpoolFullError, or what the storage says; nothing was made then
   */
  async makeDelay(late: StoredMessage, number: number, options: NoticeOptions): Promise<StoredMessage> {
    const { spool } = this.#options
    const id = `${late.envelope.id}.d${number}`
    const { sender } = late.envelope
    if (sender === undefined) throw new TypeError('a message from the null sender has nobody to be told')
    const known = spool.contentKey(id) === undefined ? undefined : await spool.message(id)
    return known ?? (await this.#commit(late, { ...options, to: sender, id, delayNumber: number }))
  }

  async #isToldOf(ended: StoredMessage): Promise<boolean> {
    const content = await this.#contentOf(ended)
    return content !== undefined && (await isDoubleBounce(content))
  }

  /** A message of which nothing can be read any more has its notice all the same: without it. */
  async #commit(message: StoredMessage, options: CommitOptions): Promise<StoredMessage> {
    const content = await this.#contentOf(message)
    let isReadable = true
    const watched = content && {
      ...content,
      body: () => watching(content.body(), () => (isReadable = false)),
    }
    try {
      return await this.#write(message, watched, options)
    } catch (error) {
      if (isReadable) throw error
      return await this.#write(message, undefined, options)
    }
  }

  async #contentOf({ envelope }: StoredMessage): Promise<StoredContent | undefined> {
    try {
      return await this.#options.spool.read(envelope.id)
    } catch {
      return undefined
    }
  }

  async #write(
    message: StoredMessage,
    content: StoredContent | undefined,
    options: CommitOptions,
  ): Promise<StoredMessage> {
    const { spool, ids, clock, sign } = this.#options
    const bounce = makeBounce(message, content, {
      ...options,
      batchId: ids.next(),
      now: clock.now(),
      boundary: `=_${randomBytes(18).toString('base64url')}`,
    })
    const { to } = options
    const signatures = (await sign?.({ to, header: bounce.header, body: () => bounce.body() })) ?? ''
    const header = Buffer.concat([Buffer.from(signatures, 'latin1'), bounce.header])
    const writer = spool.create()
    try {
      for await (const chunk of bounce.body()) await writer.append(chunk)
      const envelope = { ...bounce.envelope(writer.size), size: header.length + writer.size }
      await writer.commit([{ envelope, header }])
      return { envelope, state: { attempts: 0, nextAttempt: 0, failed: false, lastText: '' } }
    } catch (error) {
      await writer.abort()
      throw error
    }
  }
}

async function* watching(
  chunks: AsyncIterable<Uint8Array>,
  onFailure: () => void,
): AsyncGenerator<Uint8Array> {
  try {
    yield* chunks
  } catch (error) {
    onFailure()
    throw error
  }
}
