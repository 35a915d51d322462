/** `response` of ac_auth_perform_auth: what the client hears when its login fails (momentum: modules/ac-auth). */

import type { LoginResponse } from '../phases.ts'
import type { Callout, MethodTable, ObjectHost } from './callout.ts'
import { type LuaState, ScriptError, TYPE } from './state.ts'

const maxText = 2000

export function responseMethods({ state }: ObjectHost): MethodTable {
  return {
    // response:write(text, length): the length is what Momentum's own string needs to know
    write: (L, callout) => {
      const text = state.checkString(L, 2)
      const length = state.lua.lua_type(L, 3) === TYPE.number ? state.lua.lua_tonumber(L, 3) : text.length
      const response = responseOf(callout)
      response.text += text.slice(0, Math.max(0, length))
      if (response.text.length > maxText) throw new ScriptError(`a response has at most ${maxText} octets`)
      return 0
    },
  }
}

/** Pushes a field: `text`, for `tostring` and `#`. */
export function readResponse(state: LuaState, L: number, callout: Callout, name: string): void {
  if (name === 'text') state.push(L, responseOf(callout).text)
  else state.lua.lua_pushnil(L)
}

function responseOf({ subject }: Callout): LoginResponse {
  if (subject.login === undefined) throw new ScriptError('there is no response in this phase')
  return subject.login.response
}
