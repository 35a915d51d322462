/** Values that speak of TLS. A word that is not known is an error and never a weaker setting. */

import { type Codec, count, listWhere, oneOf, scalar } from './codec.ts'
import { suggestion } from './edit-distance.ts'
import { quote } from './render.ts'
import type { VerifyMode } from './settings.ts'

/** TLS_Verify_Mode: `optional` restores the unset behaviour in a narrower scope. */
export const verifyMode: Codec<VerifyMode | undefined> = (value, context) => {
  const result = verifyWord(value, context)
  return result && { value: result.value === 'optional' ? undefined : result.value }
}

/** TLS_Verify_Depth: `unlimited` restores the unset behaviour in a narrower scope. */
export const verifyDepth: Codec<number | undefined> = (value, context) => {
  const result = depthText(value, context)
  return result && { value: result.value === 'unlimited' ? undefined : result.value }
}

/** `+ALL:-TLSv1.0`; in any case, kept in OpenSSL's spelling (momentum: config/tls-protocols). */
export const protocols: Codec<string> = (value, context) => {
  if (value.kind !== 'scalar') return context.error('is a text such as "+ALL:-TLSv1.0:-TLSv1.1"', value.at)
  const result: string[] = []
  for (const part of value.text.split(':')) {
    const [, sign = '', name = ''] = /^([+-]?)(.*)$/.exec(part.trim()) ?? []
    const known = protocolNames.find((each) => each.toLowerCase() === name.toLowerCase())
    if (sign === '' || known === undefined) {
      const hint = known === undefined ? suggestion(name, protocolNames) : `; did you mean "+${known}"?`
      return context.error(
        `is a text such as "+ALL:-TLSv1.0:-TLSv1.1", and ${quote(part)} is no part of one${hint}`,
        value.at,
      )
    }
    result.push(`${sign}${known}`)
  }
  return { value: result.join(':') }
}

/** Cipher suites of TLS 1.3, all of which OpenSSL has (momentum: config/tlsv13-ciphersuites). */
export const tls13Suites: Codec<string> = (value, context) => {
  if (value.kind !== 'scalar') return context.error('is a list of suites with ":" between them', value.at)
  const result: string[] = []
  for (const part of value.text.split(':')) {
    const name = part.trim().toUpperCase()
    if (!suiteNames.includes(name)) {
      return context.error(`has no suite ${quote(part)}${suggestion(part, suiteNames)}`, value.at)
    }
    result.push(name)
  }
  return { value: result.join(':') }
}

/** An OpenSSL cipher list; `DEFAULT` is the unset behaviour. OpenSSL itself judges the words when it loads them. */
export const ciphers: Codec<string | undefined> = (value, context) => {
  const result = scalar('an OpenSSL cipher list', (text) => (/^[\x21-\x7e]+$/.test(text) ? text : undefined))(
    value,
    context,
  )
  return result && { value: result.value.toUpperCase() === 'DEFAULT' ? undefined : result.value }
}

/** Groups with `:` between them, no blanks, no empty items (momentum: config/tls-ec-curve-names). */
export const curves: Codec<string> = scalar('a list of curves or groups with ":" between them', (text) =>
  /^[A-Za-z0-9_-]+(?::[A-Za-z0-9_-]+)*$/.test(text) ? text : undefined,
)

/** TLS_Expiry_Warning: days, or `none`. Descending, each once. */
export const warningDays: Codec<readonly number[]> = (value, context) => {
  if (value.kind === 'scalar' && value.text.toLowerCase() === 'none') return { value: Object.freeze([]) }
  const days = listWhere(count('"none", or numbers of days', { min: 1, max: 3650 }))(value, context)
  return days && { value: Object.freeze([...new Set(days.value)].toSorted((a, b) => b - a)) }
}

const protocolNames = ['ALL', 'SSLv2', 'SSLv3', 'TLSv1.0', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3']

const suiteNames = [
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_128_CCM_8_SHA256',
  'TLS_AES_128_CCM_SHA256',
]

const depthText = scalar('a number of CAs from 0 to 8, or "unlimited"', (text) => {
  if (text.toLowerCase() === 'unlimited') return 'unlimited'
  return /^[0-8]$/.test(text) ? Number(text) : undefined
})

const verifyWord = oneOf(['require', 'none', 'optional'], '"require" or "none"')
