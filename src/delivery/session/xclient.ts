/**
 * XCLIENT as a client (Postfix's XCLIENT_README; Momentum: config/ref-xclient): the host is told whom a message came from.
 *
 * Only what the host says it takes is sent. It then starts anew with a greeting, and EHLO is said again.
 */

import { isIP } from 'node:net'
import type { Envelope } from '../../mail/envelope.ts'
import { encodeXtext } from '../../wire/xtext.ts'
import { AttemptEnd, type Extensions, replyText, type SmtpClient } from '../smtp-client.ts'
import { stages } from '../transport.ts'

export interface Introduction {
  readonly required: boolean
  /** attribute → value, in the order in which they are sent */
  readonly attributes: ReadonlyMap<string, string>
}

const UNAVAILABLE = '[UNAVAILABLE]'

/** Of the client that handed a message in. */
export function introductionOf(
  demand: 'no' | 'ifavailable' | 'required',
  { client, connectionContext: context }: Pick<Envelope, 'client' | 'connectionContext'>,
): Introduction | undefined {
  if (demand === 'no') return undefined
  const family = isIP(client.address)
  const address = family === 6 ? `IPV6:${client.address}` : client.address
  const known = (key: string): string | undefined => (Object.hasOwn(context, key) ? context[key] : undefined)
  return {
    required: demand === 'required',
    attributes: new Map([
      ['NAME', UNAVAILABLE],
      ['ADDR', family === 0 ? UNAVAILABLE : address],
      ['PORT', family === 0 ? UNAVAILABLE : String(client.port)],
      ['PROTO', 'ESMTP'],
      ['HELO', known('ehlo_domain') || UNAVAILABLE],
      ['LOGIN', known('auth_user') || UNAVAILABLE],
    ]),
  }
}

/** @returns what the host offers afterwards @throws AttemptEnd, or an abort signal's reason */
export async function introduce(
  client: Pick<SmtpClient, 'ask' | 'hello'>,
  { required, attributes }: Introduction,
  extensions: Extensions,
): Promise<Extensions> {
  const taken =
    extensions
      .get('XCLIENT')
      ?.toUpperCase()
      .split(/[ \t]+/) ?? []
  const sent = [...attributes].filter(([name]) => taken.includes(name))
  if (sent.length === 0 || (required && !taken.includes('ADDR'))) {
    if (required) throw end('451 4.7.0 [internal] XCLIENT required but not advertised')
    return extensions
  }
  const reply = await client.ask(
    `XCLIENT ${sent.map(([name, value]) => `${name}=${encodeXtext(value)}`).join(' ')}`,
  )
  if (reply.code === 220) return await client.hello()
  if (required || reply.code === 421)
    throw end(`451 4.7.0 [internal] XCLIENT was refused (${replyText(reply)})`)
  return extensions
}

function end(text: string): AttemptEnd {
  return new AttemptEnd('transient', stages.afterXclient, text)
}
