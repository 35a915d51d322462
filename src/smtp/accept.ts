/**
 * What becomes of a message after its final dot: policy is asked (data, data_spool, then for every recipient
 * data_spool_each_rcpt and set_binding), the Received field goes on top, and the spool makes it durable. The 250 is
 * said only after that: what was answered 250 is kept.
 */

import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Authenticity } from '../authenticity/authenticity.ts'
import type { ConditionalKey } from '../authenticity/signing-keys.ts'
import { defaultEgress } from '../config/settings-queue.ts'
import type { DsnRequest, Envelope } from '../mail/envelope.ts'
import { HeaderBlock } from '../mail/headers.ts'
import type { Reply } from '../mail/status.ts'
import type { ValidationContext } from '../policy/context.ts'
import type { MessageFacts } from '../policy/phases.ts'
import type { NewMessage, ReceptionWriter } from '../spool/spool.ts'
import { SpoolFullError } from '../spool/spool.ts'
import { addResults, removeForgedResults } from './auth/results.ts'
import { takeBounces } from './bounces.ts'
import { replyOf } from './command.ts'
import type { Answer } from './consult.ts'
import { consult } from './consult.ts'
import { Injection, newMessage } from './inject.ts'
import { keepMessages } from './keep.ts'
import { codeOf } from './mail-from.ts'
import { BodyContent } from './message-content.ts'
import { addReceivedSpf, checkMessage } from './origin.ts'
import { setRecipientKeys } from './rcpt-to.ts'
import { receivedValue } from './received.ts'
import type { ReceptionState } from './reception-states.ts'
import { recipientLimit, TransactionRecipients } from './recipient-list.ts'
import { Refusal, refuse, spoolFull, tellRejection } from './reject.ts'
import type { AcceptedRecipient, Session, Transaction } from './session-state.ts'
import { CopySigner } from './signing.ts'

interface ReceivedMessage {
  readonly header: string
  readonly bodySize: number
  readonly writer: ReceptionWriter
}

/** The facts of a message that policy may change. */
type Message = { -readonly [K in keyof MessageFacts]: MessageFacts[K] } & {
  readonly headers: HeaderBlock
  readonly content: BodyContent
  /** signatures that scripts asked for */
  wishes?: readonly ConditionalKey[]
}

/** A header that may be shared by many copies, as bytes. */
type HeaderBytes = (headers: HeaderBlock) => Uint8Array

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
  await checkMessage(session, received)
  message.signatures = session.origin.message?.dkim?.signatures
  let answer: Answer = { kind: 'proceed', reply: undefined }
  for (const phase of ['data', 'rcptto_list', 'rcptto_list_final', 'data_spool'] as const) {
    const state = STATES[phase]
    if (phase === 'data_spool') closeRecipients(session, transaction, message)
    if (!session.services.policy.wants(phase)) continue
    const one = await inState(state, () => consult(session, phase, { session: session.facts, message }))
    if (one.kind === 'discard') {
      tellDiscard(session, one, state)
      return finish(session, thanks)
    }
    if (one.reply !== undefined) answer = one
  }
  if (transaction.recipients.length === 0) {
    const text = '550 5.7.0 discarded by policy: no recipient is left'
    tellDiscard(session, { kind: 'discard', text, module: 'scriptlet' }, STATES.rcptto_list_final)
    return finish(session, thanks)
  }
  const tellBounces = await takeBounces(session, transaction, message)
  const messages = await messagesOf(session, transaction, message, received)
  if (messages.length > 0) {
    await keep(session, received.writer, messages)
    session.kept += 1
  }
  tellBounces()
  return finish(session, replyOf(answer, thanks.code, thanks.text))
}

const STATES = {
  data: 'reading body',
  rcptto_list: 'rcptto list response',
  rcptto_list_final: 'rcptto list final response',
  data_spool: 'async body response',
} as const satisfies Readonly<Record<string, ReceptionState>>

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
  const injection = new Injection(session, transaction, headers)
  const { outbound } = session.services
  return {
    id: transaction.id,
    sender: transaction.sender,
    recipient: first?.mailbox,
    headers,
    context: session.context,
    size: received.header.length + 2 + received.bodySize,
    batchId: transaction.id,
    content: new BodyContent(received.writer),
    recipients: new TransactionRecipients(transaction, recipientLimit(session)),
    send: (mail) => injection.send(mail),
    create: () => newMessage(session, received.writer, injection),
    ...(outbound === undefined ? {} : { bindings: outbound }),
  }
}

/** One message for each recipient that policy lets pass. @throws Refusal when it lets none pass */
async function messagesOf(
  session: Session,
  transaction: Transaction,
  message: Message,
  { bodySize, writer }: ReceivedMessage,
): Promise<NewMessage[]> {
  const { policy } = session.services
  const asked = COPY_PHASES.some((phase) => policy.wants(phase))
  const bytes = headerBytes(session, transaction, message)
  const signer = new CopySigner(session, writer)
  const messages: NewMessage[] = []
  let octets = 0
  let refusal: Refusal | undefined
  for (const [index, recipient] of transaction.recipients.entries()) {
    // Scripts may take their time for each of a thousand recipients; other sessions have their turn in between.
    if (index > 0 && asked) await nextTurn()
    // The first message bears the batch's id, as in Momentum.
    const id = index === 0 ? transaction.id : session.services.ids.next()
    const copy = copyFor(session, message, { id, recipient })
    try {
      if (!(await passesForRecipient(session, copy))) continue
      requireBinding(session, copy)
    } catch (error) {
      if (!(error instanceof Refusal) || error.close) throw error
      const { reply, module } = error
      tellRejection(session, { ...reply, module, state: 'async body response', context: copy.context })
      refusal ??= error
      continue
    }
    const header = await signer.sign(copy, bytes(copy.headers))
    octets += header.length
    if (octets > session.limits.headerCopies) {
      throw refuse(552, '5.3.4 header too large for so many recipients', { state: 'reading body' })
    }
    const { replaced } = copy.content
    const size = header.length + (replaced?.length ?? bodySize)
    const dsn = { ...transaction.dsn, ...recipient.dsn }
    const envelope = envelopeOf(session, transaction, { ...copy, dsn }, size)
    messages.push({ envelope, header, ...(replaced === undefined ? {} : { body: replaced }) })
  }
  if (messages.length === 0 && refusal !== undefined) {
    const { reply, fault, module } = refusal
    throw new Refusal(reply, { fault, module, told: true })
  }
  return messages
}

/** A copy with a context of its own, which one recipient's policy may change. */
function copyFor(
  { services: { authenticity } }: Session,
  message: Message,
  { id, recipient }: { readonly id: string; readonly recipient: AcceptedRecipient },
): Message {
  const wishes: ConditionalKey[] = []
  const context = message.context.copy()
  setRecipientKeys(context.message, recipient.mailbox, recipient.line)
  return {
    ...message,
    id,
    recipient: recipient.mailbox,
    context,
    headers: message.headers.copy(),
    content: message.content.copy(),
    wishes,
    sign: authenticity?.signsForScripts === true ? signatureWishes(authenticity, wishes) : undefined,
  }
}

const MAX_WISHES = 10

function signatureWishes(authenticity: Authenticity, wishes: ConditionalKey[]): MessageFacts['sign'] {
  return async (wish) => {
    const key = await authenticity.keyFor(wish)
    if (wishes.length >= MAX_WISHES) throw new Error(`a message gets at most ${MAX_WISHES} signatures`)
    if (!wishes.includes(key)) wishes.push(key)
  }
}

/** What is asked about each recipient's copy. */
const COPY_PHASES = [
  'data_spool_each_rcpt',
  'each_rcpt_after',
  'set_binding',
  'final_validation2',
  'final_validation',
  'post_final_validation',
] as const

/** False when the copy is to be dropped in silence. @throws Refusal */
async function passesForRecipient(session: Session, message: Message): Promise<boolean> {
  for (const phase of COPY_PHASES) {
    if (!session.services.policy.wants(phase)) continue
    const answer = await inState('async body response', () =>
      consult(session, phase, { session: session.facts, message }),
    )
    if (answer.kind === 'discard') {
      tellDiscard(session, answer, 'async body response', message.context)
      return false
    }
  }
  return true
}

/** Momentum: config/ref-default-binding */
function requireBinding({ services: { outbound } }: Session, { egress }: Message): void {
  if (outbound === undefined) return
  if (egress !== undefined) {
    const known = outbound.findBinding(egress.binding, egress.bindingGroup)
    if (known?.bindingGroup === egress.bindingGroup) return
    const text = '4.3.0 [internal] policy chose a binding that is not there'
    throw refuse(451, text, { state: 'async body response' })
  }
  if (outbound.global.default_binding !== 'none') return
  throw refuse(451, '4.4.0 [internal] no binding was chosen for the message', {
    state: 'async body response',
  })
}

/** The header as it is kept. Copies that nobody edited share their bytes, however many recipients there are. */
function headerBytes(session: Session, transaction: Transaction, message: Message): HeaderBytes {
  const trace = (headers: HeaderBlock): Uint8Array => {
    if (transaction.scope.options.rfc2822_trace_headers) {
      headers.prepend('Received', receivedValue(session, transaction, message.sender))
    }
    addReceivedSpf(session, transaction, headers)
    addResults(session, transaction, headers)
    return headers.toBytes()
  }
  const shared = trace(message.headers.copy())
  return (headers) => (headers.edited ? trace(headers) : shared)
}

function envelopeOf(
  session: Session,
  transaction: Transaction,
  message: Message & { readonly dsn: DsnRequest },
  size: number,
): Envelope {
  const { connection, services } = session
  const { id, sender, recipient, context, content, dsn } = message
  if (recipient === undefined) throw new Error('policy left a message without a recipient')
  return {
    id,
    batchId: transaction.id,
    connectionId: connection.id,
    sender,
    recipient,
    bodyType: content.eightBit ? '8BITMIME' : transaction.bodyType,
    ...(transaction.smtpUtf8 ? { smtpUtf8: true } : {}),
    ...(Object.keys(dsn).length === 0 ? {} : { dsn }),
    receivedAt: services.clock(),
    size,
    client: connection.remote,
    local: connection.local,
    ...(message.egress ?? defaultEgress),
    ...(message.routingDomain === undefined ? {} : { routingDomain: message.routingDomain }),
    ...(message.priority === 1 ? { priority: 1 } : {}),
    connectionContext: context.snapshot('connection'),
    messageContext: context.snapshot('message'),
  }
}

async function keep(
  session: Session,
  writer: ReceptionWriter,
  messages: readonly NewMessage[],
): Promise<void> {
  try {
    await keepMessages(session, writer, messages)
  } catch (error) {
    if (error instanceof SpoolFullError) throw spoolFull(error)
    throw error
  }
}

/** The client has been served, whether or not something was kept. */
function finish(session: Session, reply: Reply): Reply {
  session.receptions += 1
  return reply
}

function tellDiscard(
  session: Session,
  { text, module }: Extract<Answer, { kind: 'discard' }>,
  state: ReceptionState,
  context: ValidationContext = session.context,
): void {
  tellRejection(session, { code: codeOf(text), text, module, state, context })
}

/** Refusals inside belong to this state. */
async function inState<T>(state: ReceptionState, work: () => T | Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    const { reply, fault, close, cause, module, told } = error
    throw new Refusal(reply, { fault, close, cause, module, told, state })
  }
}
