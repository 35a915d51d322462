/** The validation context as scripts see it: `vctx`, and the context functions that `msg` shares with it. */

import type { Endpoint } from '../../mail/envelope.ts'
import type { ContextKind } from '../context.ts'
import { isReplyCode } from '../decision.ts'
import type { Callout, MethodTable, ObjectHost } from './callout.ts'
import { constants } from './catalogue.ts'
import { recipientMethods } from './recipient-methods.ts'
import { type LuaState, ScriptError, TYPE } from './state.ts'

/** What a script may keep in one dictionary, which lives outside of Lua's memory budget. */
const maxKeys = 500
const maxKey = 256
const maxValue = 8192

export function contextMethods(host: ObjectHost): MethodTable {
  const { state } = host
  const { lua } = state
  return {
    ...recipientMethods(host),
    get: (L, callout) => {
      pushValue(host, L, keysOf(callout, dictionary(state, L)))
      return 1
    },
    set: (L, callout) => {
      setValue(host, L, callout)
      return 0
    },
    set_code: (L, callout) => {
      callout.subject.decision.reply(replyCode(state, L, 2), optionalText(state, L, 3), state.place(L))
      return 0
    },
    disconnect: (L, callout) => {
      disconnect(state, L, callout)
      return 0
    },
    // the helpers of Momentum's stock policy: what they return is what the callout returns
    pbp_action: (L, callout) => {
      callout.subject.decision.reply(replyCode(state, L, 2), optionalText(state, L, 3), state.place(L))
      lua.lua_pushnumber(L, constants.VALIDATE_DONE)
      return 1
    },
    pbp_disconnect: (L, callout) => {
      disconnect(state, L, callout)
      lua.lua_pushnumber(L, constants.VALIDATE_DONE)
      return 1
    },
    tarpit: (L, callout) => {
      const seconds = lua.luaL_checknumber(L, 2)
      if (!(seconds >= 0) || seconds === Number.POSITIVE_INFINITY) {
        throw new ScriptError("bad argument #1 to 'tarpit' (seconds, not negative)")
      }
      callout.subject.decision.tarpit(seconds, state.place(L))
      return 0
    },
  }
}

function disconnect(state: LuaState, L: number, { subject }: Callout): void {
  subject.decision.reply(replyCode(state, L, 2), optionalText(state, L, 3), state.place(L))
  subject.decision.close = true
}

/** Which dictionary the second argument names. */
export function dictionary(state: LuaState, L: number): ContextKind {
  const { frame } = state
  const selector = frame.type(L, 2) === TYPE.number ? frame.number(L, 2) : 0
  if (selector === constants.VCTX_CONN) return 'connection'
  if (selector === constants.VCTX_MESS) return 'message'
  throw new ScriptError('bad dictionary: msys.core.VCTX_CONN or msys.core.VCTX_MESS expected')
}

/** The dictionary itself. */
export function keysOf(callout: Callout, kind: ContextKind): Map<string, string> {
  const context = callout.contextOf(kind)
  return kind === 'connection' ? context.connection : context.message
}

/** Pushes what the key that is the third argument holds: '' for none, and for nil. */
export function pushValue({ state, known }: ObjectHost, L: number, keys: ReadonlyMap<string, string>): void {
  const name = known.nameAt(L, 3)
  if (name !== undefined) known.pushValue(L, name, keys.get(name.text) ?? '')
  else if (state.frame.type(L, 3) <= TYPE.nil) state.push(L, '')
  else state.push(L, keys.get(state.checkString(L, 3)) ?? '')
}

/** (object, dictionary, key, value): a nil key or value is logged and ignored. */
export function setValue(host: ObjectHost, L: number, callout: Callout): void {
  const { state } = host
  const kind = dictionary(state, L)
  if (state.lua.lua_type(L, 3) <= TYPE.nil || state.lua.lua_type(L, 4) <= TYPE.nil) {
    // momentum: apis-validate-context-set
    host.log.say('error', `Attempt to set null key or value in validate context ${kind} dictionary.`)
    return
  }
  const key = state.checkString(L, 3)
  const value = state.checkString(L, 4)
  if (key.length > maxKey) throw new ScriptError(`a context key has at most ${maxKey} octets`)
  if (value.length > maxValue) throw new ScriptError(`a context value has at most ${maxValue} octets`)
  const context = callout.contextOf(kind)
  if (context[kind].size >= maxKeys && !context[kind].has(key)) {
    throw new ScriptError(`a context dictionary holds at most ${maxKeys} keys`)
  }
  context.set(kind, key, value)
}

/** `vctx.code`, `vctx.note`; `vctx.disconnect` reads as the method of that name. Returns whether there is such a field. */
export function readContextField(state: LuaState, L: number, callout: Callout, name: string): boolean {
  const { decision, phase } = callout.subject
  if (name === 'code') state.lua.lua_pushnumber(L, decision.code ?? usualCode(phase))
  else if (name === 'note') state.push(L, decision.text)
  else return false
  return true
}

/** `vctx.code = 550`, `vctx.note = "…"`, `vctx.disconnect = 1` (momentum: hooks/inbound-smtp-tls-post-accept) */
export function writeContextField(state: LuaState, L: number, callout: Callout, name: string): void {
  const { decision } = callout.subject
  if (name === 'code') decision.code = replyCode(state, L, 3)
  else if (name === 'note') decision.text = state.checkString(L, 3)
  else if (name === 'disconnect') {
    const type = state.lua.lua_type(L, 3)
    if (type !== TYPE.number && type !== TYPE.boolean) throw new ScriptError('vctx.disconnect is 0 or 1', 2)
    decision.close =
      type === TYPE.boolean ? state.lua.lua_toboolean(L, 3) === 1 : state.lua.lua_tonumber(L, 3) !== 0
  } else throw new ScriptError(`vctx.${name} cannot be set`, 2)
  decision.setBy(state.place(L))
}

/** What the code field shows before a script has set it. */
function usualCode(phase: string): number {
  return phase === 'connect' || phase === 'tls' ? 220 : 250
}

function replyCode(state: LuaState, L: number, index: number): number {
  const code = Number(state.checkString(L, index))
  if (!isReplyCode(code)) throw new ScriptError('a reply code is 2xx, 4xx or 5xx')
  return code
}

function optionalText(state: LuaState, L: number, index: number): string {
  return state.lua.lua_type(L, index) <= TYPE.nil ? '' : state.checkString(L, index)
}

/** `192.0.2.1:25`, `[2001:db8::1]:25` */
export function formatEndpoint({ address, port }: Endpoint): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
}
