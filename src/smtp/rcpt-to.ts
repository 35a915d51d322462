/**
 * RCPT: RFC 5321 §4.1.1.3, RFC 3461 (NOTIFY, ORCPT). A recipient is one that ends here, or one that this client may relay to (`policy/relay.ts`
 * decides); then policy is asked.
 *
 * A client may name as many recipients as it likes; at most so many are kept, and the rest is told to come again
 * (RFC 5321 §4.5.3.1.10), so that memory stays flat.
 */

import type { DsnRequest, Mailbox } from '../mail/envelope.ts'
import type { MessageFacts } from '../policy/phases.ts'
import { decideRelay } from '../policy/relay.ts'
import type { Parameters } from '../wire/command.ts'
import { parseRcptCommand } from '../wire/command.ts'
import { parseNotify, parseOrcpt } from '../wire/dsn.ts'
import { UsualReply } from '../wire/reply.ts'
import { bouncePatternOf } from './bounces.ts'
import { listed } from './capabilities.ts'
import type { Command } from './command.ts'
import { command, wishedBy } from './command.ts'
import { codeOf } from './mail-from.ts'
import { badValue, checkLiteral, pathOptions, problemWith, qualify, unknownParameter } from './parameters.ts'
import { recipientLimit } from './recipient-list.ts'
import { refuse, tellRejection } from './reject.ts'
import type { Session, Transaction } from './session-state.ts'

interface RcptTo {
  readonly recipient: Mailbox
  readonly transaction: Transaction
  readonly dsn: RcptDsn
}

type RcptDsn = Pick<DsnRequest, 'notify' | 'originalRecipient'>

const ACCEPTED = new UsualReply(250, '2.1.5 RCPT TO accepted.')
/** nothing was asked about delivery reports */
const NO_DSN: RcptDsn = {}

export const rcptTo: Command = command<RcptTo, 'rcptto'>({
  verb: 'RCPT',
  needsHello: true,
  beforeTls: false,
  parse(args, session) {
    const { transaction } = session
    if (transaction === undefined) throw refuse(503, 'RCPT TO without MAIL FROM')
    const lent = transaction.scope.options.domain_for_unqualified_recipient_addresses
    if (transaction.reception !== undefined) throw refuse(503, '5.5.1 RCPT TO after BDAT')
    const utf8 = transaction.smtpUtf8 ? 'always' : undefined
    const parsed = parseRcptCommand(args, pathOptions(session, lent !== undefined, utf8))
    if (parsed.kind === 'problem') throw problemWith('RCPT TO', parsed)
    const dsn = readDsn(session, transaction, parsed.parameters)
    return { recipient: qualify(parsed.recipient, lent), transaction, dsn }
  },
  check(session, { recipient, transaction }) {
    checkLiteral(session, recipient, 'RCPT TO')
    checkLimits(session, transaction)
    checkRelay(session, recipient, transaction)
    checkBlackhole(session, recipient)
  },
  phase: 'rcptto',
  note(session, { recipient }, line) {
    setRecipientKeys(session.context.message, recipient, line)
    setCounts(session, 1)
  },
  facts: (session, { recipient, transaction }, line) => ({
    session: session.facts,
    message: factsOf(session, transaction, recipient),
    line,
  }),
  undo: (session) => setCounts(session, 0),
  proceed(session, { recipient, transaction, dsn }, answer) {
    if (answer.kind === 'discard') {
      tellRejection(session, { code: codeOf(answer.text), text: answer.text, module: answer.module })
      transaction.discarded = true
    }
    const line = session.context.get('message', 'rcptto_string')
    transaction.recipients.push({ mailbox: recipient, line, dsn })
    session.recipients += 1
    return wishedBy(answer) ?? ACCEPTED
  },
})

function readDsn(session: Session, { smtpUtf8 }: Transaction, parameters: Parameters): RcptDsn {
  let dsn = NO_DSN
  for (const [keyword, value] of parameters) {
    if (!listed(session, 'DSN') || (keyword !== 'NOTIFY' && keyword !== 'ORCPT')) {
      throw unknownParameter(keyword)
    }
    const notify = keyword === 'NOTIFY' ? parseNotify(value) : undefined
    const originalRecipient = keyword === 'ORCPT' ? parseOrcpt(value, smtpUtf8) : undefined
    if (notify !== undefined) dsn = { ...dsn, notify }
    else if (originalRecipient !== undefined) dsn = { ...dsn, originalRecipient }
    else throw badValue(keyword)
  }
  return dsn
}

/** The keys of one recipient (Momentum: 4-policy-context-mess). */
export function setRecipientKeys(keys: Map<string, string>, recipient: Mailbox, line: string): void {
  keys.set('rcptto_string', line)
  keys.set('rcptto_localpart', recipient.local)
  keys.set('rcptto_domain', recipient.domain)
}

export function hasRecipientKeys(
  keys: ReadonlyMap<string, string>,
  recipient: Mailbox,
  line: string,
): boolean {
  const { local, domain } = recipient
  return (
    keys.get('rcptto_string') === line &&
    keys.get('rcptto_localpart') === local &&
    keys.get('rcptto_domain') === domain
  )
}

function setCounts(session: Session, underWay: 0 | 1): void {
  session.context.set('connection', 'connection_rcpt_count', String(session.recipients + underWay))
  const inMessage = (session.transaction?.recipients.length ?? 0) + underWay
  session.context.set('connection', 'message_rcpt_count', String(inMessage))
}

function checkLimits(session: Session, transaction: Transaction): void {
  const { max_recipients_per_connection: onConnection } = session.scope.options
  if (onConnection > 0 && session.recipients >= onConnection) {
    throw refuse(452, '4.5.3 Service unavailable, recipients per connection limit reached')
  }
  if (transaction.recipients.length >= recipientLimit(session)) {
    throw refuse(452, '4.5.3 Service unavailable, recipients per message limit reached')
  }
}

function checkRelay(session: Session, recipient: Mailbox, transaction: Transaction): void {
  const decision = decideRelay({
    peer: session.peer,
    partner: session.partner,
    scope: session.scope,
    clientAddress: session.connection.remote.address,
    canRelay: session.canRelay,
    sender: transaction.sender,
    recipient,
    bouncePattern: bouncePatternOf(session, recipient.domain),
    local: session.services.local,
  })
  switch (decision) {
    case 'relay':
    case 'local':
      return
    case 'unknown-mailbox':
      throw refuse(550, '5.1.1 no such mailbox here', { module: 'core' })
    case 'denied':
      throw refuse(550, '5.7.1 relaying denied', { module: 'relay', state: 'relaying denied' })
  }
}

/** Momentum: config/ref-blackhole. Bindings are not chosen yet: theirs act when the message is sent. */
function checkBlackhole({ services }: Session, { domain }: Mailbox): void {
  const blackhole = services.outbound?.resolveOutbound(domain).options.blackhole ?? 'false'
  if (blackhole === 'true' || blackhole === 'inline')
    throw refuse(554, '5.7.0 [internal] Blackholed', { module: 'core' })
}

/** The message as it stands while its recipients are named. What a script changes here does not last. */
function factsOf(session: Session, transaction: Transaction, recipient: Mailbox): MessageFacts {
  return {
    id: transaction.id,
    sender: transaction.sender,
    recipient,
    headers: undefined,
    context: session.context,
    size: 0,
  }
}
