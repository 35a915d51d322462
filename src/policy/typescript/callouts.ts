/** The methods of a policy, by phase: their names, and the arguments that a phase's facts make. */

import type { AnyFacts, AnyPhase } from '../phases.ts'
import type { AuthAttempt, PolicyDefinition } from './definition.ts'
import { TlsSettings } from './tls-settings.ts'

type Method = Exclude<keyof PolicyDefinition, 'name'>

interface CalloutRow<P extends AnyPhase> {
  readonly method: Method
  /** without the last one, which is the call itself */
  readonly args: (facts: AnyFacts[P]) => readonly unknown[]
}

const policyCallouts: { readonly [P in AnyPhase]: CalloutRow<P> } = {
  accept: { method: 'accept', args: ({ session }) => [session] },
  connect: { method: 'connect', args: ({ session }) => [session] },
  connected: { method: 'connected', args: ({ session }) => [session] },
  ehlo: { method: 'ehlo', args: ({ session, line }) => [session, line] },
  tls_parameters: {
    method: 'tlsParameters',
    args: ({ session, parameters, scopeMode }) => [session, new TlsSettings(parameters, scopeMode)],
  },
  tls_verify: { method: 'tlsVerify', args: ({ session, certificate }) => [session, certificate] },
  host_verify: { method: 'hostVerify', args: ({ host, certificate }) => [host, certificate] },
  tls: { method: 'tls', args: ({ session }) => [session] },
  auth_before: { method: 'authBefore', args: ({ session }) => [session] },
  auth: { method: 'auth', args: ({ session, status }) => [session, attempt(session, status)] },
  auth_perform: { method: 'checkPassword', args: ({ session, login }) => [session, login] },
  auth_failed: {
    method: 'authFailed',
    args: ({ session, login }) => [session, login.user, login.response.text],
  },
  mailfrom: {
    method: 'mailFrom',
    args: ({ session, sender, parameters }) => [session, sender, parameters],
  },
  rcptto: { method: 'rcptTo', args: ({ session, message }) => [session, message, message.recipient] },
  data: { method: 'data', args: ({ session, message }) => [session, message] },
  rcptto_list: {
    method: 'rcptToList',
    args: ({ session, message }) => [session, message, message.recipients],
  },
  rcptto_list_final: {
    method: 'rcptToListFinal',
    args: ({ session, message }) => [session, message, message.recipients],
  },
  data_spool: { method: 'dataSpool', args: ({ session, message }) => [session, message] },
  data_spool_each_rcpt: { method: 'dataSpoolEachRcpt', args: ({ session, message }) => [session, message] },
  each_rcpt_after: { method: 'dataSpoolEachRcptFinal', args: ({ session, message }) => [session, message] },
  set_binding: { method: 'setBinding', args: ({ session, message }) => [session, message] },
  final_validation2: { method: 'finalValidation', args: ({ session, message }) => [session, message] },
  final_validation: { method: 'afterFinalValidation', args: ({ session, message }) => [session, message] },
  post_final_validation: {
    method: 'postFinalValidation',
    args: ({ session, message }) => [session, message],
  },
}

function attempt({ context }: AnyFacts['auth']['session'], status: AuthAttempt['status']): AuthAttempt {
  return {
    status,
    user: context.get('connection', 'auth_user'),
    mechanism: context.get('connection', 'auth_name'),
  }
}

export function calloutOf(phase: AnyPhase): {
  readonly method: Method
  readonly args: (facts: never) => readonly unknown[]
} {
  return policyCallouts[phase]
}

/** Every name that a policy may have. */
export const policyNames: readonly string[] = [
  'name',
  ...Object.values(policyCallouts).map(({ method }) => method),
]
