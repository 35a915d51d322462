/** Messages as the console shows them: data with stable names, and Momentum's lines. */

import type { MessageRow } from '../../delivery/operator/orders.ts'
import { fromBytes } from '../render.ts'

/** Times are ISO 8601 in JSON. */
export function messageData(row: MessageRow) {
  const { id, stand, bindingGroup, binding, domain, sender, recipient } = row
  return {
    id,
    state: stand,
    bindingGroup,
    binding,
    domain: fromBytes(domain),
    sender: fromBytes(sender),
    recipient: fromBytes(recipient),
    created: new Date(row.created).toISOString(),
    size: row.size,
    attempts: row.attempts,
    nextAttempt: isoTime(row.nextAttempt),
    lastReply: fromBytes(row.lastReply),
  }
}

export function isoTime(at: number | undefined): string | null {
  return at === undefined ? null : new Date(at).toISOString()
}

/** As in `showqueue`. */
export function queueLines(row: MessageRow): readonly string[] {
  const { id, stand, binding, created, sender, recipient } = row
  const queue = stand === 'delayed' ? 'delayed' : stand === 'ending' ? 'ending' : 'active'
  return [
    `[${queue}/${binding}] ${id} Created: ${Math.floor(created / 1000)}`,
    `  From: <${fromBytes(sender)}> To: <${fromBytes(recipient)}>`,
  ]
}

/** As under `--dry-run`. */
export function dryRunLine({ id, domain, sender, recipient }: MessageRow): string {
  return `  ${id}  domain=${fromBytes(domain)} from=<${fromBytes(sender)}> to=<${fromBytes(recipient)}>`
}

/** What an answer about several processes leaves out: sentences. */
export function gaps(incomplete: boolean, missing: readonly string[]): readonly string[] {
  return [
    ...(incomplete ? ['The spool is still being read after the start: there may be more.'] : []),
    ...missing.map((each) => `Not in this: ${each}.`),
  ]
}
