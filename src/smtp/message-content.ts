/**
 * The body of a message as policy reads and replaces it.
 *
 * Bounded: a body of more than 16 MiB is not given to policy and cannot be made by it, and all bodies that policy has at
 * one time share the memory of the receptions. Whatever a script makes can be sent as it is: lines end with CR LF, and
 * there is no NUL.
 */

import type { MessageContent } from '../policy/phases.ts'
import type { ReceptionWriter } from '../spool/spool.ts'

/** octets */
export const MAX_CONTENT = 16 * 1024 * 1024

export class BodyContent implements MessageContent {
  readonly #writer: ReceptionWriter
  /** what was received, once it has been fetched; all copies share it */
  readonly #received: { text: string | undefined }
  #replaced: { readonly text: string; readonly bytes: Uint8Array; readonly eightBit: boolean } | undefined
  /** octets that were reserved for what policy makes here */
  #taken = 0

  constructor(writer: ReceptionWriter, received: { text: string | undefined } = { text: undefined }) {
    this.#writer = writer
    this.#received = received
  }

  get body(): string | undefined {
    return this.#replaced?.text ?? this.#received.text
  }

  /** whether policy put octets beyond ASCII into it */
  get eightBit(): boolean {
    return this.#replaced?.eightBit ?? false
  }

  /** what policy made of it; undefined while it is what was received */
  get replaced(): Uint8Array | undefined {
    return this.#replaced?.bytes
  }

  async fetch(): Promise<void> {
    if (this.body !== undefined) return
    const { size } = this.#writer
    if (size > MAX_CONTENT) throw new Error(`a body of ${size} octets is too large for policy to read`)
    if (!this.#writer.reserve(size)) throw new Error('there is no memory to read the body now')
    const bytes = await this.#writer.read()
    this.#received.text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
  }

  replace(body: string): void {
    const text = sendable(body)
    if (text.length > MAX_CONTENT) throw new RangeError(`a body has at most ${MAX_CONTENT} octets`)
    // the text and its octets, in the place of those before
    const more = 2 * text.length - this.#taken
    if (more > 0) {
      if (!this.#writer.reserve(more)) throw new RangeError('there is no memory for another body now')
      this.#taken += more
    }
    this.#replaced = { text, bytes: Buffer.from(text, 'latin1'), eightBit: /[\x80-\xff]/.test(text) }
  }

  /** For one recipient, whose policy may replace it again. */
  copy(): BodyContent {
    const copy = new BodyContent(this.#writer, this.#received)
    copy.#replaced = this.#replaced
    // which the copy holds from now on: what comes in its place here needs room of its own
    this.#taken = 0
    return copy
  }
}

/** Momentum wants the end-of-data marker behind a body that a script sets; it is no part of it. */
export function sendable(body: string): string {
  const [bad] = /\0|[^\0-\xff]/.exec(body) ?? []
  if (bad !== undefined) throw new RangeError('a body has neither NUL nor characters that are no octets')
  const text = body.replaceAll(/\r\n?|\n/g, '\r\n').replace(/\r\n\.\r\n$/, '\r\n')
  return text === '' || text.endsWith('\r\n') ? text : `${text}\r\n`
}
