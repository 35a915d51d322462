/** The methods of a policy, by phase: their names, and the arguments that a phase's facts make. */

import type { AnyPhase, Phase, PhaseFacts } from '../phases.ts'
import type { AuthAttempt, PolicyDefinition } from './definition.ts'

type Method = Exclude<keyof PolicyDefinition, 'name'>

interface CalloutRow<P extends Phase> {
  readonly method: Method
  /** without the last one, which is the call itself */
  readonly args: (facts: PhaseFacts[P]) => readonly unknown[]
}

const policyCallouts: { readonly [P in Phase]: CalloutRow<P> } = {
  connect: { method: 'connect', args: ({ session }) => [session] },
  ehlo: { method: 'ehlo', args: ({ session, line }) => [session, line] },
  tls: { method: 'tls', args: ({ session }) => [session] },
  auth: { method: 'auth', args: ({ session, status }) => [session, attempt(session, status)] },
  mailfrom: {
    method: 'mailFrom',
    args: ({ session, sender, parameters }) => [session, sender, parameters],
  },
  rcptto: { method: 'rcptTo', args: ({ session, message }) => [session, message, message.recipient] },
  data: { method: 'data', args: ({ session, message }) => [session, message] },
  data_spool: { method: 'dataSpool', args: ({ session, message }) => [session, message] },
  data_spool_each_rcpt: { method: 'dataSpoolEachRcpt', args: ({ session, message }) => [session, message] },
  set_binding: { method: 'setBinding', args: ({ session, message }) => [session, message] },
}

function attempt({ context }: PhaseFacts['auth']['session'], status: AuthAttempt['status']): AuthAttempt {
  return {
    status,
    user: context.get('connection', 'auth_user'),
    mechanism: context.get('connection', 'auth_name'),
  }
}

/** undefined for a hook that only Lua scripts have */
export function calloutOf(
  phase: AnyPhase,
): { readonly method: Method; readonly args: (facts: never) => readonly unknown[] } | undefined {
  return phase in policyCallouts ? policyCallouts[phase as Phase] : undefined
}

/** Every name that a policy may have. */
export const policyNames: readonly string[] = [
  'name',
  ...Object.values(policyCallouts).map(({ method }) => method),
]
