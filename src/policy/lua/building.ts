/**
 * msg:build(headers, parts, attachments) (momentum: lua/ref-msg-build): a message made of alternatives and attachments.
 *
 * The header is the script's, but for what describes the content, which is made here, and for the Received fields of
 * the message before, without which a mail loop would not be seen (RFC 5321 §6.3). Refused: what is no header field or
 * content type, text beyond ASCII in a header, and types that have parts or messages inside.
 */

import { HeaderBlock } from '../../mail/headers.ts'
import { parseParameters } from '../../mail/mime.ts'
import { MimeNode } from '../../mail/mime-tree.ts'
import { makeBoundary } from './part-edits.ts'
import type { Source } from './part-tree.ts'
import { type LuaState, ScriptError, TYPE } from './state.ts'
import { encodeTransfer, isAscii } from './text-parts.ts'

/** fields, alternatives and attachments, all together */
const maxItems = 500
const maxOctets = 16 * 1024 * 1024
/** Quoted-printable is slow to write, and every session waits for it: what is larger than this is base64. */
const maxQuoted = 1024 * 1024

interface Item {
  readonly kind: 'header' | 'part' | 'attachment' | 'message'
  /** the field's name, or the content type */
  readonly name: string
  readonly value: string
  /** of an attachment */
  readonly file: string
  readonly headers: string
  readonly encoding: string
}

export interface Building {
  /** of the header */
  readonly octets: number
  /** @throws RangeError for what cannot be sent or kept */
  readonly build: (message: Source) => void
}

/** (msg, count, then kind, name, value, file, headers, encoding of each): reads its arguments. */
export function readBuilding(state: LuaState, L: number): Building {
  const count = state.lua.luaL_checknumber(L, 2)
  if (count > maxItems)
    throw new ScriptError(`msg:build: more than ${maxItems} fields, parts and attachments`)
  const items = Array.from({ length: count }, (_, index) => readItem(state, L, 3 + index * 6))
  const size = items.reduce((sum, { value }) => sum + value.length, 0)
  if (size > maxOctets) throw new ScriptError('msg:build: the message is too large')
  const fields = items.filter(({ kind }) => kind === 'header')
  const parts = items.filter(({ kind }) => kind === 'part')
  const attached = items.filter(({ kind }) => kind === 'attachment' || kind === 'message')
  if (parts.length + attached.length === 0)
    throw new ScriptError('msg:build: a part or an attachment expected')
  return {
    octets: fields.reduce((sum, { name, value }) => sum + name.length + value.length + 4, 0),
    build: (message) => {
      const headers = readFields(fields)
      const top = makeTree(headers, parts, attached, size > maxQuoted)
      const body = top.content
      if (!isAscii(body)) headers.append('Content-Transfer-Encoding', '8bit')
      const trace = receivedOf(message.headers)
      message.content.replace(body)
      message.headers.assign(new HeaderBlock(trace + headers.toBytes().toString('latin1')))
    },
  }
}

function readItem(state: LuaState, L: number, at: number): Item {
  const text = (offset: number): string =>
    state.lua.lua_type(L, at + offset) <= TYPE.nil ? '' : state.checkString(L, at + offset)
  const kind = text(0) as Item['kind']
  return { kind, name: text(1), value: text(2), file: text(3), headers: text(4), encoding: text(5) }
}

function readFields(items: readonly Item[]): HeaderBlock {
  const headers = new HeaderBlock('')
  for (const { name, value } of items) {
    // said below, in the words that fit
    if (name.toLowerCase() === 'mime-version') continue
    appendField(headers, name, value)
  }
  headers.append('MIME-Version', '1.0')
  return headers
}

function appendField(headers: HeaderBlock, name: string, value: string): void {
  if (/^(?:content-type|content-transfer-encoding|content-disposition)$/i.test(name))
    throw new RangeError(`msg:build: ${name} is made from the parts`)
  if (!/^[\t -~]*(?:\r\n[\t ][\t -~]*)*$/.test(value))
    throw new RangeError(`msg:build: the value of ${name} is no text of a header (RFC 2047)`)
  headers.append(name, value)
}

/** @param large no quoted-printable */
function makeTree(
  headers: HeaderBlock,
  parts: readonly Item[],
  attached: readonly Item[],
  large: boolean,
): MimeNode {
  const top = MimeNode.container(headers, 'multipart/mixed', makeBoundary())
  if (parts.length > 0) {
    const box = MimeNode.container(new HeaderBlock(''), 'multipart/alternative', makeBoundary())
    for (const part of parts) box.insert(makeAlternative(part, large), box.children.length)
    top.insert(box, 0)
  }
  for (const each of attached) {
    const node = each.kind === 'message' ? makeMessage(each) : makeAttachment(each, large)
    top.insert(node, top.children.length)
  }
  return top
}

function makeAlternative({ name: type, value }: Item, large: boolean): MimeNode {
  checkType(type)
  const { parameters } = parseParameters(type)
  const plain = /^text\//i.test(type) && !parameters.has('charset')
  const headers = new HeaderBlock('')
  headers.append('Content-Type', type)
  headers.append('Content-Disposition', 'inline')
  return leaf(headers, value, plain && !large ? 'quoted-printable' : 'base64')
}

function makeAttachment(
  { name: type, value, file, headers: more, encoding }: Item,
  large: boolean,
): MimeNode {
  checkType(type)
  const headers = new HeaderBlock('')
  const name = file.replace(/^.*\//, '')
  if (!/^[ !#-[\]-~]{1,255}$/.test(name))
    throw new RangeError('msg:build: the name of an attachment is up to 255 characters of ASCII')
  headers.append('Content-Type', `${type}; name="${name}"`)
  headers.append('Content-Disposition', `attachment; filename="${name}"`)
  for (const line of more === '' ? [] : more.split(/\r?\n(?![\t ])/)) {
    const [, field = '', text = ''] = /^([!-9;-~]+):[\t ]*([^]*)$/.exec(line) ?? []
    if (field === '') throw new RangeError('msg:build: the headers of an attachment are no header fields')
    appendField(headers, field, text)
  }
  return leaf(headers, value, large ? 'base64' : encoding)
}

function leaf(headers: HeaderBlock, content: string, encoding: string): MimeNode {
  headers.append('Content-Transfer-Encoding', encoding)
  return MimeNode.leaf(headers, encodeTransfer(content, encoding))
}

/** RFC 2046 §5.2.1: never encoded. */
function makeMessage({ value }: Item): MimeNode {
  const headers = new HeaderBlock('')
  headers.append('Content-Type', 'message/rfc822; name="Attached Message"')
  headers.append('Content-Transfer-Encoding', isAscii(value) ? '7bit' : '8bit')
  headers.append('Content-Disposition', 'attachment')
  return MimeNode.leaf(headers, value)
}

function checkType(type: string): void {
  if (!/^[!-.0-~]+\/[!-.0-:<-~]+(?:;[ -~]*)?$/.test(type) || /^(?:multipart|message)\//i.test(type))
    throw new RangeError('msg:build: not a content type that a part can have')
}

/** The Received fields as they are. */
function receivedOf(headers: HeaderBlock): string {
  const fields = headers
    .toBytes()
    .toString('latin1')
    .split(/(?<=\r\n)(?![\t ])/)
  return fields.filter((field) => /^received[\t ]*:/i.test(field)).join('')
}
