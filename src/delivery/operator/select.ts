/** Whether a message is among those that an operator means. */

import { formatMailbox, parseDomain } from '../../mail/address.ts'
import { routingDomain } from '../../mail/envelope.ts'
import type { StoredMessage } from '../../spool/spool.ts'
import type { DomainQueue } from '../domain-queues.ts'
import type { Filter, MessageRow, Selection, Stand } from './orders.ts'

/** The name under which mail for a domain is queued; undefined for what cannot be one. Mail without a domain has ''. */
export function queueDomain(text: string): string | undefined {
  if (text === '') return ''
  return parseDomain(text, { utf8: true }) ?? CHOSEN.exec(text.toLowerCase())?.[0]
}

/** what policy may choose as a routing domain besides */
const CHOSEN = /^[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*$/

export function fitsQueue(
  { domain, binding, bindingGroup }: Pick<Selection, 'domain' | 'binding' | 'bindingGroup'>,
  queue: Pick<DomainQueue, 'domain' | 'binding' | 'bindingGroup'>,
): boolean {
  return (
    (domain === undefined || queue.domain === domain) &&
    (binding === undefined || queue.binding === binding) &&
    (bindingGroup === undefined || queue.bindingGroup === bindingGroup)
  )
}

/** @param header the message's, read when it is needed */
export async function fitsFilter(
  { envelope }: StoredMessage,
  filter: Filter,
  header: () => Promise<string | undefined>,
): Promise<boolean> {
  if (filter.kind === 'meta') {
    const { messageContext, connectionContext } = envelope
    const context = Object.hasOwn(messageContext, filter.key) ? messageContext : connectionContext
    return Object.hasOwn(context, filter.key) && context[filter.key] === filter.value
  }
  return hasLine((await header()) ?? '', filter.name, filter.line)
}

/**
 * Whether a header field has this line, as it stands there: of the first line what follows the colon and one blank, of a
 * folded one all of it (Momentum: console-commands/fail-domain-quiet).
 */
export function hasLine(header: string, name: string, line: string): boolean {
  const wanted = name.toLowerCase()
  let inside = false
  for (const each of header.split(/\r?\n/)) {
    if (each === '') return false
    if (/^[ \t]/.test(each)) {
      if (inside && each === line) return true
      continue
    }
    const colon = each.indexOf(':')
    inside = colon > 0 && each.slice(0, colon).trimEnd().toLowerCase() === wanted
    if (inside && each.slice(colon + 1).replace(/^[ \t]/, '') === line) return true
  }
  return false
}

/** The row of a listing. */
export function rowOf(
  { envelope, state }: StoredMessage,
  at: { readonly stand: Stand; readonly due: number },
): MessageRow {
  const { id, bindingGroup, binding, sender, recipient, receivedAt, size } = envelope
  const { attempts, lastText } = state
  return {
    id,
    stand: at.stand,
    bindingGroup,
    binding,
    domain: routingDomain(envelope),
    sender: sender === undefined ? '' : formatMailbox(sender),
    recipient: formatMailbox(recipient),
    created: receivedAt,
    size,
    attempts,
    nextAttempt: at.stand === 'delayed' ? at.due : undefined,
    lastReply: lastText.slice(0, MAX_REPLY),
  }
}

const MAX_REPLY = 512

const order: Readonly<Record<Stand, number>> = { underWay: 0, ready: 1, delayed: 2, ending: 3 }

/** What leaves first comes first. */
export function byTurn(a: MessageRow, b: MessageRow): number {
  return (
    order[a.stand] - order[b.stand] ||
    (a.nextAttempt ?? 0) - (b.nextAttempt ?? 0) ||
    a.created - b.created ||
    (a.id < b.id ? -1 : 1)
  )
}
