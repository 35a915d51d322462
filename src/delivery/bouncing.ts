/**
 * Makes the notice of what became of a message, and puts it into the spool.
 *
 * When `make` resolves with a notice it is durable, and its message still there: whoever asked forgets that one next, and
 * sends the notice only then, so a kill at any step neither loses the news nor tells it twice. Where nobody is to be told
 * (notices/due.ts) none is made; the message has its line in the log.
 */

import { randomBytes } from 'node:crypto'
import type { OutboundValues } from '../config/settings.ts'
import type { Mailbox } from '../mail/envelope.ts'
import type { IdGenerator } from '../mail/message-id.ts'
import type { Spool, StoredMessage } from '../spool/spool.ts'
import { makeBounce } from './bounce.ts'
import type { Clock } from './clock.ts'
import { toldOfEnd } from './notices/due.ts'

export interface BouncingOptions {
  readonly spool: Spool
  readonly ids: Pick<IdGenerator, 'next'>
  readonly clock: Clock
}

/** What holds for the domain to which the message goes. */
export type NoticeOptions = OutboundValues & { readonly hostname: string }

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
    if (to === undefined) return undefined
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

  async #commit(
    message: StoredMessage,
    options: NoticeOptions & { readonly to: Mailbox; readonly id: string; readonly delayNumber?: number },
  ): Promise<StoredMessage> {
    const { spool, ids, clock } = this.#options
    const content = await spool.read(message.envelope.id)
    const bounce = makeBounce(message, content, {
      ...options,
      batchId: ids.next(),
      now: clock.now(),
      boundary: `=_${randomBytes(18).toString('base64url')}`,
    })
    const writer = spool.create()
    try {
      for await (const chunk of bounce.body()) await writer.append(chunk)
      const envelope = bounce.envelope(writer.size)
      await writer.commit([{ envelope, header: bounce.header }])
      return { envelope, state: { attempts: 0, nextAttempt: 0, failed: false, lastText: '' } }
    } catch (error) {
      await writer.abort()
      throw error
    }
  }
}
