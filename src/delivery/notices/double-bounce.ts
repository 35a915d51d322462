/**
 * A notice about mail from the null sender, such as Mdn_Failures_Notify asks for, carries a field that says so, because
 * whoever gets it sees nothing but a notice (RFC 5321 §4.5.5, RFC 3834 §2). Of mail that carries it nobody is told anything: two
 * servers that each have their keeper's mailbox at the other would else tell each other for ever, in messages that are new each
 * time, so that no count of hops ends it (§6.3).
 */

import type { StoredContent } from '../../spool/spool.ts'

export const DOUBLE_BOUNCE = 'X-Postern-Double-Bounce'

/** octets that are looked at: a header that is returned stands there */
const MOST = 64 * 1024
const FIELD = new RegExp(`(?:^|\\n)${DOUBLE_BOUNCE}[ \\t]*:`, 'i')

/** Whether this is such a notice, or another server's notice that returns the header of one. */
export async function isDoubleBounce(content: StoredContent): Promise<boolean> {
  return FIELD.test(await beginningOf(content))
}

/** As far as it can be read. */
async function beginningOf(content: StoredContent): Promise<string> {
  const pieces = [content.header]
  let size = content.header.length
  try {
    for await (const chunk of size < MOST ? content.body() : []) {
      pieces.push(chunk)
      size += chunk.length
      if (size >= MOST) break
    }
  } catch {
    // whoever makes the notice meets it too
  }
  return Buffer.concat(pieces).toString('latin1', 0, MOST)
}
