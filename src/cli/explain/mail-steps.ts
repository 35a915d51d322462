/** What becomes of a login and of the mail that the client wants to send. */

import { describeOrigin } from '../../config/diagnostic.ts'
import { displayName } from '../../config/known-names.ts'
import type { Settings } from '../../config/settings.ts'
import { type NextHop, Router } from '../../delivery/route.ts'
import type { Mailbox } from '../../mail/envelope.ts'
import { relayGrant } from '../../policy/relay.ts'
import { offeredMechanisms } from '../../smtp/auth/offer.ts'
import { bouncePatternOf } from '../../smtp/bounces.ts'
import type { Session } from '../../smtp/session-state.ts'
import { playMechanism } from './assumed-login.ts'
import type { Conversation, Reply } from './conversation.ts'
import { fromBytes } from './document.ts'
import type { Steps } from './step-builder.ts'

export interface Talk {
  readonly steps: Steps
  readonly session: Session
  readonly conversation: Conversation
}

/** EXTERNAL where it is offered, else the first mechanism that can be played. @param user a byte string */
export async function explainLogin({ steps, session, conversation }: Talk, user: string): Promise<Reply> {
  steps.begin('auth', `Login as ${fromBytes(user)}`)
  const offered = offeredMechanisms(session)
  steps.detail('offered', offered.length === 0 ? 'no mechanism' : offered.join(', '))
  const name = offered.includes('EXTERNAL')
    ? 'EXTERNAL'
    : (offered.find((each) => playMechanism(each, user)) ?? 'PLAIN')
  const played = playMechanism(name, user)
  if (offered.length > 0 && !offered.includes(name)) {
    steps.detail('not explained', `${offered.join(', ')} cannot be played without a password`)
    return { code: undefined, lines: [] }
  }
  const initial = played?.initial === undefined ? '' : ` ${base64(played.initial)}`
  const secret =
    name === 'EXTERNAL' ? initial : initial === '' ? '' : ' (a password that is assumed to be right)'
  let reply = await conversation.say(`AUTH ${name}${initial}`, `AUTH ${name}${secret}`)
  for (const answer of played?.answers ?? []) {
    if (reply.code !== 334) break
    const challenge = Buffer.from(reply.lines[0]?.slice(4) ?? '', 'base64').toString('latin1')
    reply = await conversation.say(base64(answer(challenge)), '(an answer that is assumed to be right)')
  }
  return reply
}

function base64(octets: string): string {
  return octets === '' ? '=' : Buffer.from(octets, 'latin1').toString('base64')
}

/** Says MAIL. @param sender a byte string, '' for the null sender */
export function explainMail({ steps, conversation }: Talk, sender: string): Promise<Reply> {
  steps.begin('mail', `MAIL FROM:<${fromBytes(sender)}>`)
  return conversation.say(`MAIL FROM:<${sender}>`)
}

/** Says RCPT, and tells why the recipient may pass and where it goes. */
export async function explainRecipient(talk: Talk, settings: Settings, recipient: string): Promise<Reply> {
  const { steps, session, conversation } = talk
  steps.begin('rcpt', `RCPT TO:<${fromBytes(recipient)}>`)
  const before = session.transaction?.recipients.length ?? 0
  const reply = await conversation.say(`RCPT TO:<${recipient}>`)
  const { transaction } = session
  const taken = transaction?.recipients.at(-1)
  if (transaction === undefined || taken === undefined || transaction.recipients.length === before)
    return reply
  explainRelay(talk, transaction.sender, taken.mailbox)
  explainRoute(steps, settings, taken.mailbox)
  return reply
}

function explainRelay({ steps, session }: Talk, sender: Mailbox | undefined, recipient: Mailbox): void {
  if (session.services.local.lookup(recipient) === 'local') {
    steps.detail('relay', 'not needed: the mailbox is here')
    return
  }
  const { scope, peer, partner, canRelay, connection } = session
  const clientAddress = connection.remote.address
  const grant = relayGrant({
    peer,
    partner,
    scope,
    clientAddress,
    canRelay,
    sender,
    recipient,
    bouncePattern: bouncePatternOf(session, recipient.domain),
  })
  if (grant === 'can_relay') {
    const by = session.authenticated === undefined ? 'a script has set can_relay' : 'the client has logged in'
    steps.detail('relay', `granted: ${by}`)
  } else if (grant === 'partner') {
    const from = partner?.rules.origin('relay')
    steps.detail('relay', `granted to partner ${partner?.name}`, from && describeOrigin(from))
  } else if (grant !== undefined) {
    steps.detail('relay', `granted by ${displayName(grant)}`, describeOrigin(scope.origin(grant)))
  }
}

function explainRoute(steps: Steps, settings: Settings, recipient: Mailbox): void {
  const outbound = settings.resolveOutbound(recipient.domain.toLowerCase())
  const { gateway, routes } = outbound.options
  const route = new Router(settings, () => 0).route(recipient)
  switch (route.kind) {
    case 'maildir':
      steps.detail(
        'route',
        `maildir "${route.place.maildir.name}", mailbox ${route.place.elements?.join('/') ?? '(none)'}`,
        describeOrigin(route.place.maildir.at),
      )
      return
    case 'pipe':
      steps.detail(
        'route',
        `the program of pipe_transport "${route.pipe.name}"`,
        describeOrigin(route.pipe.at),
      )
      return
    case 'webhook':
      steps.detail('route', `webhook "${route.webhook.name}"`, describeOrigin(route.webhook.at))
      return
    case 'none':
      steps.detail('route', `none: ${route.problem}`)
      return
    case 'smtp': {
      const option = gateway !== undefined ? 'gateway' : routes.length > 0 ? 'routes' : undefined
      const from = option === undefined ? 'the domain itself' : describeOrigin(outbound.origin(option))
      const { delivery_method: method } = outbound.options
      const by = method === 'ESMTP' ? '' : `, by ${method}`
      steps.detail('route', `${route.hosts.map(describeHop).join(', then ')}${by}`, from)
    }
  }
}

function describeHop({ host, port, mx }: NextHop): string {
  const name = fromBytes(host)
  if (host.startsWith('/')) return `the UNIX socket ${name}`
  return mx === true
    ? `the MX hosts of ${name} (looked up at delivery), port ${port}`
    : `${name}, port ${port}`
}
