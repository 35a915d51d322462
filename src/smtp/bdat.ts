/**
 * BDAT: RFC 3030, without BINARYMIME: what comes is text by the same rules as after DATA.
 *
 * A chunk's octets are read whatever the answer is, so that they are never taken for commands; where that cannot be done,
 * because the count makes no sense or is too large to be thrown away, the connection ends with the refusal. After a chunk
 * that was refused the transaction is over: what is left of it in the pipeline is read and answered 503.
 */

import type { Reply } from '../mail/status.ts'
import { parseBdat } from '../wire/chunk.ts'
import { acceptMessage } from './accept.ts'
import { listed } from './capabilities.ts'
import type { Command } from './command.ts'
import { requireReady } from './command.ts'
import { MessageReception, skipChunk } from './message-reception.ts'
import { Refusal, refuse } from './reject.ts'
import type { Session, Transaction } from './session-state.ts'
import { endTransaction } from './session-state.ts'

export const bdat: Command = {
  verb: 'BDAT',
  phase: undefined,
  async run(session, args) {
    session.takeBack = endTransaction
    const chunk = parseBdat(args)
    if (chunk === undefined) throw refuse(501, '5.5.4 invalid BDAT', { close: true })
    const transaction = ready(session)
    if (transaction instanceof Refusal) {
      await skipChunk(session, chunk.octets, transaction)
      throw transaction
    }
    const reception = receptionOf(session, transaction)
    await reception.receiveChunk(chunk.octets)
    if (!chunk.last) return { code: 250, text: `2.0.0 ${chunk.octets} octets received` }
    return await finish(session, transaction, reception)
  },
}

async function finish(
  session: Session,
  transaction: Transaction,
  reception: MessageReception,
): Promise<Reply> {
  try {
    await reception.endChunks()
    return await acceptMessage(session, transaction, reception.message())
  } finally {
    await reception.drop()
    session.resetTransaction()
  }
}

/** The transaction that a chunk belongs to, or why there can be none. */
function ready(session: Session): Transaction | Refusal {
  if (!listed(session, 'CHUNKING')) return refuse(502, '5.5.1 BDAT is not offered')
  try {
    requireReady(session, { needsHello: true, beforeTls: false })
  } catch (error) {
    if (error instanceof Refusal) return error
    throw error
  }
  const { transaction } = session
  if (transaction === undefined) return refuse(503, '5.5.1 BDAT without MAIL FROM')
  if (transaction.recipients.length === 0) return refuse(503, '5.5.1 BDAT without RCPT TO')
  return transaction
}

function receptionOf(session: Session, transaction: Transaction): MessageReception {
  if (transaction.reception instanceof MessageReception) return transaction.reception
  const reception = new MessageReception(session, transaction)
  transaction.reception = reception
  return reception
}
