/**
 * Values that say whose a certificate is. Strict like all codecs (`codec.ts`): names are compared whole, so nothing that
 * reads like a pattern is let in, and a list that is empty would select nothing or everything.
 */

import path from 'node:path'
import { domainToASCII } from 'node:url'
import { parseDomain, parseMailbox } from '../mail/address.ts'
import { normaliseAddress } from './address.ts'
import { type Codec, type CodecContext, filePath, listWhere, scalar } from './codec.ts'
import { nearest } from './edit-distance.ts'
import { quote } from './render.ts'
import type { WrittenPin } from './settings-partner.ts'
import type { Scalar } from './tree.ts'

type Item<T> = (item: Scalar, context: CodecContext) => { readonly value: T } | undefined

export function atLeastOne<T>(codec: Codec<readonly T[]>): Codec<readonly T[]> {
  return (value, context) => {
    const result = codec(value, context)
    if (result !== undefined && result.value.length === 0) {
      return context.error('is an empty list; leave the option out, or name what it is to hold', value.at)
    }
    return result
  }
}

/** RFC 4514; taken apart where certificates are read. */
export const distinguishedName: Item<string> = (item, context) => {
  const { text } = item
  if (text !== '' && text.includes('=') && !/\p{Cc}/u.test(text)) return { value: text }
  return context.error(`takes names such as "CN=Acme CA,O=Acme", not ${quote(text)}`, item.at)
}

export const alternativeDns: Item<string> = (item, context) => {
  if (item.text.includes('*')) {
    return context.error(
      `takes whole names, not ${quote(item.text)}: a certificate for many hosts is better told by a pin`,
      item.at,
    )
  }
  const name = asciiDomain(item.text)
  if (name !== undefined) return { value: name }
  return context.error(`takes host names such as "mx.example.com", not ${quote(item.text)}`, item.at)
}

export const alternativeEmail: Item<string> = (item, context) => {
  const mailbox = parseMailbox(item.text)
  const at = item.text.lastIndexOf('@')
  if (mailbox !== undefined && !item.text.includes('"')) {
    return { value: `${item.text.slice(0, at)}@${mailbox.domain}` }
  }
  return context.error(`takes addresses such as "gate@example.com", not ${quote(item.text)}`, item.at)
}

export const alternativeUri: Item<string> = (item, context) => {
  // what a certificate has of other characters reads as an escape, which no text here can mean
  if (/^[a-z][a-z0-9+.-]*:[!-[\]-~]+$/i.test(item.text) && item.text.length <= 500)
    return { value: item.text }
  return context.error(`takes URIs such as "spiffe://example.com/gate", not ${quote(item.text)}`, item.at)
}

export const alternativeIp: Item<string> = (item, context) => {
  const address = item.text.includes('%') ? undefined : normaliseAddress(item.text)
  if (address !== undefined) return { value: address }
  return context.error(`takes addresses such as "192.0.2.1", not ${quote(item.text)}`, item.at)
}

/** `example.com`, or `.example.com` for every subdomain. */
export const senderDomain: Item<string> = (item, context) => {
  const { text } = item
  const wrong = (hint: string) =>
    context.error(
      `takes domains such as "example.com", or ".example.com" for its subdomains, not ${quote(text)}${hint}`,
      item.at,
    )
  const starred = /^\*\.?([^*]+)$/.exec(text)?.[1]
  if (starred !== undefined) return wrong(`; did you mean ${quote(starred)} and ${quote(`.${starred}`)}?`)
  const dot = text.startsWith('.') ? '.' : ''
  const name = asciiDomain(text.slice(dot.length))
  return name === undefined ? wrong('') : { value: `${dot}${name}` }
}

/** The one in use, then its successor. */
export const pins: Codec<readonly WrittenPin[]> = (value, context) => {
  const result = atLeastOne(listWhere(pin))(value, context)
  if (result === undefined) return undefined
  if (result.value.length > 2) {
    return context.error('takes two pins at most: the one in use, then its successor', value.at)
  }
  const [first, second] = result.value.map((each) => JSON.stringify(each))
  if (first === second) return context.error('has the same pin twice; the second is the successor', value.at)
  return result
}

function pin(item: Scalar, context: CodecContext): { readonly value: WrittenPin } | undefined {
  const { text, at } = item
  const [, scheme = '', rest = ''] = /^([A-Za-z0-9-]+):(.*)$/s.exec(text) ?? []
  const kind = scheme.toLowerCase()
  if (kind === 'file') {
    const file = filePath({ ...item, text: rest }, context)
    return file && { value: { kind: 'file', file: file.value } }
  }
  const hex = rest.toLowerCase()
  const digits = /^[0-9a-f]{2}(?::[0-9a-f]{2})+$/.test(hex) ? hex.replaceAll(':', '') : hex
  if (kind === 'sha256') {
    if (/^[0-9a-f]{64}$/.test(digits)) return { value: { kind: 'sha256', hex: digits } }
    const wrong = /^[0-9a-f]*$/.test(digits)
      ? `has ${digits.length} hexadecimal digits, not 64`
      : 'is not hexadecimal'
    return context.error(`takes pins of 64 hexadecimal digits, and ${quote(text)} ${wrong}`, at)
  }
  return context.error(
    `takes pins such as "sha256:…" with 64 hexadecimal digits, or "file:partner.pem", not ${quote(text)}${hint(text, kind)}`,
    at,
  )
}

function hint(text: string, kind: string): string {
  if (/^[0-9a-f]{64}$/i.test(text)) return `; did you mean "sha256:${text.slice(0, 8)}…"?`
  if (kind === '' && path.extname(text) !== '') return `; did you mean ${quote(`file:${text}`)}?`
  const near = kind === '' ? undefined : nearest(kind, ['sha256', 'file'])
  return near === undefined ? '' : `; did you mean "${near}:…"?`
}

const FORMS = 'a date such as 2026-12-31, or a time such as 2026-12-31T12:00Z'

/** From the day's first moment on, in UTC. */
export const from: Codec<number> = scalar(FORMS, (text) => moment(text, 0))
/** Until the day's last moment, in UTC. */
export const until: Codec<number> = scalar(FORMS, (text) => moment(text, 86_400_000))

/** @param wholeDay what is added to a date without a time */
function moment(text: string, wholeDay: number): number | undefined {
  const [, date = '', time] = /^(\d{4}-\d\d-\d\d)(?:T(\d\d:\d\d(?::\d\d)?)Z)?$/.exec(text) ?? []
  const clock = time === undefined ? '00:00:00' : time.length === 5 ? `${time}:00` : time
  const iso = `${date}T${clock}.000Z`
  const at = Date.parse(iso)
  // 31 February reads as another day
  if (Number.isNaN(at) || new Date(at).toISOString() !== iso) return undefined
  return time === undefined ? at + wholeDay : at
}

/** In lower case, international labels in their xn-- form. */
function asciiDomain(text: string): string | undefined {
  // oxlint-disable-next-line no-control-regex -- all of ASCII
  const ascii = /^[\x00-\x7f]*$/.test(text) ? text : domainToASCII(text)
  const name = parseDomain(ascii)
  return name === undefined || name.startsWith('[') ? undefined : name
}
