/** For transports whose routes name their hosts. */

import type { SmtpTransportOptions } from '../../src/delivery/attempt.ts'

export const noMx: SmtpTransportOptions['mx'] = {
  find: () => Promise.reject(new Error('MX records are not expected to be looked up')),
}
