/**
 * What scripts do to the parts of a message (momentum: lua/ref-msgpart-*): edit a header or a content, put parts in and
 * take them out, make new ones.
 */

import { randomBytes } from 'node:crypto'
import { HeaderBlock } from '../../mail/headers.ts'
import { parseParameters, readContentHeader } from '../../mail/mime.ts'
import { MimeNode } from '../../mail/mime-tree.ts'
import { constants } from './catalogue.ts'
import type { ContentPatterns } from './content-patterns.ts'
import { editHeader } from './header-edits.ts'
import type { PlainValue } from './lib/values.ts'
import type { PartTree } from './part-tree.ts'
import { type LuaState, ScriptError, TYPE } from './state.ts'
import { decodeContent, encodeLike, encodeText, isAscii } from './text-parts.ts'

interface Host {
  readonly state: LuaState
  readonly patterns: ContentPatterns
}

export interface PartEdit {
  /** how much text it brings */
  readonly octets: number
  /** what comes back is the function's result. @throws RangeError for what cannot be sent */
  readonly work: (tree: PartTree, node: MimeNode) => PlainValue
}

/** Reads the arguments of an edit, from the fourth on; undefined for a function that only reads. */
export function readEdit(host: Host, L: number, what: string): PartEdit | undefined {
  const { state } = host
  if (what.endsWith('_replace')) return readReplacement(host, L, what)
  if (placements.includes(what)) return readPlacement(state, L, what)
  if (what === 'header') return readHeaderEdit(state, L)
  const value = optional(state, L, 4)
  if (what === 'raw' && value !== undefined)
    throw new ScriptError('msgpart:raw(value): use raw_replace or body')
  if (what === 'body' && value !== undefined) return contentEdit(value)
  if (what !== 'text' || value === undefined) return undefined
  const text = { value, type: optional(state, L, 5), charset: optional(state, L, 6) }
  return {
    octets: value.length,
    work: (_tree, node) => {
      encodeText(node.headers, text, (octets) => {
        node.content = octets
      })
      return decodeContent(readContentHeader(node.headers), node.content)
    },
  }
}

const placements = ['addFirstChild', 'addLastChild', 'insertAfter', 'insertBefore', 'unlink']

function optional(state: LuaState, L: number, index: number): string | undefined {
  return state.lua.lua_type(L, index) <= TYPE.nil ? undefined : state.checkString(L, index)
}

function contentEdit(value: string): PartEdit {
  return {
    octets: value.length,
    work: (_tree, node) => {
      node.content = value
      return value
    },
  }
}

/** part:header(name, value[, mode]); a value that is given as nil deletes. */
function readHeaderEdit(state: LuaState, L: number): PartEdit | undefined {
  if (state.lua.lua_gettop(L) < 5) return undefined
  const name = state.checkString(L, 4)
  const value = optional(state, L, 5) ?? ''
  const mode = optional(state, L, 6) ?? 'replace'
  return {
    octets: name.length + value.length + 4,
    work: (_tree, node) => {
      editHeader(node.headers, { name, value, mode })
      return undefined
    },
  }
}

/** part:…_replace(pattern, replacement): whether there was a match. */
function readReplacement({ state, patterns }: Host, L: number, what: string): PartEdit {
  const pattern = patterns.compile(state.checkString(L, 4))
  const by = state.checkString(L, 5)
  const replaced = (text: string): string | undefined => patterns.replace(pattern, text, by)
  const work = (node: MimeNode): boolean => {
    if (what === 'text_replace') return replaceText(node, replaced)
    const made = replaced(what === 'raw_replace' ? node.raw : node.content)
    if (made === undefined) return false
    if (what === 'raw_replace') setRaw(node, made)
    else node.content = made
    return true
  }
  return { octets: by.length, work: (_tree, node) => work(node) }
}

function replaceText(node: MimeNode, replaced: (text: string) => string | undefined): boolean {
  const facts = readContentHeader(node.headers)
  if (!facts.type.startsWith('text/')) return false
  const made = replaced(decodeContent(facts, node.content))
  if (made === undefined) return false
  const { octets, encoding } = encodeLike(facts, made)
  node.content = octets
  if (encoding !== facts.encoding) node.headers.replace('Content-Transfer-Encoding', encoding)
  return true
}

function setRaw(node: MimeNode, raw: string): void {
  const text = raw.replaceAll(/\r\n?|\n/g, '\r\n')
  const gap = text.startsWith('\r\n') ? 0 : text.indexOf('\r\n\r\n') + 2
  if (gap === 1) throw new RangeError('a part has an empty line behind its header')
  node.headers.assign(new HeaderBlock(text.slice(0, gap)))
  node.content = text.slice(gap + 2)
}

function readPlacement(state: LuaState, L: number, what: string): PartEdit {
  const number = what === 'unlink' ? 0 : state.lua.luaL_checknumber(L, 4)
  return {
    octets: 0,
    work: (tree, node) => {
      if (what === 'unlink') node.unlink()
      else if (what.startsWith('add')) return addChild(node, tree.node(number), what === 'addFirstChild')
      else insertBeside(node, tree.node(number), what === 'insertAfter')
      return true
    },
  }
}

/** True, or false when it cannot be there (lua/ref-msgpart-add-first-child). */
function addChild(container: MimeNode, node: MimeNode, first: boolean): boolean {
  try {
    container.insert(node, first ? 0 : container.children.length)
    return true
  } catch (error) {
    if (error instanceof RangeError) return false
    throw error
  }
}

function insertBeside(node: MimeNode, other: MimeNode, after: boolean): void {
  const { parent } = other
  if (parent === undefined) throw new RangeError('there is no place beside a part that is in no container')
  parent.insert(node, parent.children.indexOf(other) + (after ? 1 : 0))
}

const encodings: ReadonlyMap<number, string> = new Map([
  [constants.EC_MIME_TE_7BIT, '7bit'],
  [constants.EC_MIME_TE_8BIT, '8bit'],
  [constants.EC_MIME_TE_BASE64, 'base64'],
  [constants.EC_MIME_TE_QUOTED_PRINTABLE, 'quoted-printable'],
])

/** (msg, 'part' or 'container', type, …): reads its arguments; what comes back makes the part. */
export function readMaking(state: LuaState, L: number): (tree: PartTree) => number {
  const what = state.checkString(L, 2)
  const type = state.checkString(L, 3)
  if (what === 'container') {
    const boundary =
      optional(state, L, 4) ?? parseParameters(type).parameters.get('boundary') ?? makeBoundary()
    return (tree) => tree.add(MimeNode.container(new HeaderBlock(''), type, boundary), 0)
  }
  const content = optional(state, L, 4) ?? ''
  const encoding =
    state.lua.lua_type(L, 5) <= TYPE.nil ? '7bit' : encodings.get(state.lua.luaL_checknumber(L, 5))
  if (!/^[!-.0-~]+\/[!-.0-:<-~]+(?:;[ -~]*)?$/.test(type)) throw new ScriptError('not a content type')
  if (encoding === undefined) throw new ScriptError('one of the EC_MIME_TE constants expected')
  if (!fits(content, encoding))
    throw new ScriptError(`this content is not ${encoding}: it is put in as it is`)
  const headers = new HeaderBlock('')
  headers.append('Content-Type', type)
  headers.append('Content-Transfer-Encoding', encoding)
  return (tree) => tree.add(MimeNode.leaf(headers, content), content.length)
}

/** RFC 2046 §5.1.1: what stands in no message by chance. */
export function makeBoundary(): string {
  return `=_${randomBytes(18).toString('base64url')}`
}

/** RFC 2045 §2.7, §2.8, §6. */
function fits(content: string, encoding: string): boolean {
  if (encoding === 'base64') return /^[A-Za-z0-9+/=\r\n]*$/.test(content)
  return (encoding === '8bit' || isAscii(content)) && !content.includes('\0')
}
