/**
 * acctlog: one line per authentication that log_authentication asks for (Momentum, 4-log-formats):
 * `time@N@listener@peer ip:port@user@0|1`, with `T` for `N` when the client fell silent. Of the console every login, and
 * every command: `time@Z@listener@peer@user@1|0|-1@command[@role]` before it runs (-1: nobody asks whether it is allowed),
 * and `time@E@listener@peer@user@0|1@command` when it has ended, which is an extension. Another one is a line for each
 * act on mail that waits: `time@A@from@operator@messages@under way@act@why something was not done`. Escaped like mainlog.
 * And one for each change of the configuration from the console: `formatChange`.
 */

import type { ConfigurationChange } from '../events/configuration.ts'
import type { AuthenticationFact, OperatorAct, OperatorFact } from '../events/events.ts'
import { escapeText } from './escape.ts'
import { epochSeconds } from './mainlog.ts'
import { formatEndpoint } from './rejectlog.ts'

/** The line of an event, without its line ending. */
export function formatAcctlog({ at, status, listener, remote, user }: AuthenticationFact): string {
  const kind = status === 'timeout' ? 'T' : 'N'
  const fields = [
    epochSeconds(at),
    kind,
    listener,
    formatEndpoint(remote),
    user,
    status === 'pass' ? '1' : '0',
  ]
  return fields.map((field) => escapeText(field, '@')).join('@')
}

export function formatOperator(event: OperatorFact): string {
  const { at, act, listener, remote, user, good, command, role } = event
  const result = good === undefined ? '-1' : good ? '1' : '0'
  const fields = [epochSeconds(at), kinds[act], listener, formatEndpoint(remote), user, result]
  if (act !== 'login') fields.push(command)
  if (role !== '') fields.push(role)
  return fields.map((field) => escapeText(field, '@')).join('@')
}

const kinds: Readonly<Record<OperatorFact['act'], string>> = { login: 'N', command: 'Z', end: 'E' }

/** The line of an operator's act, without its line ending. */
export function formatOperatorAct({
  at,
  operator,
  from,
  act,
  messages,
  underWay,
  broken,
}: OperatorAct): string {
  const fields = [epochSeconds(at), 'A', from, operator, String(messages), String(underWay), act, broken]
  return fields.map((field) => escapeText(asUtf8(field), '@')).join('@')
}

/** `time@C@from@operator@place@act@scope@option@before@after@warning` */
export function formatChange(event: ConfigurationChange): string {
  const { at, from, operator, place, act, scope, option, before, after, warning } = event
  const fields = [epochSeconds(at), 'C', from, operator, place, act, scope, option, before, after, warning]
  return fields.map((field) => escapeText(asUtf8(field), '@')).join('@')
}

function asUtf8(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1')
}
