/** What an operator is shown of a message's content: byte strings, cut off where it is long. */

import type { StoredContent } from '../../spool/spool.ts'
import type { MessageOrder } from './orders.ts'

/** octets of header and body that are shown */
const MAX_SHOWN = 1024 * 1024

export interface ShownContent {
  readonly header: string | undefined
  readonly body: string | undefined
  /** octets that are not shown */
  readonly cut: number
}

export async function readContent(
  content: StoredContent | undefined,
  wanted: MessageOrder['content'],
): Promise<ShownContent> {
  if (content === undefined || wanted === 'none') return { header: undefined, body: undefined, cut: 0 }
  const shown = Math.min(content.header.length, MAX_SHOWN)
  const header = Buffer.from(content.header.subarray(0, shown)).toString('latin1')
  const headerCut = content.header.length - shown
  if (wanted === 'header') return { header, body: undefined, cut: headerCut }
  let body = ''
  for await (const chunk of content.body()) {
    body += Buffer.from(chunk.subarray(0, MAX_SHOWN - shown - body.length)).toString('latin1')
    if (shown + body.length >= MAX_SHOWN) break
  }
  return { header, body, cut: headerCut + content.bodySize - body.length }
}
