/**
 * Where mail comes from, as the session asks about it: SPF at MAIL, DKIM, DMARC and ARC when the message is there, each
 * where the configuration names its stanza and no `__bypass_…` key is `true`. Results are keys of the message's context
 * and statements of Authentication-Results; none of them refuses anything: policy decides.
 */

import type { Check } from '../authenticity/authenticity.ts'
import {
  arcStatement,
  dkimStatements,
  dmarcStatement,
  type MessageOutcome,
  receivedSpf,
  spfStatement,
} from '../authenticity/outcome.ts'
import type { Mailbox } from '../mail/envelope.ts'
import type { HeaderBlock } from '../mail/headers.ts'
import type { ReceptionWriter } from '../spool/spool.ts'
import type { Session, Transaction } from './session-state.ts'

/** Keys under which scripts switch a check off: Momentum's module, and its plain name. */
const BYPASSES: Readonly<Record<Check, readonly string[]>> = {
  spf_v1: ['__bypass_spf_v1', '__bypass_spf'],
  opendkim: ['__bypass_opendkim', '__bypass_dkim'],
  openarc: ['__bypass_openarc', '__bypass_arc'],
  dmarc: ['__bypass_dmarc'],
}

/** SPF, before policy is asked about the sender. undefined: there is nothing to wait for. */
export function checkSender(session: Session, sender: Mailbox | undefined): Promise<void> | undefined {
  session.origin = {}
  const { authenticity } = session.services
  if (authenticity === undefined || !wanted(session, 'spf_v1')) return undefined
  const question = {
    address: session.connection.remote.address,
    helo: session.hello?.domain,
    sender,
    hostname: session.hostname,
  }
  return authenticity.spf(question, session.io.gone).then((spf) => {
    session.origin = { spf }
    const { context } = session
    context.set('message', authenticity.settings.spf?.context_variable ?? 'spf_status', spf.result)
    context.set('message', 'spf_helo_status', spf.helo.result)
  })
}

/**
 * DKIM, DMARC and ARC, before policy is asked about the message. undefined: there is nothing to wait for.
 * @throws what reading the body throws
 */
export function checkMessage(
  session: Session,
  { header, writer }: { readonly header: string; readonly writer: ReceptionWriter },
): Promise<void> | undefined {
  const { authenticity } = session.services
  if (authenticity === undefined) return undefined
  const checks = {
    dkim: wanted(session, 'opendkim'),
    dmarc: wanted(session, 'dmarc'),
    arc: wanted(session, 'openarc'),
  }
  if (!checks.dkim && !checks.dmarc && !checks.arc) return undefined
  const { spf } = session.origin
  const question = { header, body: () => writer.chunks(), checks, spf }
  return authenticity.verify(question, session.io.gone).then((message) => {
    session.origin = { ...session.origin, message }
    setKeys(session, message)
  })
}

function setKeys({ context }: Session, { dkim, dmarc, arc }: MessageOutcome): void {
  if (dkim !== undefined) {
    const passing = dkim.signatures.filter(({ result }) => result === 'pass')
    const domains = new Set(passing.map(({ domain }) => domain).filter((domain) => domain !== undefined))
    context.set('message', 'dkim_status', dkim.result)
    context.set('message', 'dkim_domains', [...domains].join(' '))
  }
  if (dmarc !== undefined) {
    context.set('message', 'dmarc_status', dmarc.result)
    context.set('message', 'dmarc_policy', dmarc.policy ?? '')
    context.set('message', 'dmarc_domain', dmarc.domain ?? '')
  }
  if (arc !== undefined) context.set('message', 'arc_cv', arc.result)
}

function wanted({ services, context }: Session, check: Check): boolean {
  if (services.authenticity?.does(check) !== true) return false
  return !BYPASSES[check].some(
    (key) => context.get('connection', key) === 'true' || context.get('message', key) === 'true',
  )
}

/** For Authentication-Results. */
export function originStatements({ origin, services }: Session): string[] {
  const { spf, message } = origin
  const tellsSpf = services.authenticity?.settings.spf?.add_authentication_results === true
  return [
    ...(spf === undefined || !tellsSpf ? [] : spfStatement(spf)),
    ...(message?.dkim === undefined ? [] : dkimStatements(message.dkim)),
    ...(message?.dmarc === undefined ? [] : [dmarcStatement(message.dmarc)]),
    ...(message?.arc === undefined ? [] : [arcStatement(message.arc)]),
  ]
}

/** Received-SPF, below Authentication-Results and above Received. */
export function addReceivedSpf(session: Session, { sender }: Transaction, headers: HeaderBlock): void {
  const { spf } = session.origin
  if (spf === undefined || session.services.authenticity?.settings.spf?.add_headers !== true) return
  const { address } = session.connection.remote
  const value = receivedSpf(spf, { address, hostname: session.hostname, local: sender?.local })
  headers.prepend('Received-SPF', value)
}
