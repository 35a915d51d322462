/**
 * A message with eight-bit parts → the same message in seven bits, for a host without 8BITMIME (RFC 6152 §3).
 *
 * Each part with octets beyond ASCII gets another Content-Transfer-Encoding: quoted-printable for text, base64 for all
 * else. Nothing else is touched; what is signed is not touched at all. A message that cannot be converted, because it is
 * signed, its structure is broken or takes too much work, or its header has eight bits, is refused: undefined. Pure and
 * synchronous; text is byte strings with CRLF.
 */

import { HeaderBlock } from './headers.ts'
import { readContentHeader } from './mime.ts'
import { MimeNode } from './mime-tree.ts'
import { encodeQuotedPrintable } from './quoted-printable.ts'
import { isNonAscii } from './utf8.ts'

export interface SevenBitMessage {
  /** ends with the empty line */
  readonly header: string
  readonly body: string
}

/** messages inside messages */
const MAX_NESTING = 10
/** octets that are looked at, in each part and again in all that it is in: so many times those of the message, or these */
const MAX_PASSES = 8
const FEW_OCTETS = 8 * 1024 * 1024

/** What may still be done for one message. */
interface Work {
  readonly nesting: number
  readonly octets: { left: number }
}

/** @param header with its empty line */
export function toSevenBit(header: string, body: string): SevenBitMessage | undefined {
  try {
    const octets = { left: Math.max(MAX_PASSES * body.length, FEW_OCTETS) }
    const made = convertMessage(header, body, { nesting: 0, octets })
    return made === undefined || isNonAscii(made.header) || isNonAscii(made.body) ? undefined : made
  } catch (error) {
    // a part that would end its container, or a container that cannot be read
    if (error instanceof RangeError) return undefined
    throw error
  }
}

/** The eighth bit of every octet is lost: what RFC 6152 forbids, and an operator may want (`strip`). */
export function stripEighthBit(text: string): string {
  return text.replace(/[\x80-\xff]/g, (octet) => {
    const stripped = octet.charCodeAt(0) & 0x7f
    // never a line end, a NUL or a delete that was not there
    return stripped < 0x20 || stripped === 0x7f ? '?' : String.fromCharCode(stripped)
  })
}

function convertMessage(header: string, body: string, work: Work): SevenBitMessage | undefined {
  const headers = new HeaderBlock(header)
  if (isNonAscii(body) && headers.count('mime-version') === 0 && headers.count('content-type') === 0) {
    // RFC 1428: text of which nobody knows what it is
    headers.append('MIME-Version', '1.0')
    headers.append('Content-Type', 'text/plain; charset=unknown-8bit')
  }
  const top = MimeNode.parse(headers, body)
  if (!convert(top, work)) return undefined
  return {
    header: headers.edited ? headers.toBytes().toString('latin1') : header,
    body: top.content,
  }
}

/** False where it cannot be done. */
function convert(node: MimeNode, work: Work): boolean {
  const { content } = node
  work.octets.left -= content.length
  if (work.octets.left < 0) return false
  const { type, encoding } = readContentHeader(node.headers)
  const eightBit = isNonAscii(content)
  if (!eightBit) {
    if (encoding === '8bit') setEncoding(node.headers, '7bit')
    return encoding !== 'binary'
  }
  if (!['7bit', '8bit'].includes(encoding)) return false
  if (type === 'multipart/signed' || type === 'multipart/encrypted') return false
  if (node.isContainer) {
    if (!node.children.every((child) => convert(child, work))) return false
    if (encoding === '8bit') setEncoding(node.headers, '7bit')
    return true
  }
  if (type === 'message/rfc822' || type === 'message/global') return convertEmbedded(node, content, work)
  // RFC 2046 §5: what is made of parts or messages has no encoding of its own
  if (type.startsWith('multipart/') || type.startsWith('message/')) return false
  const isText = type.startsWith('text/')
  node.content = isText ? encodeQuotedPrintable(content, { lineEnds: 'crlf' }) : base64(content)
  setEncoding(node.headers, isText ? 'quoted-printable' : 'base64')
  return true
}

function convertEmbedded(node: MimeNode, content: string, { nesting, octets }: Work): boolean {
  if (nesting >= MAX_NESTING) return false
  // a message may have no header at all: it then begins with the empty line
  const bare = content.startsWith('\r\n')
  const gap = content.indexOf('\r\n\r\n')
  if (!bare && gap < 0) return false
  const end = bare ? 2 : gap + 4
  const made = convertMessage(content.slice(0, end), content.slice(end), {
    nesting: nesting + 1,
    octets,
  })
  if (made === undefined) return false
  node.content = made.header + made.body
  setEncoding(node.headers, '7bit')
  return true
}

function setEncoding(headers: HeaderBlock, encoding: string): void {
  headers.delete('Content-Transfer-Encoding')
  headers.append('Content-Transfer-Encoding', encoding)
}

function base64(content: string): string {
  const text = Buffer.from(content, 'latin1').toString('base64')
  return (text.match(/.{1,76}/g) ?? []).join('\r\n')
}
