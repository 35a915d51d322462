/**
 * XSETCONTEXT: Momentum's extension by which a trusted proxy sets keys of the connection's context
 * (4/esmtp-listener-extensions), only where SMTP_Extensions lists it: `XSETCONTEXT name=value …`, values in xtext.
 *
 * The keys tell a script something. What the server itself goes by, or says of TLS, of authentication and of the session,
 * is not the proxy's to say: such a name refuses the whole command. The keys last, over XCLIENT and XREMOTEIP too, until
 * STARTTLS.
 */

import { decodeXtext } from '../wire/xtext.ts'
import { checkTrust } from './change-client.ts'
import type { Command } from './command.ts'
import { command } from './command.ts'
import { refuse } from './reject.ts'

export const xsetcontext: Command = command<ReadonlyMap<string, string>>({
  verb: 'XSETCONTEXT',
  needsHello: false,
  beforeTls: false,
  parse(args, session) {
    checkTrust(session, 'XSETCONTEXT')
    return parseKeys(args)
  },
  check(session, keys) {
    const names = new Set([...session.toldKeys.keys(), ...keys.keys()])
    if (names.size > MAX_KEYS) throw refuse(501, '5.5.4 too many keys')
  },
  proceed(session, keys) {
    for (const [name, value] of keys) {
      session.toldKeys.set(name, value)
      session.context.set('connection', name, value)
    }
    return { code: 250, text: '2.0.0 OK' }
  },
})

function parseKeys(args: string): ReadonlyMap<string, string> {
  const keys = new Map<string, string>()
  for (const word of args.trim().split(/ +/)) {
    const [, name = '', encoded = ''] = /^([A-Za-z][\w.-]{0,63})=(.*)$/.exec(word) ?? []
    if (name === '') throw refuse(501, '5.5.4 XSETCONTEXT takes name=value')
    if (RESERVED.test(name)) throw refuse(501, `5.5.4 XSETCONTEXT cannot set ${name}`)
    const value = decodeXtext(encoded)
    // oxlint-disable-next-line no-control-regex -- control characters are what this looks for
    if (value === undefined || /[\x00-\x1f\x7f]/.test(value)) {
      throw refuse(501, `5.5.4 bad XSETCONTEXT value of ${name}`)
    }
    keys.set(name, value)
  }
  return keys
}

/** Keys that are the server's own, whoever reads them. Policy's are not among them. */
const RESERVED =
  /^(?:tls|auth|can_relay$|pathway|ehlo_|mailfrom_|rcptto_|xclient_|proxy_tls|connection_(?:message|rcpt)_count$|message_rcpt_count$)/i

const MAX_KEYS = 100
