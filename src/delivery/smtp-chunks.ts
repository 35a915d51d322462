/**
 * A message as chunks (BDAT, RFC 3030) instead of DATA: no dots, and the host knows the octets beforehand. With PIPELINING
 * a chunk does not wait for the answer to the one before it.
 *
 * Lone CRs and LFs become CRLF as with DATA. The first answer that is not 2xx ends the sending, between two chunks, so
 * that both sides stay in step; the answers to what was on its way are read and count for nothing.
 */

import type { Reply } from '../mail/status.ts'
import type { StoredContent } from '../spool/spool.ts'
import { DataEncoder } from '../wire/encoder.ts'
import type { SmtpConnection } from './smtp-connection.ts'

/** octets */
const CHUNK = 256 * 1024
/** a message of at most so many octets goes out together with its envelope */
const SMALL = 64 * 1024

/** The whole message, where it is small enough to be sent before anybody has said that it is wanted. */
export async function smallMessage(content: StoredContent): Promise<Buffer | undefined> {
  if (content.header.length + content.bodySize > SMALL) return undefined
  const pieces: Buffer[] = []
  for await (const piece of encoded(content)) pieces.push(Buffer.from(piece))
  return Buffer.concat(pieces)
}

/** Sends all of it and waits. @returns the answer that counts @throws ConnectionError, or what reading the content throws */
export async function sendChunks(
  connection: SmtpConnection,
  content: StoredContent,
  { pipelining, seconds }: { readonly pipelining: boolean; readonly seconds: number },
): Promise<Reply> {
  const doing = 'waiting for the reply to BDAT'
  let answer: Reply | undefined
  /** chunks without an answer */
  const pending = { chunks: 0 }
  const read = async (): Promise<void> => {
    const reply = await connection.reply(seconds, doing)
    pending.chunks--
    if (answer === undefined || answer.code < 300) answer = reply
  }
  const refused = (): boolean => answer !== undefined && (answer.code < 200 || answer.code >= 300)
  for await (const { octets, last } of chunksOf(content)) {
    while (connection.unread > 0 && pending.chunks > 0) await read()
    if (refused()) break
    connection.send(`BDAT ${octets.length}${last ? ' LAST' : ''}\r\n`)
    pending.chunks++
    await connection.write(octets, seconds)
    if (!pipelining) await read()
  }
  while (pending.chunks > 0) await read()
  if (answer === undefined) throw new Error('a message without a chunk')
  return answer
}

/** At least one, the last one marked. */
async function* chunksOf(
  content: StoredContent,
): AsyncGenerator<{ readonly octets: Buffer; readonly last: boolean }> {
  let pieces: Buffer[] = []
  let size = 0
  for await (const piece of encoded(content)) {
    if (size > 0 && size + piece.length > CHUNK) {
      yield { octets: Buffer.concat(pieces), last: false }
      pieces = []
      size = 0
    }
    // the spool may use its memory again
    pieces.push(Buffer.from(piece))
    size += piece.length
  }
  yield { octets: Buffer.concat(pieces), last: true }
}

async function* encoded(content: StoredContent): AsyncGenerator<Buffer> {
  const encoder = new DataEncoder('chunks')
  yield encoder.encode(asBuffer(content.header))
  for await (const chunk of content.body()) yield encoder.encode(asBuffer(chunk))
  yield encoder.end()
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
