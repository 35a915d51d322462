/**
 * Mailboxes as RFC 5321 §4.1.2 writes them, and the domain globs of Momentum's lists.
 *
 * Parsing answers `undefined` for everything the grammar does not allow; nothing is repaired. Formatting is the inverse
 * for every mailbox that was parsed, and stays inside printable ASCII for one that was made up elsewhere, so that an
 * address can never end a line or a quoted string early. All text is a byte string.
 */

import { isIPv4, isIPv6 } from 'node:net'
import type { Mailbox } from './envelope.ts'

/** RFC 5321 §4.5.3.1.1: octets of a local part as written, quotes included. */
export const MAX_LOCAL_PART = 64
/** RFC 5321 §4.5.3.1.2 */
export const MAX_DOMAIN = 255

const ATOM = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
const DOT_STRING = new RegExp(`^${ATOM}(?:\\.${ATOM})*$`)
const QUOTED_STRING = /^"(?:[ !#-[\]-~]|\\[ -~])+"$/
const DOMAIN = /^[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*$/

/**
 * Reads `local@domain`. The local part comes back without its quotes, its case kept; the domain in lower case, an
 * address literal with its brackets. An empty quoted local part (`""@x`) is refused: no mailbox has that name, and an
 * empty name is a trap for whoever makes a path of it.
 */
export function parseMailbox(text: string): Mailbox | undefined {
  const at = endOfLocalPart(text)
  if (text[at] !== '@') return undefined
  const local = parseLocalPart(text.slice(0, at))
  const domain = parseDomain(text.slice(at + 1))
  return local === undefined || domain === undefined ? undefined : { local, domain }
}

/** A local part as written, dot-string or quoted string → the name that it stands for. */
export function parseLocalPart(text: string): string | undefined {
  if (text.length > MAX_LOCAL_PART) return undefined
  if (DOT_STRING.test(text)) return text
  return QUOTED_STRING.test(text) ? text.slice(1, -1).replace(/\\(.)/g, '$1') : undefined
}

/** A domain or an address literal → lower case. */
export function parseDomain(text: string): string | undefined {
  if (text.length > MAX_DOMAIN) return undefined
  const domain = text.toLowerCase()
  if (domain.startsWith('[')) return isLiteral(domain) ? domain : undefined
  if (!DOMAIN.test(domain)) return undefined
  // RFC 1035 §2.3.4: a label has at most 63 octets
  return domain.split('.').every((label) => label.length <= 63) ? domain : undefined
}

/** Whether a mailbox's domain is an address literal such as `[192.0.2.1]`. */
export function isAddressLiteral(domain: string): boolean {
  return domain.startsWith('[')
}

/** Where the local part at the start of `text` ends: at its `@`, or at the end of the text. */
export function endOfLocalPart(text: string): number {
  if (!text.startsWith('"')) {
    const at = text.indexOf('@')
    return at < 0 ? text.length : at
  }
  for (let i = 1; i < text.length; i++) {
    if (text[i] === '\\') i++
    else if (text[i] === '"') return i + 1
  }
  return text.length
}

/** The mailbox as it goes onto the wire, quoted only where needed. Octets outside printable ASCII become `?`. */
export function formatMailbox(mailbox: Mailbox): string {
  const local = DOT_STRING.test(mailbox.local)
    ? mailbox.local
    : `"${mailbox.local.replace(/[^ -~]/g, '?').replace(/["\\]/g, '\\$&')}"`
  if (mailbox.domain === '') return local
  const domain = mailbox.domain.replace(/[^A-Za-z0-9.:_[\]-]/g, '?')
  return `${local}@${domain.replace(/^\[ipv6:/, '[IPv6:')}`
}

/** A reverse or forward path: `<local@domain>`, or `<>` for the null sender. */
export function formatPath(mailbox: Mailbox | undefined): string {
  return mailbox === undefined ? '<>' : `<${formatMailbox(mailbox)}>`
}

/**
 * Momentum's domain lists (config/ref-relay-domains): a `*` at the left end stands for any text, so that `*.x.com`
 * does not match `x.com`, `*x.com` also matches `badx.com`, and `*` matches all. Elsewhere a `*` is only itself.
 */
export function domainMatches(globs: readonly string[], domain: string): boolean {
  const name = domain.toLowerCase()
  return globs.some((glob) => {
    const pattern = glob.toLowerCase()
    return pattern.startsWith('*') ? name.endsWith(pattern.slice(1)) : name === pattern
  })
}

function isLiteral(domain: string): boolean {
  if (!domain.endsWith(']')) return false
  const inner = domain.slice(1, -1)
  if (!inner.startsWith('ipv6:')) return isIPv4(inner)
  // a zone id means something on one host only
  return isIPv6(inner.slice(5)) && !inner.includes('%')
}
