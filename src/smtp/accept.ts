/**
 * What becomes of a message after its final dot: policy is asked (data, data_spool, then for every recipient
 * data_spool_each_rcpt and set_binding), the Received field goes on top, and the spool makes it durable. The 250 is
 * said only after that: what was answered 250 is kept. Where there is nobody to ask and nothing to look up, only the
 * spool is waited for.
 */

import { HeaderBlock } from '../mail/headers.ts'
import type { Reply } from '../mail/status.ts'
import type { ReceptionWriter } from '../spool/spool.ts'
import { SpoolFullError } from '../spool/spool.ts'
import { removeForgedResults } from './auth/results.ts'
import { takeBounces } from './bounces.ts'
import { replyOf } from './command.ts'
import type { Answer } from './consult.ts'
import { copiesOf } from './copies.ts'
import { Injection, newMessage } from './inject.ts'
import { keepMessages } from './keep.ts'
import { BodyContent } from './message-content.ts'
import {
  askAbout,
  COPY_PHASES,
  isWanted,
  MESSAGE_PHASES,
  type Message,
  tellDiscard,
} from './message-phase.ts'
import { checkMessage } from './origin.ts'
import { setRecipientKeys } from './rcpt-to.ts'
import type { ReceptionState } from './reception-states.ts'
import { recipientLimit, TransactionRecipients } from './recipient-list.ts'
import { refuse, spoolFull } from './reject.ts'
import type { Session, Transaction } from './session-state.ts'

interface ReceivedMessage {
  readonly header: string
  readonly bodySize: number
  readonly writer: ReceptionWriter
}

const NO_RECIPIENT = {
  kind: 'discard',
  text: '550 5.7.0 discarded by policy: no recipient is left',
  module: 'scriptlet',
} as const

/** @throws Refusal when the message is not taken */
export async function acceptMessage(
  session: Session,
  transaction: Transaction,
  received: ReceivedMessage,
): Promise<Reply> {
  const headers = new HeaderBlock(received.header)
  refuseLoop(transaction, headers)
  removeForgedResults(session, transaction, headers)
  const message = messageOf(session, transaction, received, headers)
  const thanks = { code: 250, text: `2.0.0 message ${transaction.id} accepted` }
  if (transaction.discarded) return finish(session, thanks)
  const checks = checkMessage(session, received)
  if (checks !== undefined) await checks
  message.signatures = session.origin.message?.dkim?.signatures
  let answer: Answer = PROCEED
  if (isWanted(session, MESSAGE_PHASES)) answer = await askPolicy(session, transaction, message)
  else closeRecipients(session, transaction, message)
  if (answer.kind === 'discard') return finish(session, thanks)
  if (transaction.recipients.length === 0) {
    tellDiscard(session, NO_RECIPIENT, STATES.rcptto_list_final)
    return finish(session, thanks)
  }
  const bounces = takeBounces(session, transaction, message)
  const tellBounces = bounces === undefined ? undefined : await bounces
  const copies = copiesOf(session, transaction, message, received)
  const messages = copies instanceof Promise ? await copies : copies
  if (messages.length > 0) {
    try {
      await keepMessages(session, received.writer, messages)
    } catch (error) {
      throw error instanceof SpoolFullError ? spoolFull(error) : error
    }
    session.kept += 1
  }
  tellBounces?.()
  return finish(session, replyOf(answer, thanks.code, thanks.text))
}

const PROCEED: Answer = { kind: 'proceed', reply: undefined }

const STATES = {
  data: 'reading body',
  rcptto_list: 'rcptto list response',
  rcptto_list_final: 'rcptto list final response',
  data_spool: 'async body response',
} as const satisfies Readonly<Record<(typeof MESSAGE_PHASES)[number], ReceptionState>>

/** What policy says of the message, before there is a copy for each recipient. @throws Refusal */
async function askPolicy(session: Session, transaction: Transaction, message: Message): Promise<Answer> {
  let answer = PROCEED
  for (const phase of MESSAGE_PHASES) {
    const state = STATES[phase]
    if (phase === 'data_spool') closeRecipients(session, transaction, message)
    if (!session.services.policy.wants(phase)) continue
    const one = await askAbout(session, phase, { message, state })
    if (one.kind === 'discard') {
      tellDiscard(session, one, state)
      return one
    }
    if (one.reply !== undefined) answer = one
  }
  return answer
}

/** From here on the recipients are what they are, and the first of them may be another one. */
function closeRecipients(session: Session, transaction: Transaction, message: Message): void {
  message.recipients = undefined
  const [first] = transaction.recipients
  message.recipient = first?.mailbox
  if (first !== undefined) setRecipientKeys(session.context.message, first.mailbox, first.line)
}

/** RFC 5321 §6.3. */
function refuseLoop({ scope }: Transaction, headers: HeaderBlock): void {
  const most = scope.options.max_received_headers
  if (most > 0 && headers.count('received') > most) {
    throw refuse(554, '5.4.6 too many Received headers: mail loop', { state: 'reading body' })
  }
}

function messageOf(
  session: Session,
  transaction: Transaction,
  received: ReceivedMessage,
  headers: HeaderBlock,
): Message {
  const first = transaction.recipients[0]
  if (first !== undefined) setRecipientKeys(session.context.message, first.mailbox, first.line)
  const message: Message = {
    id: transaction.id,
    sender: transaction.sender,
    recipient: first?.mailbox,
    headers,
    context: session.context,
    size: received.header.length + 2 + received.bodySize,
    batchId: transaction.id,
    content: new BodyContent(received.writer),
    signatures: undefined,
  }
  if (isWanted(session, MESSAGE_PHASES) || isWanted(session, COPY_PHASES))
    Object.assign(message, meansOf(session, transaction, received, headers))
  return message
}

/** What only policy has a use for. */
function meansOf(
  session: Session,
  transaction: Transaction,
  { writer }: ReceivedMessage,
  headers: HeaderBlock,
): Partial<Message> {
  const injection = new Injection(session, transaction, headers)
  const { outbound } = session.services
  return {
    recipients: new TransactionRecipients(transaction, recipientLimit(session)),
    send: (mail) => injection.send(mail),
    create: () => newMessage(session, writer, injection),
    ...(outbound === undefined ? {} : { bindings: outbound }),
  }
}

/** The client has been served, whether or not something was kept. */
function finish(session: Session, reply: Reply): Reply {
  session.receptions += 1
  return reply
}
