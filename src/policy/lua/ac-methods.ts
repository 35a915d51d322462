/** `ac` as scripts see it: what EHLO offers, and who else is here (momentum: lua/ref-ac-*). */

import type { CapabilityEdits, SessionCountQuery } from '../phases.ts'
import type { Callout, MethodTable, ObjectHost } from './callout.ts'
import { type LuaState, ScriptError, TYPE } from './state.ts'

/** Services of Momentum; of those other than SMTP there are none here, so nobody is in them. */
const services = ['SMTP', 'ECStream', 'Control', 'ECmmove2', 'ECCluster', 'inbound_cidr']

export function acceptMethods({ state }: ObjectHost): MethodTable {
  return {
    esmtp_capability_add: (L, callout) => {
      editsOf(callout).add(capability(state, L))
      return 0
    },
    esmtp_capability_remove: (L, callout) => {
      editsOf(callout).remove(capability(state, L))
      return 0
    },
    inbound_session_count: (L, callout) => {
      const { session } = callout.subject
      if (session.count === undefined) throw new ScriptError('this session is not counted')
      const service = text(state, L, 3) ?? 'SMTP'
      if (!services.includes(service)) throw new ScriptError(`there is no service "${service}"`)
      const query: SessionCountQuery = { cidr: text(state, L, 2) ?? '' }
      const count = service === 'SMTP' ? session.count(query) : 0
      if (count === undefined) throw new ScriptError(`"${query.cidr}" is no address and no CIDR block`)
      state.lua.lua_pushnumber(L, count)
      return 1
    },
  }
}

function text(state: LuaState, L: number, index: number): string | undefined {
  return state.lua.lua_type(L, index) <= TYPE.nil ? undefined : state.checkString(L, index)
}

function editsOf({ subject }: Callout): CapabilityEdits {
  const edits = subject.session.capabilities
  if (edits === undefined) throw new ScriptError('this session does not speak SMTP')
  return edits
}

/** RFC 5321 §4.1.1.1: a keyword, and parameters of printable characters. */
function capability(state: LuaState, L: number): string {
  const name = state.checkString(L, 2).trim()
  if (!/^[A-Za-z0-9][!-~]*(?: +[!-~]+)*$/.test(name) || name.length > 200) {
    throw new ScriptError('not an EHLO keyword')
  }
  return name
}
