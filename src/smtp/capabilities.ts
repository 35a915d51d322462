/** What EHLO offers: RFC 5321 §4.1.1.1, Momentum 4/esmtp-listener-extensions. */

import { offeredMechanisms } from './auth/offer.ts'
import type { Session } from './session-state.ts'

/** The capability lines after the greeting line. */
export function capabilities(session: Session): string[] {
  const { options } = session.scope
  const lines = [
    'PIPELINING',
    '8BITMIME',
    options.max_message_size > 0 ? `SIZE ${options.max_message_size}` : 'SIZE',
  ]
  for (const word of BY_LIST) if (listed(session, word)) lines.push(word)
  if (offersStartTls(session)) lines.push('STARTTLS')
  const mechanisms = offeredMechanisms(session)
  if (mechanisms.length > 0) {
    // The second form is for clients that were written to a draft of the AUTH extension; Momentum sends both.
    lines.push(`AUTH ${mechanisms.join(' ')}`, `AUTH=${mechanisms.join(' ')}`)
  }
  if (listed(session, 'XDUMPCONTEXT')) lines.push('XDUMPCONTEXT')
  if (mayUse(session, 'XCLIENT')) lines.push('XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT')
  if (mayUse(session, 'XREMOTEIP')) lines.push('XREMOTEIP')
  if (mayUse(session, 'XSETCONTEXT')) lines.push('XSETCONTEXT')
  const others = listOf(options.smtp_extensions).verbatim
  return session.capabilities.apply([...lines, ...others], (keyword) => OWN.has(keyword))
}

/** Extensions that are there for whoever lists them (RFC 2034, RFC 3461, RFC 3030, RFC 6531). */
const BY_LIST = ['ENHANCEDSTATUSCODES', 'DSN', 'CHUNKING', 'SMTPUTF8'] as const

/** Whether SMTP_Extensions lists a word, in any case. */
export function listed({ scope }: Pick<Session, 'scope'>, extension: string): boolean {
  return listOf(scope.options.smtp_extensions).words.has(extension)
}

/** By which a proxy says who its client is, and what it knows of it. */
export type TrustedExtension = 'XCLIENT' | 'XREMOTEIP' | 'XSETCONTEXT'

/**
 * Whether a trusted extension can be used now: the scope of the address that connected must list it, and once another
 * client was named, that one's too. So a proxy that passes its client's commands on does not hand its trust on with
 * them, as in Postfix, unless the whole Listen is trusted.
 */
export function mayUse(session: Session, extension: TrustedExtension): boolean {
  return listed({ scope: session.connectedScope }, extension) && listed(session, extension)
}

/** STARTTLS can be used now. */
export function offersStartTls(session: Session): boolean {
  if (session.tls !== undefined || session.scope.options.use_ssl || !listed(session, 'STARTTLS')) return false
  return session.services.tls.offers(session.scope)
}

/** What an SMTP_Extensions says. */
interface ExtensionList {
  readonly words: ReadonlySet<string>
  /** other words, announced as they are written, as Momentum does */
  readonly verbatim: readonly string[]
}

/** A list of the configuration is read once: every EHLO asks ten questions of it. */
const lists = new WeakMap<readonly string[], ExtensionList>()

function listOf(extensions: readonly string[]): ExtensionList {
  let list = lists.get(extensions)
  if (list === undefined) {
    list = { words: new Set(extensions.map(normalise)), verbatim: verbatim(extensions) }
    lists.set(extensions, list)
  }
  return list
}

function verbatim(extensions: readonly string[]): string[] {
  return extensions
    .filter((text) => {
      const keyword = normalise(text)
      return keyword !== '' && !OWN.has(keyword.split(' ')[0] ?? '') && /^[\x20-\x7e]+$/.test(text)
    })
    .map((text) => text.trim())
}

function normalise(text: string): string {
  return text.trim().replace(/\s+/g, ' ').toUpperCase()
}

/**
 * Words that are never copied from the list: those that the session announces itself, by its own rules, and those
 * that would promise commands or parameters which it would then refuse.
 */
const OWN: ReadonlySet<string> = new Set([
  'PIPELINING',
  '8BITMIME',
  'SIZE',
  'ENHANCEDSTATUSCODES',
  'STARTTLS',
  'AUTH',
  'XDUMPCONTEXT',
  'XCLIENT',
  'XREMOTEIP',
  'XSETCONTEXT',
  'XSETCONTEXT2',
  'BINARYMIME',
  'CHUNKING',
  'DSN',
  'SMTPUTF8',
])
