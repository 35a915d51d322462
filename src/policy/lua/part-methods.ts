/**
 * The parts of a message as scripts read and change them (momentum: lua/ref-msg-mime, lua/ref-msgpart-*). A part is a
 * number here; `prelude.lua` makes objects of it.
 */

import { parseAddressList } from '../../mail/address-list.ts'
import { type MimePart, parseMime, readContentHeader, walkMime } from '../../mail/mime.ts'
import type { MimeNode } from '../../mail/mime-tree.ts'
import type { Callout } from './callout.ts'
import type { ContentPatterns } from './content-patterns.ts'
import { addressParts } from './lib/addresses.ts'
import { type PlainValue, pushValue } from './lib/values.ts'
import { readEdit } from './part-edits.ts'
import type { PartTrees, Source } from './part-tree.ts'
import { type LuaState, ScriptError, TYPE } from './state.ts'
import { decodeContent } from './text-parts.ts'

export interface Searcher {
  readonly state: LuaState
  readonly patterns: ContentPatterns
}

export interface PartHost extends Searcher {
  readonly trees: PartTrees
}

/** A container before its parts. */
export function partsOf({ headers }: Pick<Source, 'headers'>, body: string): readonly MimePart[] {
  return [...walkMime(parseMime(headers, body))]
}

type Answer = (thread: number, message: Source, body: string) => number

/** (msg, number, what, …): reads its arguments; what comes back answers when the body is there. */
export function partWork(host: PartHost, L: number, callout: Callout): Answer {
  const { state, patterns, trees } = host
  const number = state.lua.luaL_checknumber(L, 2)
  const what = state.checkString(L, 3)
  const edit = readEdit(host, L, what)
  if (edit !== undefined) {
    if (callout.subject.phase === 'set_binding')
      throw new ScriptError(`msgpart:${what} cannot change the message in validate_set_binding`)
    callout.spendHeader(what === 'header' ? edit.octets : 0)
    return (thread, message, body) => {
      const tree = trees.of(message, body)
      const answer = orScriptError(() => {
        const done = edit.work(tree, tree.node(number))
        tree.commit()
        return done
      })
      state.spend()
      pushValue(state, thread, answer)
      return 1
    }
  }
  const first = state.lua.lua_type(L, 4) <= TYPE.nil ? '' : state.checkString(L, 4)
  const second = state.lua.lua_type(L, 5) <= TYPE.nil ? 'all' : state.checkString(L, 5)
  const pattern = what.endsWith('_match') ? patterns.compile(first) : undefined
  return (thread, message, body) => {
    const node = trees.of(message, body).node(number)
    if (pattern === undefined) pushValue(state, thread, valueOf(node, { what, first, second }))
    else patterns.pushFirstMatch(thread, pattern, [textOf(node, what)])
    return 1
  }
}

/** What cannot be sent or kept is the script's mistake. */
export function orScriptError<T>(work: () => T): T {
  try {
    return work()
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    throw new ScriptError(error.message)
  }
}

interface Wanted {
  readonly what: string
  readonly first: string
  readonly second: string
}

function valueOf(node: MimeNode, { what, first, second }: Wanted): PlainValue {
  switch (what) {
    case 'header':
      return node.headers.values(first)
    case 'address_header':
      return addressesOf(node.headers.values(first), second)
    case 'content_type': {
      const { type, charset, encoding, attachment, filename } = readContentHeader(node.headers)
      return { mimetype: type, charset, encoding, is_attachment: attachment, filename }
    }
    case 'text':
      return readContentHeader(node.headers).type.startsWith('text/') ? textOf(node, what) : undefined
    default:
      return textOf(node, what)
  }
}

/** @throws ScriptError for a component that there is not */
export function addressesOf(values: readonly string[], component: string): readonly string[] {
  const take = Object.hasOwn(addressParts, component) ? addressParts[component] : undefined
  if (take === undefined) throw new ScriptError(`${Object.keys(addressParts).join(', ')} expected`)
  return values.flatMap((value) => parseAddressList(value)).map(take)
}

function textOf(node: MimeNode, what: string): string {
  if (what.startsWith('raw')) return node.raw
  return what.startsWith('text') ? decodeContent(readContentHeader(node.headers), node.content) : node.content
}
