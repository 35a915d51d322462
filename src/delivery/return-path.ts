/** What final delivery writes on top of a message (RFC 5321 §4.4). */

import { formatPath } from '../mail/address.ts'
import type { Envelope } from '../mail/envelope.ts'
import { HeaderBlock } from '../mail/headers.ts'

/** The header with the reverse path on top; what a client wrote under that name goes. */
export function withReturnPath(header: Uint8Array, envelope: Envelope): Buffer {
  const block = new HeaderBlock(Buffer.from(header).toString('latin1'))
  block.delete('Return-Path')
  block.prepend('Return-Path', formatPath(envelope.sender))
  return block.toBytes()
}
