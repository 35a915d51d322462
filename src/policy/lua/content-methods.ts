/**
 * A message's content as scripts see it (momentum: lua/ref-msg-raw*, -body*, -text*). The body may lie on the disk, so
 * each of these may wait; what a script makes of it goes to one recipient from data_spool_each_rcpt on, and to all of
 * them before.
 */

import { HeaderBlock } from '../../mail/headers.ts'
import type { MessageContent, MessageFacts } from '../phases.ts'
import { readBuilding } from './building.ts'
import type { Callout, Method, MethodTable, ObjectHost } from './callout.ts'
import { ContentPatterns } from './content-patterns.ts'
import { pushValue } from './lib/values.ts'
import { signingMethods } from './origin-methods.ts'
import { makeBoundary, readMaking } from './part-edits.ts'
import { orScriptError, partsOf, partWork, type Searcher } from './part-methods.ts'
import { PartTrees } from './part-tree.ts'
import { sendingMethods } from './sending-methods.ts'
import { type LuaState, ScriptError, TYPE } from './state.ts'
import { decodeText, replaceTexts, setText } from './text-parts.ts'

type Message = MessageFacts & { readonly headers: HeaderBlock; readonly content: MessageContent }

/** Reads its arguments at once; what it returns runs when the body is there. */
type Work = (L: number, callout: Callout) => (L: number, message: Message, body: string) => number

export function contentMethods(host: ObjectHost): MethodTable {
  const { state } = host
  const patterns = new ContentPatterns(state)
  const trees = new PartTrees()
  const matching = (texts: Texts): Work => match({ state, patterns }, texts)
  const replacing = (name: string, write: Write): Work => replace({ state, patterns }, name, write)
  const works: Readonly<Record<string, Work>> = {
    body: bodyAccess(state),
    body_match: matching((_, body) => [body]),
    body_replace: replacing('body_replace', (message, body, by) => setBody(message, by(body))),
    raw: rawAccess(state),
    raw_match: matching((message, body) => [rawOf(message, body)]),
    raw_replace: replacing('raw_replace', (message, body, by) => setRaw(message, by(rawOf(message, body)))),
    text: textAccess(state),
    mime_outline: () => (thread, message, body) => {
      pushValue(state, thread, trees.of(message, body).outline())
      return 1
    },
    mime_part: (L, callout) => partWork({ state, patterns, trees }, L, callout),
    mime_make: (L) => {
      const make = readMaking(state, L)
      return (thread, message, body) => {
        const number = orScriptError(() => make(trees.of(message, body)))
        state.lua.lua_pushnumber(thread, number)
        return 1
      }
    },
    build: (L, callout) => {
      refuseInSetBinding(callout, 'build')
      const { octets, build } = readBuilding(state, L)
      callout.spendHeader(octets)
      return (_thread, message) => {
        orScriptError(() => build(message))
        return 0
      }
    },
    makeBoundary: () => (thread) => {
      state.push(thread, makeBoundary())
      return 1
    },
    text_match: matching(textsOf),
    text_replace: replacing('text_replace', ({ headers, content }, body, by) =>
      orScriptError(() => replaceTexts(headers, content, { body, replace: by })),
    ),
  }
  const reading = Object.entries(works).map(([name, work]) => [name, whenFetched(host, name, work)] as const)
  return { ...Object.fromEntries(reading), ...sendingMethods(host), ...signingMethods(host) }
}

/** The texts that are searched, one after the other. */
type Texts = (message: Message, body: string) => readonly string[]
/** Puts what `by` makes of each text in its place. */
type Write = (message: Message, body: string, by: (text: string) => string) => void

/** msg:…_match(pattern): the first match as msys.pcre.match has it, or false. */
function match({ state, patterns }: Searcher, texts: Texts): Work {
  return (L) => {
    const pattern = patterns.compile(state.checkString(L, 2))
    return (thread, message, body) => {
      patterns.pushFirstMatch(thread, pattern, texts(message, body))
      return 1
    }
  }
}

/** msg:…_replace(pattern, replacement): whether there was a match. */
function replace({ state, patterns }: Searcher, name: string, write: Write): Work {
  return (L, callout) => {
    refuseInSetBinding(callout, name)
    const pattern = patterns.compile(state.checkString(L, 2))
    const by = state.checkString(L, 3)
    return (thread, message, body) => {
      let found = false
      write(message, body, (text) => {
        const made = patterns.replace(pattern, text, by)
        found ||= made !== undefined
        return made ?? text
      })
      state.lua.lua_pushboolean(thread, found ? 1 : 0)
      return 1
    }
  }
}

function whenFetched({ state, waits }: ObjectHost, name: string, work: Work): Method {
  return (L, callout) => {
    const { message } = callout
    const { content, headers } = message
    if (content === undefined || headers === undefined)
      throw new ScriptError(`msg:${name} works from validate_data on`)
    const answer = work(L, callout)
    const whole = message as Message
    const finish = (thread: number): number => {
      const { body } = content
      if (body === undefined) throw new ScriptError(`msg:${name}: the body is not there`)
      state.spend()
      return answer(thread, whole, body)
    }
    if (content.body !== undefined) return waits.without(L, finish)
    return waits.begin(L, `msg:${name}`, async () => {
      await content.fetch()
      return finish
    })
  }
}

/** msg:body([value]) */
function bodyAccess(state: LuaState): Work {
  return (L, callout) => {
    const value = newValue(state, L, callout, 'body')
    return (thread, message, body) => {
      if (value !== undefined) setBody(message, value)
      state.push(thread, message.content.body ?? body)
      return 1
    }
  }
}

/** msg:raw([value]): the message, and its length */
function rawAccess(state: LuaState): Work {
  return (L, callout) => {
    const value = newValue(state, L, callout, 'raw')
    return (thread, message, body) => {
      if (value !== undefined) setRaw(message, value)
      const raw = rawOf(message, message.content.body ?? body)
      state.push(thread, raw)
      state.lua.lua_pushnumber(thread, raw.length)
      return 2
    }
  }
}

/** msg:text([value[, type[, charset]]]): one text, a table of several, or nil */
function textAccess(state: LuaState): Work {
  return (L, callout) => {
    const value = newValue(state, L, callout, 'text')
    const type = optional(state, L, 3)
    const charset = optional(state, L, 4)
    return (thread, message, body) => {
      if (value !== undefined)
        orScriptError(() => setText(message.headers, message.content, { value, type, charset }))
      const texts = textsOf(message, message.content.body ?? body)
      pushValue(state, thread, texts.length > 1 ? texts : texts[0])
      return 1
    }
  }
}

function newValue(state: LuaState, L: number, callout: Callout, name: string): string | undefined {
  const value = optional(state, L, 2)
  if (value !== undefined) refuseInSetBinding(callout, name)
  return value
}

function optional(state: LuaState, L: number, index: number): string | undefined {
  return state.lua.lua_type(L, index) <= TYPE.nil ? undefined : state.checkString(L, index)
}

function refuseInSetBinding({ subject }: Callout, name: string): void {
  if (subject.phase === 'set_binding')
    throw new ScriptError(`msg:${name} cannot change the message in validate_set_binding`)
}

function rawOf({ headers }: Message, body: string): string {
  return headers.toBytes().toString('latin1') + body
}

function setRaw(message: Message, raw: string): void {
  const text = raw.replaceAll(/\r\n?|\n/g, '\r\n')
  const gap = text.startsWith('\r\n') ? 0 : text.indexOf('\r\n\r\n') + 2
  if (gap === 1) throw new ScriptError('msg:raw: a message has an empty line behind its header')
  orScriptError(() => {
    message.headers.assign(new HeaderBlock(text.slice(0, gap)))
    message.content.replace(text.slice(gap + 2))
  })
}

function setBody({ content }: Message, body: string): void {
  orScriptError(() => content.replace(body))
}

/** The text parts, decoded, in UTF-8. */
function textsOf({ headers }: Pick<Message, 'headers'>, body: string): string[] {
  return partsOf({ headers }, body)
    .filter(({ type, attachment }) => type.startsWith('text/') && !attachment)
    .map((part) => decodeText(part, body))
}
