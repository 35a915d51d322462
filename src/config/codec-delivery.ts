/** Values that speak of the ways out: methods, ports, next hops. Strict like all codecs (`codec.ts`). */

import {
  type Codec,
  type CodecContext,
  count,
  dictionary,
  filePath,
  listWhere,
  oneOf,
  scalar,
} from './codec.ts'
import { suggestion } from './edit-distance.ts'
import { quote } from './render.ts'
import type { FilePath } from './settings.ts'
import type { PipeMacro, Template } from './settings-delivery.ts'
import type { DeliveryMethod } from './settings-session.ts'
import type { Scalar } from './tree.ts'

const methods = oneOf(['ESMTP', 'SMTP', 'LMTP'])
/** Momentum has them, and nothing here stands for them */
const otherMethods = ['ecstream', 'apn', 'gcm', 'mm7']

/** Momentum: config/ref-delivery-method */
export const deliveryMethod: Codec<DeliveryMethod> = (value, context) => {
  if (value.kind === 'scalar' && otherMethods.includes(value.text.toLowerCase())) {
    return context.error(
      `is "ESMTP", "SMTP" or "LMTP"; ${quote(value.text)} is not implemented, and mail must not leave by another way instead`,
      value.at,
    )
  }
  return methods(value, context)
}

const port = count('a port', { min: 1, max: 65535 })

/** RFC 2033 §5: never the port of SMTP, where a relay would take one answer for all recipients. */
export const lmtpPort: Codec<number> = (value, context) => {
  const result = port(value, context)
  if (result?.value !== 25) return result
  return context.error('cannot be 25, which is for SMTP alone (RFC 2033)', value.at)
}

/** `code`: exit status → reply (Momentum: modules/pipe-transport) */
export const exitCodes: Codec<Readonly<Record<string, string>>> = (value, context) => {
  const result = dictionary(value, context)
  if (result === undefined) return undefined
  for (const [status, reply] of Object.entries(result.value)) {
    if (!/^\d{1,3}$/.test(status) || Number(status) > 255)
      return context.error(`has exit statuses from 0 to 255 as keys, not ${quote(status)}`, value.at)
    if (!/^[245]\d\d(?: [\x20-\x7e]{0,200}[\x21-\x7e])?$/.test(reply))
      return context.error(
        `has replies that start with 2, 4 or 5, such as "450 try again later", not ${quote(reply)}`,
        value.at,
      )
  }
  return result
}

const macros: readonly PipeMacro[] = [
  'id',
  'sender',
  'sender_local',
  'sender_domain',
  'recipient',
  'recipient_local',
  'recipient_domain',
]

/**
 * Arguments of a program. A macro cannot stand where its value would be read as an option: behind a dash only after an
 * equals sign.
 */
export const programArguments: Codec<readonly Template[]> = listWhere((item, context) => {
  const found = template(item, context)
  if (found === undefined) return undefined
  const [first = ''] = found.parts
  const isOption = typeof first === 'string' && first.startsWith('-')
  const isAmongOptions = isOption && found.parts.length > 1 && !first.includes('=')
  if (!isAmongOptions) return { value: found }
  return context.error(
    `cannot have a macro in the option ${quote(item.text)}: write "--name=%{…}", or an argument of its own`,
    item.at,
  )
})

/** Variables of a program's environment. */
export const programEnvironment: Codec<Readonly<Record<string, Template>>> = (value, context) => {
  const result = dictionary(value, context)
  if (result === undefined || value.kind !== 'dictionary') return undefined
  const entries: [string, Template][] = []
  for (const { key, value: each } of value.entries) {
    if (!/^[A-Za-z_]\w*$/.test(key.text))
      return context.error(`has names of variables as keys, not ${quote(key.text)}`, key.at)
    const found = each.kind === 'scalar' ? template(each, context) : undefined
    if (found === undefined) return undefined
    entries.push([key.text, found])
  }
  return { value: Object.freeze(Object.fromEntries(entries)) }
}

function template(item: Scalar, context: CodecContext): Template | undefined {
  const { text, at } = item
  if (text.includes('\0')) return context.error('cannot hold a NUL', at)
  if (text !== text.trim())
    return context.error(`cannot begin or end with a blank, as ${quote(text)} does`, at)
  const parts: Template['parts'][number][] = []
  for (const [token] of text.matchAll(/%\{[^}]*\}|%%|%|[^%]+/g)) {
    const name = /^%\{([^}]*)\}$/.exec(token)?.[1]
    const macro = macros.find((each) => each === name)
    if (macro !== undefined) parts.push({ macro })
    else if (token === '%%') parts.push('%')
    else if (!token.startsWith('%')) parts.push(token)
    else {
      const near = name === undefined ? '; a percent sign is written %%' : suggestion(name, macros)
      return context.error(`has no macro ${quote(token)}${near}`, at)
    }
  }
  // a macro that was meant, and mistyped
  const stray = text.replace(/%%|%\{[^}]*\}/g, (macro) => macro.slice(2, -1))
  if (macros.some((each) => stray.includes(`{${each}`) || stray.includes(`${each}}`)))
    return context.error(`has braces about the name of a macro in ${quote(text)}: write %{…}`, at)
  return Object.freeze({ text, parts: Object.freeze(parts) })
}

/** Where messages are posted: nothing in it comes from a message. */
export const webhookUrl: Codec<string> = scalar(
  'a URL such as "https://app.example.com/mail", without a user, a password or a fragment',
  (text) => {
    const url =
      /^https?:\/\/[a-z0-9[][\x21-\x7e]{0,2000}$/i.test(text) && URL.canParse(text)
        ? new URL(text)
        : undefined
    if (url === undefined || url.username !== '' || url.password !== '' || text.includes('#'))
      return undefined
    return text
  },
)

/** One file, or two while a key is being replaced. */
export const keyFiles: Codec<readonly FilePath[]> = (value, context) => {
  const result = listWhere<FilePath>((item, inner) => filePath(item, inner))(value, context)
  if (result === undefined || (result.value.length >= 1 && result.value.length <= 2)) return result
  return context.error('is one file, or two while a key is being replaced', value.at)
}

/** Keys of the validation context. */
export const contextKeys: Codec<readonly string[]> = listWhere((item, context) =>
  /^[\x21-\x7e]{1,100}$/.test(item.text)
    ? { value: item.text }
    : context.error(`takes names of the context such as "tls_partner", not ${quote(item.text)}`, item.at),
)
