/**
 * The end of a message that failed, or that was delivered and whose sender is to be told: first its bounce is durable, then it is forgotten, then the bounce is sent. A kill at
 * any step neither loses the news nor tells it twice (bouncing.ts).
 */

import type { OutboundValues } from '../config/settings.ts'
import type { EventSink } from '../events/events.ts'
import { routingDomain } from '../mail/envelope.ts'
import type { StoredMessage } from '../spool/spool.ts'
import { describe } from './attempts.ts'
import { Bouncing, type BouncingOptions } from './bouncing.ts'

/** at once: making a notice takes a few milliseconds, and others want to work in between */
export const MAX_ENDINGS = 32

export interface EndingsOptions extends BouncingOptions {
  readonly events: EventSink
  readonly panic: (text: string, once?: 'once') => void
}

export interface EndingOf {
  /** its bounce, where that is in the spool already */
  readonly bounce: StoredMessage | undefined
  readonly options: OutboundValues & { readonly hostname: string }
  /** its failure may have been told by an earlier process, or by none: a kill may have come first */
  readonly untold: boolean
}

/** `later`: it is still there. The bounce of one that is over is to be sent. */
export interface Ended {
  readonly kind: 'over' | 'later'
  readonly bounce: StoredMessage | undefined
}

export class Endings {
  readonly #options: EndingsOptions
  readonly #bouncing: Bouncing

  constructor(options: EndingsOptions) {
    this.#options = options
    this.#bouncing = new Bouncing(options)
  }

  async end(id: string, { bounce: known, options, untold }: EndingOf): Promise<Ended> {
    const { spool, panic } = this.#options
    let bounce = known
    try {
      const failed = await spool.message(id)
      if (failed === undefined) return { kind: 'over', bounce }
      bounce ??= await this.#bouncing.make(failed, options)
      await spool.remove(id)
      if (bounce === undefined && untold && failed.state.success === undefined) this.#notice(failed)
    } catch (error) {
      panic(`a bounce cannot be made now: ${describe(error)}`, 'once')
      return { kind: 'later', bounce }
    }
    if (bounce !== undefined) {
      const { envelope } = bounce
      this.#options.events.emit({
        kind: 'reception',
        at: envelope.receivedAt,
        envelope,
        protocol: 'internal',
      })
    }
    return { kind: 'over', bounce }
  }

  #notice({ envelope, state }: StoredMessage): void {
    const text = `message ${envelope.id} for ${routingDomain(envelope)} had failed (${state.lastText}) and is forgotten without a bounce`
    const { events, clock } = this.#options
    events.emit({ kind: 'panic', at: clock.now(), level: 'notice', module: 'delivery', text })
  }
}
