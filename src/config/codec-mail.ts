/** Values that speak of mail: domains, networks, extensions, credentials. Strict like all codecs (`codec.ts`). */

import { parseMailbox } from '../mail/address.ts'
import { formatCidr, parseAddress, parseCidr } from './address.ts'
import { type Codec, type CodecContext, dictionary, hostname, listWhere, oneOf, scalar } from './codec.ts'
import { nearest, suggestion } from './edit-distance.ts'
import { quote } from './render.ts'
import type { Cidr, Dictionary } from './settings.ts'
import type { Scalar } from './tree.ts'

/** Networks. Names of hosts are refused: who may relay must not depend on DNS. */
export const networks: Codec<readonly Cidr[]> = listWhere(network)

export function network(item: Scalar, context: CodecContext): { readonly value: Cidr } | undefined {
  const cidr = parseCidr(item.text)
  if (cidr === undefined) {
    return context.error(
      `takes addresses and networks such as 192.0.2.0/24 or 2001:db8::/32, not ${quote(item.text)}`,
      item.at,
    )
  }
  const { beyond, ...value } = cidr
  if (beyond)
    context.warning(
      `reads ${quote(item.text)} as ${formatCidr(cidr)}: it has bits beyond its prefix`,
      item.at,
    )
  return { value: Object.freeze(value) }
}

/** Domains in lower case; `*` may stand at the left and matches any characters (momentum: config/ref-relay-domains). */
export const domainGlobs: Codec<readonly string[]> = listWhere((item, context) => {
  const domain = item.text.toLowerCase()
  if (domain === '*' || (/^\*?[a-z0-9._-]+$/.test(domain) && domain.length <= 254)) return { value: domain }
  return context.error(
    `takes domains such as "example.com" or "*.example.com" (international ones in their xn-- form), not ${quote(item.text)}`,
    item.at,
  )
})

/** Domains in lower case, without globs. */
export const domains: Codec<readonly string[]> = listWhere((item, context) => {
  const domain = plainDomain(item.text)
  if (domain !== undefined) return { value: domain }
  return context.error(`takes domains such as "example.com", not ${quote(item.text)}`, item.at)
})

export const domain: Codec<string> = scalar('a domain such as "example.com"', plainDomain)

/** Words that a session knows besides those that are advertised as they stand. */
const extensionWords = [
  'STARTTLS',
  'ENHANCEDSTATUSCODES',
  'XDUMPCONTEXT',
  'XCLIENT',
  'XREMOTEIP',
  'XSETCONTEXT',
  'XSETCONTEXT2',
]
const standardWords = [
  'PIPELINING',
  '8BITMIME',
  'SIZE',
  'DSN',
  'CHUNKING',
  'BINARYMIME',
  'SMTPUTF8',
  'HELP',
  'VRFY',
  'ETRN',
  'EXPN',
  'DELIVERBY',
]
const mechanisms = ['PLAIN', 'LOGIN', 'CRAM-MD5', 'DIGEST-MD5', 'EXTERNAL']

/**
 * SMTP_Extensions: `STARTTLS`, `AUTH PLAIN`, … What is not known is advertised as it stands (momentum:
 * esmtp-listener-extensions), unless it is nearly a known word: a STARTTLS that was mistyped must not go unnoticed.
 */
export const extensions: Codec<readonly string[]> = listWhere((item, context) => {
  const text = item.text.trim().replace(/\s+/g, ' ')
  if (!/^[\x21-\x7e]+(?: [\x21-\x7e]+)*$/.test(text)) {
    return context.error(
      `takes extensions such as "STARTTLS" or "AUTH PLAIN", not ${quote(item.text)}`,
      item.at,
    )
  }
  const [verb = '', argument] = text.split(' ')
  const known = [...extensionWords, ...standardWords, 'AUTH']
  const wrong = (what: string, near: string) =>
    context.error(`has no extension ${quote(what)}${near}`, item.at)
  if (!known.includes(verb.toUpperCase())) {
    const near = nearest(verb, known)
    return near === undefined ? { value: text } : wrong(text, suggestion(verb, known))
  }
  if (verb.toUpperCase() !== 'AUTH') return { value: text }
  if (argument === undefined) return wrong(text, `; write one entry for each mechanism, such as "AUTH PLAIN"`)
  const unknown = text
    .split(' ')
    .slice(1)
    .find((each) => !mechanisms.includes(each.toUpperCase()))
  return unknown === undefined ? { value: text } : wrong(`AUTH ${unknown}`, suggestion(unknown, mechanisms))
})

/** Text of the context, as byte strings: Unicode enters as its UTF-8 octets, one character for each. */
export const contextValues: Codec<Dictionary> = (value, context) => {
  const result = dictionary(value, context)
  if (result === undefined) return undefined
  const bytes = Object.entries(result.value).map(([key, text]) => [
    key,
    Buffer.from(text, 'utf8').toString('latin1'),
  ])
  return { value: Object.freeze(Object.fromEntries(bytes) as Record<string, string>) }
}

/** A complete first reply of the server's own wording. */
export const banner: Codec<string> = scalar(
  'a reply that starts with 220, such as "220 mx.example.com ESMTP"',
  (text) => {
    const lines = text.replace(/(?:\r?\n)+$/, '').split(/\r?\n/)
    const good = lines.every((line, index) =>
      (index === lines.length - 1 ? /^220(?: [\x20-\x7e]*)?$/ : /^220-[\x20-\x7e]*$/).test(line),
    )
    return good ? lines.join('\r\n') : undefined
  },
)

/** EHLO_Hostname: `__hostname__` is the unset behaviour, `__message__` the sender's domain (momentum: config/ref-ehlo-hostname). */
export const ehloName: Codec<string | undefined> = (value, context) => {
  if (value.kind !== 'scalar' || !value.text.startsWith('__')) return hostname(value, context)
  const result = oneOf(['__hostname__', '__message__'], 'a host name, "__hostname__" or "__message__"')(
    value,
    context,
  )
  return result && { value: result.value === '__hostname__' ? undefined : result.value }
}

/** A name or an address; a port may follow, after brackets for an IPv6 address. Or a UNIX socket. */
export const nextHop: Codec<string> = scalar(
  '"host", "host:port", "[IPv6 address]:port" or "unix:/path"',
  (text) => (isUnixHop(text) ? text : parseNextHop(text)),
)

/** An absolute path that the system takes as the name of a socket; without `?`, which would look like parameters. */
function isUnixHop(text: string): boolean {
  return /^unix:\/[\x21-\x3e\x40-\x7e]+$/.test(text) && text.length <= 'unix:'.length + 107
}

/** Whom a message is from, as it stands in a header: an address, or a name and an address in angle brackets. */
export const originator: Codec<string> = scalar(
  'an address such as "mailer-daemon@example.com" or "Mail System <mailer-daemon@example.com>"',
  (text) => {
    const [, address = text] = /^[\w !#$%&'*+/=?^`{|}~.-]+ <([^<>]+)>$/.exec(text) ?? []
    return text.length <= 500 && parseMailbox(address) !== undefined ? text : undefined
  },
)

/** Name servers: addresses, since a name would need one. */
export const nameServers: Codec<readonly string[]> = listWhere((item, context) => {
  const { text, at } = item
  const hop = parseNextHop(text)
  const address = /^(?:\[(?<v6>[^\]]+)\]|(?<v4>[\d.]+))(?::\d+)?$/.exec(text)?.groups
  const isAddress = parseAddress(address?.['v6'] ?? address?.['v4'] ?? text) !== undefined
  if (hop !== undefined && isAddress) return { value: text }
  return context.error(
    `takes addresses such as 192.0.2.53, 192.0.2.53:5353 or "[2001:db8::53]:53", not ${quote(text)}`,
    at,
  )
})

/** Routes: next hops and `smtp://` URLs with parameters (momentum: config/ref-routes). */
export const routes: Codec<readonly string[]> = listWhere((item, context) => {
  const { text, at } = item
  const url = /^(?<scheme>[a-z0-9]+):\/\/(?<hop>[^/?]+)\/?(?:\?(?<query>\S*))?$/i.exec(text)?.groups
  const scheme = url?.['scheme']?.toLowerCase() ?? 'smtp'
  const isHop =
    text.toLowerCase() === '__mx__' || isUnixHop(text) || parseNextHop(url?.['hop'] ?? text) !== undefined
  if (scheme !== 'smtp' || !isHop) {
    return context.error(
      `takes hosts, addresses, "unix:/path", "__mx__" or smtp:// URLs, not ${quote(text)}`,
      at,
    )
  }
  const parameters = [...new URLSearchParams(url?.['query'] ?? '')]
  for (const [name, value] of parameters) {
    const form = Object.hasOwn(routeParameters, name) ? routeParameters[name] : undefined
    if (form === undefined) {
      return context.error(
        `has no parameter ${quote(name)}${suggestion(name, Object.keys(routeParameters))}`,
        at,
      )
    }
    if (!form.test(value))
      return context.error(`cannot have the ${name} ${quote(value)} in ${quote(text)}`, at)
  }
  return { value: text }
})

/** the forms of their values */
const routeParameters: Readonly<Record<string, RegExp>> = {
  pref: /^\d{1,9}$/,
  ttl: /^\d{1,9}$/,
  port: /^(?:[1-9]\d{0,3}|[1-5]\d{4}|6[0-4]\d{3}|65[0-4]\d{2}|655[0-2]\d|6553[0-5])$/,
  type: /^(?:a|mx)$/i,
}

function parseNextHop(text: string): string | undefined {
  const match = /^(?:\[(?<v6>[0-9a-f:.]+)\]|(?<host>[a-z0-9._-]+))(?::(?<port>\d{1,5}))?$/i.exec(text)
  if (match?.groups === undefined)
    return text.includes(':') && parseAddress(text) !== undefined ? text : undefined
  const { v6, host = '', port } = match.groups
  // digits and dots are meant as an address, and a name cannot end so (RFC 1123 §2.1)
  if (/^[\d.]+$/.test(host) && parseAddress(host) === undefined) return undefined
  if (port !== undefined && (Number(port) < 1 || Number(port) > 65535)) return undefined
  if (v6 !== undefined && (!v6.includes(':') || parseAddress(v6) === undefined)) return undefined
  return text
}

/** What a recipient's domain can be, in lower case: a name or an address literal. */
export function recipientDomain(text: string): string | undefined {
  return /^\[[0-9a-z.:-]+\]$/i.test(text) ? text.toLowerCase() : plainDomain(text)
}

function plainDomain(text: string): string | undefined {
  const lower = text.toLowerCase()
  return lower.length <= 254 && /^[a-z0-9_](?:[a-z0-9._-]*[a-z0-9_])?$/.test(lower) && !lower.includes('..')
    ? lower
    : undefined
}
