/**
 * The options about bounces and other notices, those that come in, and about eight-bit mail on its way out (momentum:
 * config/ref-generate-bounces, ref-mailerdaemon, ref-bounces-inline-original, ref-mdn-failures-notify,
 * ref-generate-delay-dsn, modules/delay-dsn, ref-bounce-pattern, ref-bounce-behavior, ref-send-8-bitmime,
 * ref-transform-8-bitmime-content).
 */

import { parseMailbox } from '../mail/address.ts'
import { bool, type Codec, listWhere, longSeconds, oneOf, scalar } from './codec.ts'
import { originator } from './codec-mail.ts'
import { destinationScopes, domainScopes, type OptionTable } from './option-row.ts'
import { quote } from './render.ts'
import type { NoticeValues } from './settings-notices.ts'

const mailbox: Codec<string> = scalar('an address such as "postmaster@example.com"', (text) =>
  parseMailbox(text) === undefined ? undefined : text,
)

const pattern: Codec<string> = scalar('a regular expression such as "^bounces-[0-9]+@"', (text) => {
  try {
    return text.length <= 500 && new RegExp(text) ? text : undefined
  } catch {
    return undefined
  }
})

export const noticeOptions: OptionTable<NoticeValues> = {
  generate_bounces: { codec: bool, default: true, scopes: destinationScopes },
  mailerdaemon: { codec: originator, default: undefined, scopes: destinationScopes },
  bounces_inline_original: {
    codec: oneOf(['none', 'headers', 'all']),
    default: 'headers',
    scopes: destinationScopes,
  },
  mdn_failures_notify: { codec: mailbox, default: undefined, scopes: destinationScopes },
  generate_delay_dsn: { codec: bool, default: false, scopes: destinationScopes },
  delay_dsn_retry_interval: { codec: longSeconds, default: 3600, scopes: destinationScopes },
  delay_dsn_max_retry_interval: { codec: longSeconds, default: 43_200, scopes: destinationScopes },
  send_8bitmime: { codec: oneOf(['no', 'ifavailable']), default: 'ifavailable', scopes: destinationScopes },
  transform_8bitmime_content: {
    codec: oneOf(['no', 'ifneeded', 'strict', 'strip']),
    default: 'ifneeded',
    scopes: destinationScopes,
  },
  bounce_pattern: { codec: pattern, default: undefined, scopes: domainScopes },
  bounce_behavior: { codec: oneOf(['pass', 'blackhole']), default: 'pass', scopes: domainScopes },
}

/** Bounce_Suppress_List: addresses, and `@domain` for all of a domain, in lower case; commas may part them. */
export const suppressList: Codec<readonly string[]> = (value, context) => {
  const parts = listWhere((item) => ({ value: { item, texts: item.text.split(',') } }))(value, context)
  if (parts === undefined) return undefined
  const list: string[] = []
  for (const { item, texts } of parts.value) {
    for (const text of texts.map((each) => each.trim().toLowerCase())) {
      if (text === '') continue
      const isGood = parseMailbox(text.startsWith('@') ? `x${text}` : text) !== undefined
      if (!isGood) {
        return context.error(`takes addresses and "@example.com", not ${quote(text)}`, item.at)
      }
      list.push(text)
    }
  }
  return { value: Object.freeze(list) }
}
