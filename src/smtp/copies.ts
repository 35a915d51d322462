/**
 * The copies of a message, one for each recipient, as they go into the spool: what policy makes of each, its header with
 * the trace fields on top, its signatures, its envelope.
 *
 * One recipient's policy changes nothing of another's copy. Where no policy is asked about copies and nothing signs, all
 * are alike but for the recipient, and there is nothing to wait for.
 */

import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Authenticity } from '../authenticity/authenticity.ts'
import type { ConditionalKey } from '../authenticity/signing-keys.ts'
import { defaultEgress } from '../config/settings-queue.ts'
import type { ContextSnapshot, DsnRequest, Envelope, Mailbox } from '../mail/envelope.ts'
import type { HeaderBlock } from '../mail/headers.ts'
import { snapshotOf, type ValidationContext } from '../policy/context.ts'
import type { MessageFacts } from '../policy/phases.ts'
import type { NewMessage, ReceptionWriter } from '../spool/spool.ts'
import { addResults } from './auth/results.ts'
import { askAbout, COPY_PHASES, isWanted, type Message, tellDiscard } from './message-phase.ts'
import { addReceivedSpf } from './origin.ts'
import { hasRecipientKeys, setRecipientKeys } from './rcpt-to.ts'
import { receivedValue } from './received.ts'
import { Refusal, refuse, tellRejection } from './reject.ts'
import type { AcceptedRecipient, Session, Transaction } from './session-state.ts'
import { CopySigner } from './signing.ts'

/** A header that may be shared by many copies, as bytes. */
type HeaderBytes = (headers: HeaderBlock) => Uint8Array

interface ReceivedBody {
  readonly bodySize: number
  readonly writer: ReceptionWriter
}

/**
 * One message for each recipient that policy lets pass. A promise only where policy is asked, or something may be signed.
 * @throws Refusal when policy lets none pass, and when all headers together are too large
 */
export function copiesOf(
  session: Session,
  transaction: Transaction,
  message: Message,
  received: ReceivedBody,
): readonly NewMessage[] | Promise<readonly NewMessage[]> {
  const { outbound, authenticity } = session.services
  const isBound = message.egress === undefined && outbound?.global.default_binding !== 'none'
  return isBound && authenticity?.signs !== true && !isWanted(session, COPY_PHASES)
    ? plainCopies(session, transaction, message, received)
    : askedCopies(session, transaction, message, received)
}

/** All have the same header and the same body. */
function plainCopies(
  session: Session,
  transaction: Transaction,
  message: Message,
  { bodySize }: ReceivedBody,
): readonly NewMessage[] {
  const header = traced(session, transaction, message, message.headers.copy())
  if (header.length * transaction.recipients.length > session.limits.headerCopies) throw tooManyHeaders()
  const { replaced } = message.content
  const size = header.length + (replaced?.length ?? bodySize)
  const connectionContext = message.context.snapshot('connection')
  return transaction.recipients.map((recipient, index) => {
    const envelope = envelopeOf(session, transaction, message, {
      id: idOf(session, transaction, index),
      recipient: recipient.mailbox,
      dsn: dsnOf(transaction, recipient),
      size,
      connectionContext,
      messageContext: contextFor(message.context, recipient),
    })
    return replaced === undefined ? { envelope, header } : { envelope, header, body: replaced }
  })
}

/** The keys of a copy's context, which nobody can change any more. */
function contextFor(
  { message: keys }: ValidationContext,
  { mailbox, line }: AcceptedRecipient,
): ContextSnapshot {
  if (hasRecipientKeys(keys, mailbox, line)) return snapshotOf(keys)
  const own = new Map(keys)
  setRecipientKeys(own, mailbox, line)
  return snapshotOf(own)
}

async function askedCopies(
  session: Session,
  transaction: Transaction,
  message: Message,
  { bodySize, writer }: ReceivedBody,
): Promise<readonly NewMessage[]> {
  const asked = isWanted(session, COPY_PHASES)
  const bytes = headerBytes(session, transaction, message)
  const signer = new CopySigner(session, writer)
  const messages: NewMessage[] = []
  let octets = 0
  let refusal: Refusal | undefined
  for (const [index, recipient] of transaction.recipients.entries()) {
    // Scripts may take their time for each of a thousand recipients; other sessions have their turn in between.
    if (index > 0 && asked) await nextTurn()
    const copy = copyFor(session, message, { id: idOf(session, transaction, index), recipient })
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
    if (octets > session.limits.headerCopies) throw tooManyHeaders()
    const { replaced } = copy.content
    const envelope = envelopeOf(session, transaction, copy, {
      id: copy.id,
      recipient: copy.recipient,
      dsn: dsnOf(transaction, recipient),
      size: header.length + (replaced?.length ?? bodySize),
      connectionContext: copy.context.snapshot('connection'),
      messageContext: copy.context.snapshot('message'),
    })
    messages.push(replaced === undefined ? { envelope, header } : { envelope, header, body: replaced })
  }
  if (messages.length === 0 && refusal !== undefined) {
    const { reply, fault, module } = refusal
    throw new Refusal(reply, { fault, module, told: true })
  }
  return messages
}

/** The first message bears the batch's id, as in Momentum. */
function idOf({ services }: Session, transaction: Transaction, index: number): string {
  return index === 0 ? transaction.id : services.ids.next()
}

function dsnOf({ dsn: ofAll }: Transaction, { dsn: own }: AcceptedRecipient): DsnRequest | undefined {
  const dsn = { ...ofAll, ...own }
  return Object.keys(dsn).length === 0 ? undefined : dsn
}

function tooManyHeaders(): Refusal {
  return refuse(552, '5.3.4 header too large for so many recipients', { state: 'reading body' })
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

/** False when the copy is to be dropped in silence. @throws Refusal */
async function passesForRecipient(session: Session, message: Message): Promise<boolean> {
  for (const phase of COPY_PHASES) {
    if (!session.services.policy.wants(phase)) continue
    const answer = await askAbout(session, phase, { message, state: 'async body response' })
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
  const shared = traced(session, transaction, message, message.headers.copy())
  return (headers) => (headers.edited ? traced(session, transaction, message, headers) : shared)
}

/** Puts our fields on top. */
function traced(
  session: Session,
  transaction: Transaction,
  { sender }: Message,
  headers: HeaderBlock,
): Uint8Array {
  if (transaction.scope.options.rfc2822_trace_headers)
    headers.prepend('Received', receivedValue(session, transaction, sender))
  addReceivedSpf(session, transaction, headers)
  addResults(session, transaction, headers)
  return headers.toBytes()
}

/** What differs from one copy to the next. */
interface CopyFacts {
  readonly id: string
  readonly recipient: Mailbox | undefined
  readonly dsn: DsnRequest | undefined
  readonly size: number
  readonly connectionContext: ContextSnapshot
  readonly messageContext: ContextSnapshot
}

function envelopeOf(
  { connection, services }: Session,
  transaction: Transaction,
  { sender, content, egress = defaultEgress, routingDomain, priority }: Message,
  { id, recipient, dsn, size, connectionContext, messageContext }: CopyFacts,
): Envelope {
  if (recipient === undefined) throw new Error('policy left a message without a recipient')
  const envelope: { -readonly [K in keyof Envelope]: Envelope[K] } = {
    id,
    batchId: transaction.id,
    connectionId: connection.id,
    sender,
    recipient,
    bodyType: content.eightBit ? '8BITMIME' : transaction.bodyType,
    receivedAt: services.clock(),
    size,
    client: connection.remote,
    local: connection.local,
    bindingGroup: egress.bindingGroup,
    binding: egress.binding,
    connectionContext,
    messageContext,
  }
  if (transaction.smtpUtf8) envelope.smtpUtf8 = true
  if (dsn !== undefined) envelope.dsn = dsn
  if (routingDomain !== undefined) envelope.routingDomain = routingDomain
  if (priority === 1) envelope.priority = 1
  return envelope
}
