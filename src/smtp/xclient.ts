/**
 * XCLIENT: a trusted proxy names its client (Postfix, XCLIENT_README), only where SMTP_Extensions lists it. The session
 * starts anew: the answer is a banner, and the client has to greet again.
 *
 * ADDR, PORT, DESTADDR and DESTPORT are the ends of the session from now on. NAME, HELO, PROTO and LOGIN are for policy
 * alone, as `xclient_name` and so on. In particular LOGIN authenticates nobody, other than in Postfix: what a proxy says
 * of a password that it saw is no AUTH of ours, and whether it is worth anything is for a script to say. Attributes that
 * a command does not give are forgotten, except for the address.
 */

import { normaliseAddress } from '../config/address.ts'
import { parseDomain } from '../mail/address.ts'
import type { Endpoint } from '../mail/envelope.ts'
import { parseHello } from '../wire/command.ts'
import { decodeXtext } from '../wire/xtext.ts'
import { changeClient, checkTrust, UNKNOWN_CLIENT } from './change-client.ts'
import type { Command } from './command.ts'
import { command } from './command.ts'
import { banner } from './greeting.ts'
import { refuse } from './reject.ts'

/** '' where the proxy does not know: `[UNAVAILABLE]`, `[TEMPUNAVAIL]` */
type Attributes = ReadonlyMap<string, string>

export const xclient: Command = command<Attributes>({
  verb: 'XCLIENT',
  needsHello: false,
  beforeTls: false,
  parse(args, session) {
    checkTrust(session, 'XCLIENT')
    return parseAttributes(args)
  },
  check(session) {
    if (session.transaction !== undefined) throw refuse(503, '5.5.1 MAIL transaction in progress')
  },
  async proceed(session, attributes) {
    const { remote, local } = session.connection
    const asked = await changeClient(session, 'XCLIENT', {
      remote: endpoint(remote, attributes.get('ADDR'), attributes.get('PORT')),
      local: endpoint(local, attributes.get('DESTADDR'), attributes.get('DESTPORT')),
      hello: undefined,
      keys: keysOf(attributes),
    })
    return banner(session, asked)
  },
})

/** An address that is named comes with its own port or with none. */
function endpoint(before: Endpoint, address: string | undefined, port: string | undefined): Endpoint {
  return {
    address: address === undefined ? before.address : address || UNKNOWN_CLIENT.address,
    port: port === undefined ? (address === undefined ? before.port : 0) : Number(port),
  }
}

function keysOf(attributes: Attributes): Map<string, string> {
  const known = FOR_POLICY.map(
    (name) => [`xclient_${name.toLowerCase()}`, attributes.get(name) ?? ''] as const,
  )
  return new Map(known.filter(([, value]) => value !== ''))
}

const FOR_POLICY = ['NAME', 'HELO', 'PROTO', 'LOGIN'] as const

function parseAttributes(args: string): Attributes {
  const attributes = new Map<string, string>()
  for (const word of args.trim().split(/ +/)) {
    const [, keyword = '', encoded = ''] = /^([A-Za-z]+)=(.+)$/.exec(word) ?? []
    const name = keyword.toUpperCase()
    if (name === '') throw refuse(501, '5.5.4 XCLIENT takes attribute=value')
    const read = READERS.get(name)
    if (read === undefined) throw refuse(501, `5.5.4 bad XCLIENT attribute name: ${name.slice(0, 64)}`)
    if (attributes.has(name)) throw refuse(501, `5.5.4 XCLIENT ${name} is given twice`)
    const text = encoded.length > MAX_VALUE ? undefined : decodeXtext(encoded)
    const value = text === undefined ? undefined : UNAVAILABLE.test(text) ? '' : read(text)
    if (value === undefined) throw refuse(501, `5.5.4 bad XCLIENT ${name} syntax`)
    attributes.set(name, value)
  }
  return attributes
}

const UNAVAILABLE = /^\[(?:UNAVAILABLE|TEMPUNAVAIL)\]$/i

/** Postfix's */
const MAX_VALUE = 255

/** What a value comes to; undefined is a syntax error. None lets a control character through. */
const READERS: ReadonlyMap<string, (text: string) => string | undefined> = new Map([
  ['NAME', parseDomain],
  ['ADDR', readAddress],
  ['PORT', readPort],
  ['PROTO', (text) => (/^E?SMTP$/i.test(text) ? text.toUpperCase() : undefined)],
  ['HELO', parseHello],
  ['LOGIN', (text) => (/^[\x20-\x7e\x80-\xff]+$/.test(text) ? text : undefined)],
  ['DESTADDR', readAddress],
  ['DESTPORT', readPort],
])

/** An IPv6 address may have the prefix `IPV6:`, as in Postfix's commands and in address literals. */
function readAddress(text: string): string | undefined {
  return text.includes('%') ? undefined : normaliseAddress(text.replace(/^IPV6:(?=.*:)/i, ''))
}

function readPort(text: string): string | undefined {
  return /^\d{1,5}$/.test(text) && Number(text) <= 65_535 ? text : undefined
}
