/**
 * XDUMPCONTEXT: Momentum's extension that prints the validation context (4/esmtp-listener-extensions), only where
 * SMTP_Extensions lists it. One line for each key, however long, with the value's octets as they are. The context never holds a password, so none can be shown.
 */

import { listed } from './capabilities.ts'
import type { Command } from './command.ts'
import { command, noArguments } from './command.ts'
import { refuse } from './reject.ts'

export const xdumpcontext: Command = command({
  verb: 'XDUMPCONTEXT',
  needsHello: false,
  beforeTls: true,
  parse: noArguments('5.5.4 Syntax error (no parameters allowed)'),
  check(session) {
    if (!listed(session, 'XDUMPCONTEXT')) throw refuse(500, '5.5.2 unrecognized command')
  },
  proceed(session) {
    for (const kind of ['connection', 'message'] as const) {
      for (const [key, value] of session.context[kind]) {
        session.io.send(`250-[${kind}] ${visible(key)} ${visible(value)}\r\n`)
      }
    }
    session.io.send('250 XDUMPCONTEXT complete\r\n')
    return undefined
  },
})

/** Control characters would start a reply line of their own; they are shown as `\xHH`. */
function visible(text: string): string {
  // oxlint-disable-next-line no-control-regex -- control characters are what this looks for
  return text.replace(/[\x00-\x1f\x7f]/g, (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`)
}
