/** What each callout gets after `self` (momentum: 4-implementing-policy-scriptlets, 3-api/hooks-core-*). */

import type { CalloutSubject } from './callout.ts'
import { constants } from './catalogue.ts'
import type { ObjectKind } from './object-kinds.ts'
import type { HostObjects } from './objects.ts'
import { pushRecipients } from './recipient-methods.ts'
import type { LuaState } from './state.ts'

type Argument =
  | ObjectKind
  | 'line'
  | 'nil'
  | 'now'
  | 'auth_info'
  | 'auth_status'
  | 'preverify_ok'
  | 'subject'
  | 'issuer'
  | 'recipients'
  | 'user'
  | 'password'

export type Signature = readonly Argument[]

const message: Signature = ['msg', 'ac', 'vctx']

export const signatures: Readonly<Record<string, Signature>> = {
  core_validate_accept: ['ac', 'vctx'],
  validate_connect: ['ac', 'vctx'],
  core_validate_connect: ['ac', 'vctx'],
  validate_ehlo: ['line', 'ac', 'vctx'],
  core_get_inbound_tls_parameters: ['mc', 'vctx', 'params'],
  core_inbound_smtp_tls_verify_callback: ['mc', 'nil', 'preverify_ok', 'subject', 'issuer', 'nil'],
  core_outbound_smtp_tls_verify_callback: ['mc', 'nil', 'preverify_ok', 'subject', 'issuer', 'nil'],
  core_inbound_smtp_tls_post_accept: ['mc', 'nil', 'nil', 'nil', 'now'],
  core_pre_esmtp_auth: ['ac', 'mc', 'vctx'],
  ac_auth_perform_auth: ['user', 'password', 'ac', 'response'],
  ac_auth_log_auth_failure: ['user', 'ac', 'response'],
  core_validate_auth: ['vctx', 'auth_info', 'auth_status'],
  core_validate_auth_hook: ['vctx', 'auth_info', 'auth_status'],
  validate_mailfrom: ['line', 'ac', 'vctx'],
  validate_rcptto: ['msg', 'line', 'ac', 'vctx'],
  validate_data: message,
  validate_rcptto_list: ['recipients', 'vctx'],
  validate_rcptto_list_final: ['recipients', 'vctx'],
  validate_data_spool: message,
  validate_data_spool_each_rcpt: message,
  core_validate_data_spool_each_rcpt: message,
  validate_set_binding: ['msg'],
  core_final_validation2: message,
  core_final_validation: message,
  core_post_final_validation: message,
}

const authStatus = {
  pass: constants.EC_AUTH_OK,
  fail: constants.EC_AUTH_FAIL,
  error: constants.EC_AUTH_ERROR,
} as const

export interface ArgumentSources {
  readonly state: LuaState
  readonly objects: HostObjects
  /** milliseconds since the epoch */
  readonly now: () => number
}

/** Pushes the arguments of a callout; returns how many. @param id of the callout, see `HostObjects` */
export function pushArguments(
  sources: ArgumentSources,
  L: number,
  signature: Signature,
  of: { readonly subject: CalloutSubject; readonly id: number },
): number {
  for (const argument of signature) push(sources, L, argument, of)
  return signature.length
}

function push(
  { state, objects, now }: ArgumentSources,
  L: number,
  argument: Argument,
  { subject, id }: { readonly subject: CalloutSubject; readonly id: number },
): void {
  const { lua } = state
  switch (argument) {
    case 'line':
      return state.push(L, subject.line, '\r\n')
    case 'now':
      return lua.lua_pushnumber(L, Math.floor(now() / 1000))
    case 'auth_info':
      return pushAuthInfo(state, L, subject)
    case 'auth_status':
      return lua.lua_pushnumber(L, authStatus[subject.authentication ?? 'error'])
    case 'preverify_ok':
      return lua.lua_pushnumber(L, subject.certificate?.verified === true ? 1 : 0)
    case 'subject':
    case 'issuer':
      return pushOptional(state, L, subject.certificate?.[argument])
    case 'user':
    case 'password':
      return state.push(L, subject.login?.[argument] ?? '')
    case 'recipients':
      return pushRecipients(state, L, subject)
    case 'nil':
      return lua.lua_pushnil(L)
    default:
      return objects.push(L, argument, id)
  }
}

function pushAuthInfo(state: LuaState, L: number, { session }: CalloutSubject): void {
  state.lua.lua_createtable(L, 0, 2)
  state.setField(L, -1, 'user', () => state.push(L, session.context.get('connection', 'auth_user')))
  state.setField(L, -1, 'name', () => state.push(L, session.context.get('connection', 'auth_name')))
}

function pushOptional(state: LuaState, L: number, text: string | undefined): void {
  if (text === undefined) state.lua.lua_pushnil(L)
  else state.push(L, text)
}
