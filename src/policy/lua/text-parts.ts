/** The text parts of a message: decoded for scripts, and put back in their own charset and encoding (RFC 2045 §6). */

import type { HeaderBlock } from '../../mail/headers.ts'
import { type ContentFacts, type MimePart, readContentHeader } from '../../mail/mime.ts'
import { MimeNode } from '../../mail/mime-tree.ts'
import { decodeQuotedPrintable, encodeQuotedPrintable } from '../../mail/quoted-printable.ts'
import type { MessageContent } from '../phases.ts'
import { fromCharset, toCharset } from './lib/charsets.ts'

/** The part's text in UTF-8. What cannot be decoded stays as it is. */
export function decodeText(part: MimePart, body: string): string {
  return decodeContent(part, body.slice(part.start, part.end))
}

/** A content's text in UTF-8, by what its header says of it. What cannot be decoded stays as it is. */
export function decodeContent(part: ContentFacts, octets: string): string {
  const decoded = decodeTransfer(octets, part.encoding)
  return part.charset === '' ? decoded : (fromCharset(decoded, part.charset) ?? decoded)
}

function decodeTransfer(octets: string, encoding: string): string {
  if (encoding === 'base64') return Buffer.from(octets, 'base64').toString('latin1')
  if (encoding === 'quoted-printable') return decodeQuotedPrintable(octets) ?? octets
  return octets
}

export interface NewText {
  /** UTF-8 */
  readonly value: string
  readonly type: string | undefined
  readonly charset: string | undefined
}

/** The whole body becomes this text. @throws RangeError for a type or charset that cannot be used */
export function setText(headers: HeaderBlock, content: MessageContent, text: NewText): void {
  encodeText(headers, text, (octets) => content.replace(octets))
}

/** Puts a text where `put` says, and then what it is into the header. @throws RangeError */
export function encodeText(headers: HeaderBlock, text: NewText, put: (octets: string) => void): void {
  const { value, type = 'text/plain', charset = isAscii(value) ? 'us-ascii' : 'utf-8' } = text
  if (!/^[!-.0-~]+\/[!-.0-~]+$/.test(type)) throw new RangeError('msg:text: not a content type')
  const octets = toCharset(value, charset)
  if (octets === undefined || !/^[A-Za-z0-9_.:-]{1,40}$/.test(charset))
    throw new RangeError(`msg:text: the text cannot be written in "${charset}"`)
  const encoding = fitting(octets)
  put(encodeTransfer(octets, encoding))
  headers.replace('MIME-Version', '1.0')
  headers.replace('Content-Type', `${type}; charset=${charset}`)
  headers.replace('Content-Transfer-Encoding', encoding)
}

/** Each text part becomes what `replace` makes of it. @throws RangeError, for a text that would end its container too */
export function replaceTexts(
  headers: HeaderBlock,
  content: MessageContent,
  { body, replace }: { readonly body: string; readonly replace: (text: string) => string },
): void {
  const top = MimeNode.parse(headers, body)
  let changed = false
  for (const node of top.walk()) {
    const facts = readContentHeader(node.headers)
    if (!facts.type.startsWith('text/') || facts.attachment || node.children.length > 0) continue
    const before = decodeContent(facts, node.content)
    const after = replace(before)
    if (after === before) continue
    const { octets, encoding } = encodeLike(facts, after)
    node.content = octets
    if (encoding !== facts.encoding) node.headers.replace('Content-Transfer-Encoding', encoding)
    changed = true
  }
  if (changed) content.replace(top.content)
}

/** UTF-8 text in a part's own charset, and in its own encoding where that still does. @throws RangeError */
export function encodeLike(
  part: ContentFacts,
  text: string,
): { readonly octets: string; readonly encoding: string } {
  const octets = part.charset === '' ? text : toCharset(text, part.charset)
  if (octets === undefined) throw new RangeError(`the text cannot be written in "${part.charset}"`)
  const encoding = keeps(part.encoding, octets) ? part.encoding : fitting(octets)
  return { octets: encodeTransfer(octets, encoding), encoding }
}

/** Whether a part's own encoding still does for these octets. */
function keeps(encoding: string, octets: string): boolean {
  if (encoding === 'base64' || encoding === 'quoted-printable') return true
  return encoding === '7bit' ? fitting(octets) === '7bit' : encoding === '8bit'
}

export function fitting(octets: string): '7bit' | 'quoted-printable' {
  return isAscii(octets) && !/[^\r\n]{999}/.test(octets) ? '7bit' : 'quoted-printable'
}

export function encodeTransfer(octets: string, encoding: string): string {
  if (encoding === 'quoted-printable') return encodeQuotedPrintable(octets, { lineEnds: 'any' })
  if (encoding !== 'base64') return octets
  const text = Buffer.from(octets, 'latin1').toString('base64')
  return (text.match(/.{1,76}/g) ?? []).join('\r\n')
}

export function isAscii(text: string): boolean {
  return !/[^\0-\x7f]/.test(text)
}
