/**
 * Makes the bounce of a message that failed, and puts it into the spool.
 *
 * When `make` resolves with a bounce it is durable, and the failed message still there: whoever asked forgets that one
 * next, and sends the bounce only then, so a kill at any step neither loses the news nor tells it twice. No bounce is
 * made for a message from the null sender, and none where Generate_Bounces is off; such a message has its P line.
 */

import { randomBytes } from 'node:crypto'
import type { OutboundValues } from '../config/settings.ts'
import type { IdGenerator } from '../mail/message-id.ts'
import type { Spool, StoredMessage } from '../spool/spool.ts'
import { makeBounce } from './bounce.ts'
import type { Clock } from './clock.ts'

export interface BouncingOptions {
  readonly spool: Spool
  readonly ids: Pick<IdGenerator, 'next'>
  readonly clock: Clock
}

/** What holds for the domain to which the message could not be delivered. */
type DomainOptions = Pick<OutboundValues, 'generate_bounces' | 'bounces_inline_original' | 'mailerdaemon'> & {
  readonly hostname: string
}

export class Bouncing {
  readonly #options: BouncingOptions

  constructor(options: BouncingOptions) {
    this.#options = options
  }

  /**
   * @returns the bounce, or undefined when none is due
   * @throws SpoolFullError, or what the storage says; nothing was made then
   */
  async make(failed: StoredMessage, options: DomainOptions): Promise<StoredMessage | undefined> {
    const { spool, ids, clock } = this.#options
    if (failed.envelope.sender === undefined || !options.generate_bounces) return undefined
    const content = await spool.read(failed.envelope.id)
    const bounce = makeBounce(failed, content, {
      ...options,
      id: ids.next(),
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
