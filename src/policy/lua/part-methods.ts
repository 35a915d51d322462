/**
 * The parts of a message as scripts read them (momentum: lua/ref-msg-mime, lua/ref-msgpart-*). A part is a number in the
 * message as it stands when it is asked; `prelude.lua` makes objects of it.
 */

import { parseAddressList } from '../../mail/address-list.ts'
import type { HeaderBlock } from '../../mail/headers.ts'
import { type MimePart, parseMime, walkMime } from '../../mail/mime.ts'
import type { ContentPatterns } from './content-patterns.ts'
import { addressParts } from './lib/addresses.ts'
import { type PlainValue, pushValue } from './lib/values.ts'
import { type LuaState, ScriptError, TYPE } from './state.ts'
import { decodeText } from './text-parts.ts'

interface Source {
  readonly headers: HeaderBlock
}

export interface Searcher {
  readonly state: LuaState
  readonly patterns: ContentPatterns
}

/** A container before its parts. */
export function partsOf({ headers }: Source, body: string): readonly MimePart[] {
  return [...walkMime(parseMime(headers, body))]
}

/** Pushes for each part the number of its container, 0 for the message itself. */
export function pushOutline(state: LuaState, L: number, parts: readonly MimePart[]): void {
  const containers = new Map<MimePart, number>()
  for (const [index, { parts: children }] of parts.entries()) {
    for (const child of children) containers.set(child, index + 1)
  }
  pushValue(
    state,
    L,
    parts.map((part) => containers.get(part) ?? 0),
  )
}

/** (msg, number, what[, argument[, argument]]): reads its arguments; what comes back answers when the body is there. */
export function readPart(
  searcher: Searcher,
  L: number,
): (thread: number, message: Source, body: string) => number {
  const { state } = searcher
  const number = state.lua.luaL_checknumber(L, 2)
  const what = state.checkString(L, 3)
  const first = state.lua.lua_type(L, 4) <= TYPE.nil ? '' : state.checkString(L, 4)
  const second = state.lua.lua_type(L, 5) <= TYPE.nil ? 'all' : state.checkString(L, 5)
  const pattern = what.endsWith('_match') ? searcher.patterns.compile(first) : undefined
  return (thread, message, body) => {
    const part = partsOf(message, body)[number - 1]
    if (part === undefined) throw new ScriptError('this part is gone: the message was changed')
    if (pattern === undefined) pushValue(state, thread, valueOf(part, body, { what, first, second }))
    else searcher.patterns.pushFirstMatch(thread, pattern, [textOf(part, body, what)])
    return 1
  }
}

interface Wanted {
  readonly what: string
  readonly first: string
  readonly second: string
}

function valueOf(part: MimePart, body: string, { what, first, second }: Wanted): PlainValue {
  switch (what) {
    case 'header':
      return part.headers.values(first)
    case 'address_header':
      return addressesOf(part.headers.values(first), second)
    case 'content_type':
      return {
        mimetype: part.type,
        charset: part.charset,
        encoding: part.encoding,
        is_attachment: part.attachment,
        filename: part.filename,
      }
    case 'text':
      return part.type.startsWith('text/') ? decodeText(part, body) : undefined
    default:
      return textOf(part, body, what)
  }
}

/** @throws ScriptError for a component that there is not */
export function addressesOf(values: readonly string[], component: string): readonly string[] {
  const take = Object.hasOwn(addressParts, component) ? addressParts[component] : undefined
  if (take === undefined) throw new ScriptError(`${Object.keys(addressParts).join(', ')} expected`)
  return values.flatMap((value) => parseAddressList(value)).map(take)
}

function textOf(part: MimePart, body: string, what: string): string {
  if (what.startsWith('raw')) return body.slice(part.headerStart, part.end)
  return what.startsWith('text') ? decodeText(part, body) : body.slice(part.start, part.end)
}
