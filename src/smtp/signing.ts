/**
 * DKIM signatures of what is about to be kept: after policy has had its last word, so that nothing changes under them,
 * and once for all recipients whose copies are alike. A message that cannot be signed is kept without, and the paniclog
 * tells of it.
 */

import type { Authenticity } from '../authenticity/authenticity.ts'
import { LongLineError } from '../authenticity/lines.ts'
import { authorDomain, BodyHashes } from '../authenticity/sign.ts'
import type { ConditionalKey } from '../authenticity/signing-keys.ts'
import { defaultEgress, type Egress } from '../config/settings-queue.ts'
import type { Mailbox } from '../mail/envelope.ts'
import type { ValidationContext } from '../policy/context.ts'
import type { ReceptionWriter } from '../spool/spool.ts'
import { tellPanic } from './reject.ts'
import type { Session } from './session-state.ts'

/** One recipient's copy. */
interface Copy {
  readonly recipient: Mailbox | undefined
  readonly routingDomain?: string | undefined
  readonly egress?: Egress | undefined
  readonly context: ValidationContext
  readonly content: { readonly replaced: Uint8Array | undefined }
  /** those that scripts asked for */
  readonly wishes?: readonly ConditionalKey[]
}

/** What a signature depends on, and the header with it. */
interface Signed {
  readonly header: Uint8Array
  readonly body: Uint8Array | undefined
  readonly keys: readonly ConditionalKey[]
  readonly result: Uint8Array
}

/** For one transaction. */
export class CopySigner {
  readonly #session: Session
  readonly #authenticity: Authenticity | undefined
  readonly #received: BodyHashes
  /** of copies that are alike the last one is enough: they come one after the other */
  #last: Signed | undefined
  /** whose mail it is, by the header that says so: reading it takes a while, and most copies share one */
  #lastAuthor: { readonly header: Uint8Array; readonly domain: string | undefined } | undefined
  #lastBody: { readonly bytes: Uint8Array; readonly hashes: BodyHashes } | undefined

  constructor(session: Session, writer: ReceptionWriter) {
    this.#session = session
    this.#authenticity = session.services.authenticity
    this.#received = new BodyHashes(() => writer.chunks())
  }

  /** @returns the header as it is to be kept. @throws what reading the body throws */
  async sign(copy: Copy, header: Uint8Array): Promise<Uint8Array> {
    const { wishes = [] } = copy
    const authenticity = this.#authenticity
    if (authenticity === undefined || (!authenticity.signs && wishes.length === 0)) return header
    if (!this.#leavesSigned(copy)) return header
    const body = copy.content.replaced
    const own = authenticity.signs ? this.#keysFor(authenticity, copy.context, header) : []
    const keys = [...own, ...wishes]
    if (keys.length === 0) return header
    const last = this.#last
    if (last?.header === header && last.body === body && sameItems(last.keys, keys)) return last.result
    const result = await this.#signed(authenticity, textOf(header), {
      hashes: this.#hashesOf(body),
      keys,
    })
    this.#last = { header, body, keys, result }
    return result
  }

  #keysFor(
    authenticity: Authenticity,
    context: ValidationContext,
    header: Uint8Array,
  ): readonly ConditionalKey[] {
    if (this.#lastAuthor?.header !== header)
      this.#lastAuthor = { header, domain: authorDomain(textOf(header)) }
    const { domain } = this.#lastAuthor
    if (domain === undefined) return []
    return authenticity.keysFor(domain, (key) => context.connection.has(key) || context.message.has(key))
  }

  /** opendkim_sign, where the message goes */
  #leavesSigned({ recipient, routingDomain, egress = defaultEgress }: Copy): boolean {
    const domain = routingDomain ?? recipient?.domain ?? ''
    return this.#session.services.outbound?.resolveOutbound(domain, egress).options.opendkim_sign ?? true
  }

  #hashesOf(body: Uint8Array | undefined): BodyHashes {
    if (body === undefined) return this.#received
    if (this.#lastBody?.bytes !== body) {
      this.#lastBody = { bytes: body, hashes: new BodyHashes(() => once(body)) }
    }
    return this.#lastBody.hashes
  }

  async #signed(
    authenticity: Authenticity,
    header: string,
    { hashes, keys }: { readonly hashes: BodyHashes; readonly keys: readonly ConditionalKey[] },
  ): Promise<Uint8Array> {
    let fields = ''
    try {
      fields = await authenticity.signatures(header, hashes, keys, this.#session.services.clock())
    } catch (error) {
      if (!(error instanceof LongLineError)) throw error
    }
    if (fields === '')
      tellPanic(this.#session, 'opendkim', `message ${this.#id} is not signed: lines or fields without end`)
    return Buffer.from(fields + header, 'latin1')
  }

  get #id(): string {
    return this.#session.transaction?.id ?? ''
  }
}

function textOf(header: Uint8Array): string {
  return Buffer.from(header.buffer, header.byteOffset, header.byteLength).toString('latin1')
}

function sameItems(some: readonly unknown[], others: readonly unknown[]): boolean {
  return some.length === others.length && some.every((each, index) => each === others[index])
}

async function* once(body: Uint8Array): AsyncIterable<Uint8Array> {
  yield body
  // as a file would be read
  await Promise.resolve()
}
