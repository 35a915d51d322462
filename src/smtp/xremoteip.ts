/**
 * XREMOTEIP: Momentum's extension by which a trusted proxy names its client's address at any time
 * (4/esmtp-listener-extensions), only where SMTP_Extensions lists it. The client need not greet again; an open
 * transaction is dropped, because it was the other client's.
 */

import { normaliseAddress } from '../config/address.ts'
import { changeClient, checkTrust } from './change-client.ts'
import type { Command } from './command.ts'
import { command } from './command.ts'
import { refuse } from './reject.ts'

export const xremoteip: Command = command<string>({
  verb: 'XREMOTEIP',
  needsHello: false,
  beforeTls: false,
  parse(args, session) {
    checkTrust(session, 'XREMOTEIP')
    const address = normaliseAddress(args.trim())
    if (address === undefined || args.includes('%')) throw refuse(501, '5.5.4 XREMOTEIP takes an IP address')
    return address
  },
  check: () => undefined,
  async proceed(session, address) {
    const { local } = session.connection
    await changeClient(session, 'XREMOTEIP', {
      remote: { address, port: 0 },
      local,
      hello: session.hello,
      keys: new Map(),
    })
    return { code: 250, text: '2.0.0 OK' }
  },
})
