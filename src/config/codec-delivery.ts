/** Values that speak of the ways out: methods, ports, next hops. Strict like all codecs (`codec.ts`). */

import { type Codec, count, oneOf } from './codec.ts'
import { quote } from './render.ts'
import type { DeliveryMethod } from './settings-session.ts'

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
