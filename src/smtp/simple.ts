/** NOOP, RSET, VRFY, HELP and QUIT: RFC 5321 §4.1.1.5 to §4.1.1.10. */

import { isNonAscii, isUtf8Text } from '../mail/utf8.ts'
import { UsualReply } from '../wire/reply.ts'
import { listed } from './capabilities.ts'
import type { Command } from './command.ts'
import { command, noArguments } from './command.ts'
import { refuse } from './reject.ts'
import type { Session } from './session-state.ts'

const OK = new UsualReply(250, '2.0.0 OK')

export const noop: Command = command({
  verb: 'NOOP',
  needsHello: false,
  beforeTls: true,
  parse: () => undefined,
  check: () => undefined,
  proceed: () => OK,
})

export const rset: Command = command({
  verb: 'RSET',
  needsHello: false,
  beforeTls: true,
  parse: noArguments('5.5.4 invalid arguments to RSET'),
  check: refuseIfSuperseded,
  proceed(session) {
    session.resetTransaction()
    return OK
  },
})

export const vrfy: Command = command({
  verb: 'VRFY',
  needsHello: false,
  beforeTls: false,
  parse(args, session) {
    const text = args.trim()
    if (text === '') throw refuse(501, '5.5.4 VRFY needs an argument')
    // RFC 6531 §3.7.4.2
    const utf8 = listed(session, 'SMTPUTF8') && /[ \t]SMTPUTF8$/i.test(text) && isUtf8Text(text)
    if (isNonAscii(text) && !utf8) throw refuse(553, '5.6.7 non-ASCII addresses are not supported')
  },
  check: () => undefined,
  // RFC 5321 §3.5.3: says neither yes nor no, so that nobody can collect addresses.
  proceed: () => ({
    code: 252,
    text: '2.5.0 Cannot VRFY user, but will accept message and attempt delivery',
  }),
})

export const quit: Command = command({
  verb: 'QUIT',
  needsHello: false,
  beforeTls: true,
  parse: noArguments('5.5.4 Syntax error (no parameters allowed)'),
  check: () => undefined,
  proceed(session) {
    session.ended = true
    session.quit = true
    return { code: 221, text: `2.0.0 ${session.hostname} closing connection` }
  },
})

/** HELP names the verbs of the table that it is a part of. */
export function makeHelp(verbs: () => readonly string[]): Command {
  return command({
    verb: 'HELP',
    needsHello: false,
    beforeTls: true,
    parse: () => undefined,
    check: () => undefined,
    proceed: () => ({ code: 214, text: `2.0.0 commands: ${verbs().join(' ')}` }),
  })
}

/** Momentum: a session notices a newer configuration on RSET and between messages (Reconfig_Message). */
export function refuseIfSuperseded(session: Session): void {
  if (!session.services.superseded()) return
  throw refuse(421, session.scope.options.reconfig_message, { fault: 'us', close: true })
}
