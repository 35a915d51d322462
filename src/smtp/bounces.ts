/**
 * Reports about mail of ours that come back from elsewhere (Momentum: config/ref-bounce-domains, ref-bounce-pattern,
 * ref-bounce-behavior, ref-bounce-suppress-list): recognised, told for the bouncelog, and passed on or dropped.
 *
 * Only a report of failure in the form of RFC 3464 is taken for one; all other mail to such an address passes, whatever
 * Bounce_Behavior says. What a report says is a claim of its sender, and nothing here believes it. Of one message so many
 * facts are told, however many recipients it has and names.
 */

import { defaultEgress } from '../config/settings-queue.ts'
import type { OutOfBandBounce } from '../events/events.ts'
import { formatMailbox } from '../mail/address.ts'
import { announcesReport, type ReportedRecipient, readDeliveryReport } from '../mail/delivery-report.ts'
import type { Mailbox } from '../mail/envelope.ts'
import type { HeaderBlock } from '../mail/headers.ts'
import { isBounceMailbox } from '../policy/relay.ts'
import type { BodyContent } from './message-content.ts'
import type { AcceptedRecipient, Session, Transaction } from './session-state.ts'

const MAX_FACTS = 100

interface Looked {
  readonly headers: HeaderBlock
  readonly content: BodyContent
  readonly size: number
}

/**
 * Takes the recipients off the transaction for which a report is to be dropped. undefined: there is nothing to look at.
 * @returns tells what was found: to be called once the message is kept
 */
export function takeBounces(
  session: Session,
  transaction: Transaction,
  message: Looked,
): Promise<() => void> | undefined {
  if (session.scope.options.bounce_domains.length === 0) return undefined
  const meant = transaction.recipients.filter(({ mailbox }) => isForBounces(session, mailbox))
  if (meant.length === 0 || !announcesReport(message.headers)) return undefined
  return takeReport(session, transaction, message, meant)
}

async function takeReport(
  session: Session,
  transaction: Transaction,
  message: Looked,
  meant: readonly AcceptedRecipient[],
): Promise<() => void> {
  const { services } = session
  const { recipients } = transaction
  const failed = await failures(message)
  if (failed.length === 0) return () => undefined
  const suppressed = services.outbound?.global.bounce_suppress_list ?? []
  const facts = meant
    .slice(0, MAX_FACTS)
    .flatMap(({ mailbox }) =>
      failed.map((each) => factOf({ session, transaction, message, sender: mailbox }, each, suppressed)),
    )
    .slice(0, MAX_FACTS)
  const kept = recipients.filter(
    (each) =>
      !meant.includes(each) || optionsFor(session, each.mailbox.domain)?.bounce_behavior !== 'blackhole',
  )
  recipients.splice(0, recipients.length, ...kept)
  return () => {
    for (const fact of facts) services.events.emit(fact)
  }
}

/** Bounce_Pattern of a domain. */
export function bouncePatternOf(session: Session, domain: string): string | undefined {
  return optionsFor(session, domain)?.bounce_pattern
}

function isForBounces(session: Session, mailbox: Mailbox): boolean {
  return isBounceMailbox(session.scope.options, bouncePatternOf(session, mailbox.domain), mailbox)
}

function optionsFor({ services }: Session, domain: string) {
  return services.outbound?.resolveOutbound(domain).options
}

/** A body that cannot be looked at, because it is too large or there is no memory now, is no report. */
async function failures({ headers, content }: Looked): Promise<readonly ReportedRecipient[]> {
  try {
    await content.fetch()
  } catch {
    return []
  }
  const recipients = content.body === undefined ? undefined : readDeliveryReport(headers, content.body)
  return recipients?.filter(({ action }) => action === 'failed') ?? []
}

function factOf(
  {
    session,
    transaction,
    message,
    sender,
  }: {
    readonly session: Session
    readonly transaction: Transaction
    readonly message: Looked
    readonly sender: Mailbox
  },
  { addresses, status, diagnostic }: ReportedRecipient,
  suppressed: readonly string[],
): OutOfBandBounce {
  const { connection, services } = session
  return {
    kind: 'out-of-band-bounce',
    at: services.clock(),
    messageId: transaction.id,
    batchId: transaction.id,
    connectionId: connection.id,
    recipient: addresses.find((each) => !isSuppressed(suppressed, each)),
    sender,
    ...defaultEgress,
    size: message.size,
    remote: connection.remote.address,
    status,
    text: diagnostic === '' ? status : diagnostic,
  }
}

function isSuppressed(list: readonly string[], mailbox: Mailbox): boolean {
  return list.includes(formatMailbox(mailbox).toLowerCase()) || list.includes(`@${mailbox.domain}`)
}
