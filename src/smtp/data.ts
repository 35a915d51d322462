/**
 * DATA: RFC 5321 §4.1.1.4. Takes a message off the wire (`message-reception.ts`); `accept.ts` decides what becomes of it.
 */

import { UsualReply } from '../wire/reply.ts'
import { acceptMessage } from './accept.ts'
import type { Command } from './command.ts'
import { command, noArguments } from './command.ts'
import { MessageReception } from './message-reception.ts'
import { refuse } from './reject.ts'
import { endTransaction } from './session-state.ts'

const GO_AHEAD = new UsualReply(354, 'continue.  finished with "\\r\\n.\\r\\n"')

export const data: Command = command({
  verb: 'DATA',
  needsHello: true,
  beforeTls: false,
  parse: noArguments('5.5.4 unexpected argument to DATA'),
  check(session) {
    const { transaction } = session
    if (transaction === undefined) throw refuse(503, '5.5.1 DATA without MAIL FROM')
    if (transaction.recipients.length === 0) throw refuse(503, '5.5.1 DATA without RCPT TO')
    // RFC 3030 §2: the transaction is over
    if (transaction.reception !== undefined) {
      session.takeBack = endTransaction
      throw refuse(503, '5.5.1 DATA after BDAT')
    }
  },
  async proceed(session) {
    const { transaction, io } = session
    if (transaction === undefined) throw refuse(503, '5.5.1 DATA without MAIL FROM')
    io.send(GO_AHEAD.lines)
    const stalled = io.flush()
    if (stalled !== undefined) await stalled
    // Whatever happens from here on, the transaction is used up (RFC 5321 §4.1.1.4).
    session.takeBack = endTransaction
    const reception = new MessageReception(session, transaction)
    try {
      await reception.receive()
      // The final dot was read: from here on the session is in step again whatever fails.
      const reply = await acceptMessage(session, transaction, reception.message())
      session.resetTransaction()
      return reply
    } finally {
      await reception.drop()
    }
  },
})
