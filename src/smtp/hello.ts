/** EHLO and HELO: RFC 5321 §4.1.1.1. The state changes only when the command succeeds (§4.1.4). */

import type { Reply } from '../mail/status.ts'
import { parseHello } from '../wire/command.ts'
import { withoutStatus } from '../wire/reply.ts'
import { capabilities } from './capabilities.ts'
import type { Command } from './command.ts'
import { command, notDiscardable, replyOf } from './command.ts'
import { refuse } from './reject.ts'
import type { Hello, Session } from './session-state.ts'

export const ehlo: Command = hello('EHLO')
export const helo: Command = hello('HELO')

type Greeting = Omit<Hello, 'line'>

function hello(kind: Hello['kind']): Command {
  return command<Greeting, 'ehlo'>({
    verb: kind,
    needsHello: false,
    beforeTls: true,
    parse(args) {
      const domain = parseHello(args)
      if (domain === undefined) throw refuse(501, `5.5.2 invalid ${kind}`)
      return { kind, domain }
    },
    check: () => undefined,
    phase: 'ehlo',
    note: (session, { domain }, line) => setKeys(session, line, domain),
    facts: (session, _greeting, line) => ({ session: session.facts, line }),
    undo: (session) => setKeys(session, session.hello?.line, session.hello?.domain),
    proceed(session, greeting, answer) {
      notDiscardable(answer)
      session.resetTransaction()
      session.hello = { ...greeting, line: session.context.get('connection', 'ehlo_string') }
      return answerTo(session, kind, replyOf(answer, 250, usualGreeting(session, kind)))
    },
  })
}

function setKeys(session: Session, line: string | undefined, domain: string | undefined): void {
  for (const [key, value] of [
    ['ehlo_string', line],
    ['ehlo_domain', domain],
  ] as const) {
    if (value === undefined) session.context.connection.delete(key)
    else session.context.set('connection', key, value)
  }
}

function usualGreeting(session: Session, kind: Hello['kind']): string {
  return `${session.hostname} says ${kind} to ${session.connection.remote.address || 'local client'}`
}

/** Policy may choose the first line; what the session can do is not for it to say. */
function answerTo(session: Session, kind: Hello['kind'], first: Reply): Reply {
  if (kind === 'HELO') return first
  // A status code there would be repeated on the other lines, and no client would know the extensions again.
  const line = withoutStatus(first.text.split('\n', 1)[0] ?? '')
  return { code: 250, text: [line, ...capabilities(session)].join('\n') }
}
