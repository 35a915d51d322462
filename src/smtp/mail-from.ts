/**
 * MAIL: RFC 5321 §4.1.1.2, RFC 1870 (SIZE), RFC 6152 (BODY), RFC 4954 §5 (AUTH=), RFC 3461 (RET, ENVID), RFC 6531
 * (SMTPUTF8).
 */

import type { DsnRequest, Mailbox } from '../mail/envelope.ts'
import type { Parameters } from '../wire/command.ts'
import { parseMailCommand } from '../wire/command.ts'
import { parseEnvid, parseRet } from '../wire/dsn.ts'
import { UsualReply } from '../wire/reply.ts'
import { offeredMechanisms } from './auth/offer.ts'
import { listed } from './capabilities.ts'
import type { Command } from './command.ts'
import { command, wishedBy } from './command.ts'
import { followMessagePathway } from './consult.ts'
import { checkSender } from './origin.ts'
import { badValue, checkLiteral, pathOptions, problemWith, qualify, unknownParameter } from './parameters.ts'
import { checkSenderDomain } from './partner.ts'
import { refuse, tellRejection } from './reject.ts'
import type { Session } from './session-state.ts'
import { refuseIfSuperseded } from './simple.ts'

interface MailFrom {
  readonly sender: Mailbox | undefined
  readonly parameters: Parameters
  readonly asked: MailParameters
}

interface MailParameters {
  readonly size: number
  readonly bodyType: '7BIT' | '8BITMIME'
  readonly smtpUtf8: boolean
  readonly dsn: Pick<DsnRequest, 'ret' | 'envid'>
}

const ACCEPTED = new UsualReply(250, '2.1.0 MAIL FROM accepted')
/** of a command without parameters */
const NOTHING_ASKED: MailParameters = { size: 0, bodyType: '7BIT', smtpUtf8: false, dsn: {} }

export const mailFrom: Command = command<MailFrom, 'mailfrom'>({
  verb: 'MAIL',
  needsHello: true,
  beforeTls: false,
  parse(args, session) {
    const lent = session.scope.options.domain_for_unqualified_sender_address
    const utf8 = listed(session, 'SMTPUTF8') ? 'declared' : undefined
    const parsed = parseMailCommand(args, pathOptions(session, lent !== undefined, utf8))
    if (parsed.kind === 'problem') throw problemWith('MAIL FROM', parsed)
    const sender = parsed.sender === undefined ? undefined : qualify(parsed.sender, lent)
    return { sender, parameters: parsed.parameters, asked: readParameters(session, parsed.parameters) }
  },
  check,
  phase: 'mailfrom',
  note(session, { sender }, line) {
    const { context } = session
    context.clearMessage()
    context.connection.delete('message_rcpt_count')
    context.set('message', 'mailfrom_string', line)
    context.set('message', 'mailfrom_localpart', sender?.local ?? '')
    context.set('message', 'mailfrom_domain', sender?.domain ?? '')
    context.set('connection', 'connection_message_count', String(session.receptions + 1))
  },
  inform: (session, { sender }) => checkSender(session, sender),
  facts: (session, { sender, parameters }, line) => ({
    session: session.facts,
    line,
    sender,
    // most commands share one without any, which a policy must not be able to fill
    parameters: new Map(parameters),
  }),
  undo: (session) => session.resetTransaction(),
  proceed(session, { sender, asked: { bodyType, smtpUtf8, dsn } }, answer) {
    if (answer.kind === 'discard') {
      tellRejection(session, { code: codeOf(answer.text), text: answer.text, module: answer.module })
    }
    session.openTransaction({
      id: session.services.ids.next(),
      sender,
      bodyType,
      smtpUtf8,
      dsn,
      recipients: [],
      discarded: answer.kind === 'discard',
      scope: session.scope,
    })
    if (bodyType === '8BITMIME') session.context.set('message', '#8bitmime', 'true')
    followMessagePathway(session)
    return wishedBy(answer) ?? ACCEPTED
  },
})

function check(session: Session, { sender, asked: { size } }: MailFrom): void {
  const { options } = session.scope
  if (session.transaction !== undefined) throw refuse(501, '5.5.1 MAIL FROM already established')
  refuseIfSuperseded(session)
  const most = options.max_receptions_per_connection
  if (most > 0 && session.receptions >= most) {
    throw refuse(452, '4.5.3 Service unavailable, batch limit reached')
  }
  if (options.max_message_size > 0 && size > options.max_message_size) {
    throw refuse(552, '5.3.4 message size limit exceeded')
  }
  if (sender === undefined && !options.allow_null_envelope_sender) {
    throw refuse(550, '5.7.1 null envelope sender is not accepted')
  }
  if (sender !== undefined) checkLiteral(session, sender, 'MAIL FROM')
  checkSenderDomain(session, sender)
  if (!session.services.spool.hasRoom()) {
    throw refuse(452, '4.3.1 insufficient system storage', { fault: 'us', module: 'spool' })
  }
}

function readParameters(session: Session, parameters: Parameters): MailParameters {
  if (parameters.size === 0) return NOTHING_ASKED
  let size = 0
  let bodyType: MailParameters['bodyType'] = '7BIT'
  let smtpUtf8 = false
  let dsn: MailParameters['dsn'] = {}
  for (const [keyword, value] of parameters) {
    switch (keyword) {
      case 'SIZE':
        // RFC 1870 §4: at most 20 digits; a number beyond all integers is still a number
        if (value === undefined || !/^\d{1,20}$/.test(value)) throw badValue(keyword)
        size = Number(value)
        break
      case 'BODY':
        bodyType = readBodyType(value)
        break
      case 'AUTH':
        // RFC 4954 §5: taken where AUTH is known, and not believed
        if (offeredMechanisms(session).length === 0 || value === undefined) throw unknownParameter(keyword)
        break
      case 'SMTPUTF8':
        if (!listed(session, 'SMTPUTF8')) throw unknownParameter(keyword)
        if (value !== undefined) throw badValue(keyword)
        smtpUtf8 = true
        break
      case 'RET':
      case 'ENVID':
        if (!listed(session, 'DSN')) throw unknownParameter(keyword)
        dsn = { ...dsn, ...readDsn(keyword, value) }
        break
      default:
        throw unknownParameter(keyword)
    }
  }
  return { size, bodyType, smtpUtf8, dsn }
}

function readDsn(keyword: 'RET' | 'ENVID', value: string | undefined): MailParameters['dsn'] {
  const ret = keyword === 'RET' ? parseRet(value) : undefined
  if (ret !== undefined) return { ret }
  const envid = keyword === 'ENVID' ? parseEnvid(value) : undefined
  if (envid !== undefined) return { envid }
  throw badValue(keyword)
}

function readBodyType(value: string | undefined): MailParameters['bodyType'] {
  const type = value?.toUpperCase()
  if (type === '7BIT' || type === '8BITMIME') return type
  throw badValue('BODY')
}

/** The code that a discard's text starts with (Momentum: lua/ref-msg-discard). */
export function codeOf(text: string): number {
  const code = Number(/^[245]\d\d(?= |$)/.exec(text)?.[0])
  return Number.isNaN(code) ? 550 : code
}
