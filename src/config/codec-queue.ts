/** Values that speak of bindings and of rates. Strict like all codecs (`codec.ts`). */

import { formatAddress, parseAddress } from './address.ts'
import { type Codec, scalar } from './codec.ts'
import type { OutboundQueueValues, Throttle } from './settings-queue.ts'

/** `"N"` a second or `"N/secs"`; 0 takes back what a wider scope says (momentum: config/ref-outbound-throttle-messages). */
export const throttle: Codec<Throttle | undefined> = (value, context) => {
  const parsed = throttleText(value, context)
  return parsed && { value: parsed.value === 'none' ? undefined : parsed.value }
}

const throttleText = scalar<Throttle | 'none'>(
  'a number, or a number and seconds such as "100/60"',
  (text) => {
    const [, count = '', seconds = '1'] = /^(\d{1,9})(?:\s*\/\s*(\d{1,7}))?$/.exec(text) ?? []
    if (count === '' || Number(seconds) < 1) return undefined
    return Number(count) === 0 ? 'none' : Object.freeze({ count: Number(count), seconds: Number(seconds) })
  },
)

/** An address of this machine, or `*` for the one that the system chooses. */
export const localAddress: Codec<string | undefined> = (value, context) => {
  const parsed = addressText(value, context)
  return parsed && { value: parsed.value === '*' ? undefined : parsed.value }
}

const addressText = scalar('an IP address of this machine, or "*"', (text) => {
  const address = parseAddress(text.replace(/^\[(.*)\]$/, '$1'))
  return text === '*' ? text : address && formatAddress(address)
})

/** A number of retries, `auto` or `none`. */
export const retries: Codec<OutboundQueueValues['max_retries']> = scalar(
  'a whole number, "auto" or "none"',
  (text) => {
    const word = text.toLowerCase()
    if (word === 'auto' || word === 'none') return word
    return /^\d{1,9}$/.test(text) ? Number(text) : undefined
  },
)

/** A switch with two further words. */
export const blackhole: Codec<OutboundQueueValues['blackhole']> = scalar(
  '"true", "false", "inline" or "internal"',
  (text) => {
    const word = text.toLowerCase()
    if (word === 'inline' || word === 'internal') return word
    if (/^(?:on|true|enabled|1|yes)$/.test(word)) return 'true'
    return /^(?:off|false|disabled|0|no)$/.test(word) ? 'false' : undefined
  },
)
