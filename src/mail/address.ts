/**
 * Mailboxes as RFC 5321 §4.1.2 writes them, with UTF-8 where RFC 6531 allows it, and the domain globs of Momentum's lists.
 *
 * Parsing answers `undefined` for everything the grammar does not allow; nothing is repaired. A domain is always kept in
 * ASCII, an international one as its A-labels: whoever compares domains compares those, and there is one way to write
 * each. Formatting is the inverse for every mailbox that was parsed, and stays inside printable ASCII and proper UTF-8
 * for one that was made up elsewhere, so that an address can never end a line or a quoted string early. All text is a
 * byte string.
 */

import { isIPv4, isIPv6 } from 'node:net'
import { domainToASCII, domainToUnicode } from 'node:url'
import type { Mailbox } from './envelope.ts'
import { fromUtf8, isNonAscii, isUtf8Text } from './utf8.ts'

/** RFC 5321 §4.5.3.1.1: octets of a local part as written, quotes included. */
export const MAX_LOCAL_PART = 64
/** RFC 5321 §4.5.3.1.2 */
export const MAX_DOMAIN = 255

const ATOM = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
const DOT_STRING = new RegExp(`^${ATOM}(?:\\.${ATOM})*$`)
const QUOTED_STRING = /^"(?:[ !#-[\]-~]|\\[ -~])+"$/
const UTF8_ATOM = ATOM.replace('A-Z', '\\x80-\\xffA-Z')
const UTF8_DOT_STRING = new RegExp(`^${UTF8_ATOM}(?:\\.${UTF8_ATOM})*$`)
const UTF8_QUOTED_STRING = /^"(?:[ !#-[\]-~\x80-\xff]|\\[ -~])+"$/
const DOMAIN = /^[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*$/

/** How an address may be written. */
export interface AddressOptions {
  /** UTF-8 is allowed (RFC 6531 §3.3); a domain comes back as its A-labels all the same */
  readonly utf8?: boolean
}

/**
 * Reads `local@domain`. The local part comes back without its quotes, its case kept; the domain in lower case, an
 * address literal with its brackets. An empty quoted local part (`""@x`) is refused: no mailbox has that name, and an
 * empty name is a trap for whoever makes a path of it.
 */
export function parseMailbox(text: string, options: AddressOptions = {}): Mailbox | undefined {
  const at = endOfLocalPart(text)
  if (text[at] !== '@') return undefined
  const local = parseLocalPart(text.slice(0, at), options)
  const domain = parseDomain(text.slice(at + 1), options)
  return local === undefined || domain === undefined ? undefined : { local, domain }
}

/** A local part as written, dot-string or quoted string → the name that it stands for. */
export function parseLocalPart(text: string, { utf8 = false }: AddressOptions = {}): string | undefined {
  if (text.length > MAX_LOCAL_PART) return undefined
  if (DOT_STRING.test(text)) return text
  const international = utf8 && isNonAscii(text)
  if (international && !isUtf8Text(text)) return undefined
  if (international && UTF8_DOT_STRING.test(text)) return text
  const quoted = international ? UTF8_QUOTED_STRING : QUOTED_STRING
  return quoted.test(text) ? text.slice(1, -1).replace(/\\(.)/g, '$1') : undefined
}

/** A domain or an address literal → lower case, in ASCII. */
export function parseDomain(text: string, { utf8 = false }: AddressOptions = {}): string | undefined {
  if (text.length > MAX_DOMAIN) return undefined
  if (utf8 && isNonAscii(text)) {
    const ascii = toALabels(text)
    return ascii === undefined ? undefined : parseDomain(ascii)
  }
  const domain = text.toLowerCase()
  if (domain.startsWith('[')) return isLiteral(domain) ? domain : undefined
  if (!DOMAIN.test(domain)) return undefined
  // RFC 1035 §2.3.4: a label has at most 63 octets
  return /[^.]{64}/.test(domain) ? undefined : domain
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

/**
 * The mailbox as it goes onto the wire, quoted only where needed. UTF-8 stays as it is, which is for hosts and headers
 * that may have it (`isInternational`); octets that are neither printable ASCII nor proper UTF-8 become `?`.
 */
export function formatMailbox(mailbox: Mailbox): string {
  const international = isInternational(mailbox) && isUtf8Text(mailbox.local)
  const local = (international ? UTF8_DOT_STRING : DOT_STRING).test(mailbox.local)
    ? mailbox.local
    : `"${mailbox.local.replace(international ? /[^ -~\x80-\xff]/g : /[^ -~]/g, '?').replace(/["\\]/g, '\\$&')}"`
  if (mailbox.domain === '') return local
  const domain = mailbox.domain.replace(/[^A-Za-z0-9.:_[\]-]/g, '?')
  return `${local}@${domain.replace(/^\[ipv6:/, '[IPv6:')}`
}

/** Whether the mailbox can only be written with UTF-8: its domain always has ASCII. */
export function isInternational({ local }: Mailbox): boolean {
  return isNonAscii(local)
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

/**
 * U-labels → A-labels (RFC 5890 §2.3.2.1). A label that is not in the one form that its A-label stands for (other than by
 * case or composition) is refused: what merely looks like a domain after mapping is not that domain.
 */
function toALabels(bytes: string): string | undefined {
  if (!isUtf8Text(bytes)) return undefined
  const labels = fromUtf8(bytes).split('.').map(toALabel)
  return labels.includes(undefined) ? undefined : labels.join('.')
}

function toALabel(label: string): string | undefined {
  // what an ASCII label may be is the grammar's business
  if (!/[^\0-\x7f]/.test(label)) return label
  const ascii = domainToASCII(label)
  const form = label.normalize('NFC').toLowerCase().normalize('NFC')
  return ascii.startsWith('xn--') && !ascii.includes('.') && domainToUnicode(ascii) === form
    ? ascii
    : undefined
}

function isLiteral(domain: string): boolean {
  if (!domain.endsWith(']')) return false
  const inner = domain.slice(1, -1)
  if (!inner.startsWith('ipv6:')) return isIPv4(inner)
  // a zone id means something on one host only
  return isIPv6(inner.slice(5)) && !inner.includes('%')
}
