/** `msg` as scripts see it: context, header, envelope, discard (momentum: lua/ref-msg-*). */

import { formatMailbox } from '../../mail/address.ts'
import type { Endpoint } from '../../mail/envelope.ts'
import type { Callout, Method, MethodTable, ObjectHost } from './callout.ts'
import { editHeader } from './header-edits.ts'
import { readMailbox } from './mailbox.ts'
import { originMethods } from './origin-methods.ts'
import { copyPhases, replyMethods, routingMethods } from './routing-methods.ts'
import { type LuaState, ScriptError, TYPE } from './state.ts'
import { dictionary, formatEndpoint, keysOf, pushValue, setValue } from './vctx-methods.ts'

export function messageMethods(host: ObjectHost): MethodTable {
  const { state } = host
  return {
    ...contextAccess(host),
    ...envelopeAccess(state),
    ...originMethods(host),
    ...replyMethods(state),
    ...routingMethods(state),
    header: (L, callout) => header(state, L, callout),
    discard: (L, callout) => discard(state, L, callout),
  }
}

function contextAccess(host: ObjectHost): MethodTable {
  const { state } = host
  const { lua } = state
  const named = (L: number, callout: Callout): Map<string, string> => keysOf(callout, dictionary(state, L))
  const lookup = (L: number, callout: Callout): string | undefined =>
    named(L, callout).get(host.known.check(L, 3))
  return {
    context_get: (L, callout) => {
      pushValue(host, L, named(L, callout))
      return 1
    },
    context_set: (L, callout) => {
      setValue(host, L, callout)
      return 0
    },
    context_exists: (L, callout) => {
      lua.lua_pushnumber(L, lookup(L, callout) === undefined ? 0 : 1)
      return 1
    },
    context_exists_and_get: (L, callout) => {
      const value = lookup(L, callout)
      lua.lua_pushnumber(L, value === undefined ? 0 : 1)
      if (value === undefined) lua.lua_pushnil(L)
      else state.push(L, value)
      return 2
    },
    context_delete: (L, callout) => {
      const existed = named(L, callout).delete(state.checkString(L, 3))
      lua.lua_pushnumber(L, existed ? 1 : 0)
      return 1
    },
  }
}

function envelopeAccess(state: LuaState): MethodTable {
  const { lua } = state
  return {
    mailfrom: (L, callout) => {
      const { message } = callout
      if (lua.lua_type(L, 2) > TYPE.nil) {
        if (callout.subject.phase === 'rcptto')
          throw new ScriptError('msg:mailfrom can be set from validate_data on')
        message.sender = readMailbox(state.checkString(L, 2))
      }
      state.push(L, message.sender === undefined ? '' : formatMailbox(message.sender))
      return 1
    },
    rcptto: (L, callout) => {
      const { message } = callout
      if (lua.lua_type(L, 2) > TYPE.nil) {
        if (!copyPhases.includes(callout.subject.phase)) {
          throw new ScriptError('msg:rcptto can be set from validate_data_spool_each_rcpt on')
        }
        const recipient = readMailbox(state.checkString(L, 2))
        if (recipient === undefined) throw new ScriptError('msg:rcptto: a recipient cannot be empty')
        message.recipient = recipient
      }
      state.push(L, message.recipient === undefined ? '' : formatMailbox(message.recipient))
      return 1
    },
    reception_peer: endpoint(state, (callout) => callout.subject.session.remote),
    listener_addr: endpoint(state, (callout) => callout.subject.session.local),
    get_message_size: (L, callout) => {
      lua.lua_pushnumber(L, callout.message.size)
      return 1
    },
  }
}

/** `msg:reception_peer(["ip" | "port" | "all"])` */
function endpoint(state: LuaState, of: (callout: Callout) => Endpoint): Method {
  return (L, callout) => {
    const part = state.lua.lua_type(L, 2) <= TYPE.nil ? 'all' : state.checkString(L, 2)
    const { address, port } = of(callout)
    if (part === 'ip') state.push(L, address)
    else if (part === 'port') state.push(L, String(port))
    else if (part === 'all') state.push(L, formatEndpoint({ address, port }))
    else throw new ScriptError('"ip", "port" or "all" expected')
    return 1
  }
}

/** msg:header(name[, value[, mode]]): an array of values; with a value it edits, "" deletes. */
function header(state: LuaState, L: number, callout: Callout): number {
  const { lua } = state
  const { headers } = callout.message
  if (headers === undefined)
    throw new ScriptError('msg:header is not available before the message was received')
  const name = state.checkString(L, 2)
  if (lua.lua_type(L, 3) <= TYPE.nil) {
    const values = headers.values(name)
    lua.lua_createtable(L, values.length, 0)
    for (const [index, value] of values.entries()) {
      state.push(L, value)
      lua.lua_rawseti(L, -2, index + 1)
    }
    return 1
  }
  if (callout.subject.phase === 'set_binding')
    throw new ScriptError('msg:header cannot be changed in validate_set_binding')
  const value = state.checkString(L, 3)
  callout.spendHeader(name.length + value.length + 4)
  editHeader(headers, {
    name,
    value,
    mode: lua.lua_type(L, 4) <= TYPE.nil ? 'replace' : state.checkString(L, 4),
  })
  return 0
}

function discard(state: LuaState, L: number, callout: Callout): number {
  if (callout.ownMessage)
    throw new ScriptError('msg:discard: a message that a script made is only sent by msg:inject')
  if (callout.subject.phase === 'set_binding')
    throw new ScriptError('msg:discard is not available in validate_set_binding')
  const reason = state.lua.lua_type(L, 2) <= TYPE.nil ? undefined : state.checkString(L, 2)
  callout.subject.decision.discard(reason, state.place(L))
  return 0
}
