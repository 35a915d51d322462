/** `params` of core_get_inbound_tls_parameters, and msys.tls_params.set (momentum: structs-ec-ssl-ctx-params). */

import type { HandshakeParameters } from '../../tls/gate.ts'
import type { AnyFacts } from '../phases.ts'
import type { Callout } from './callout.ts'
import { type LuaState, ScriptError, TYPE } from './state.ts'

/** the numbers of apis-ec-ssl-set-ctx-verify-mode's words, in their order: none, ifavailable, required */
const modes = ['none', 'unset', 'require'] as const
const texts = {
  certfile: 'certificate',
  keyfile: 'key',
  ca: 'ca',
  cipherlist: 'ciphers',
} as const satisfies Readonly<Record<string, keyof HandshakeParameters>>

const maxText = 4096

/** Pushes a field. */
export function readParameter(state: LuaState, L: number, callout: Callout, name: string): void {
  const { parameters, scopeMode } = handshakeOf(callout)
  if (name === 'use_tls') return state.lua.lua_pushnumber(L, parameters.use ? 1 : 0)
  if (name === 'tls_verify') return state.lua.lua_pushnumber(L, modes.indexOf(parameters.mode ?? scopeMode))
  const value = isText(name) ? parameters[texts[name]] : undefined
  if (value === undefined) return state.lua.lua_pushnil(L)
  return state.push(L, value)
}

/** Takes the value at stack index 3. */
export function writeParameter(state: LuaState, L: number, callout: Callout, name: string): void {
  const { parameters } = handshakeOf(callout)
  if (name === 'use_tls') {
    const value = state.lua.luaL_checknumber(L, 3)
    if (value !== 0 && value !== 1 && value !== 2) throw new ScriptError('params.use_tls is 0, 1 or 2', 2)
    parameters.use = value !== 0
  } else if (name === 'tls_verify') {
    const mode = modes[state.lua.luaL_checknumber(L, 3)]
    if (mode === undefined)
      throw new ScriptError('params.tls_verify is 0 (none), 1 (if available) or 2 (required)', 2)
    parameters.mode = mode
  } else if (isText(name)) {
    const value = state.lua.lua_type(L, 3) <= TYPE.nil ? '' : state.checkString(L, 3)
    if (value.length > maxText || value.includes('\0'))
      throw new ScriptError(`params.${name} is no usable text`, 2)
    parameters[texts[name]] = value === '' ? undefined : value
  } else {
    throw new ScriptError(`there is no TLS parameter ${name}: certfile, keyfile, ca or cipherlist`, 2)
  }
}

function isText(name: string): name is keyof typeof texts {
  return Object.hasOwn(texts, name)
}

function handshakeOf({ subject }: Callout): AnyFacts['tls_parameters'] {
  if (subject.handshake === undefined) throw new ScriptError('there are no TLS parameters in this phase')
  return subject.handshake
}
