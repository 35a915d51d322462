/**
 * The signature of a request: HMAC-SHA-256 over `SECONDS.ENVELOPE.` and the octets of the message, with each key that is
 * configured. `Postern-Signature: t=SECONDS,v1=HEX[,v1=HEX]`. With the time in it, what was heard once cannot be sent
 * again later; with the envelope in it, nobody else can say for whom it is.
 */

import { createHmac } from 'node:crypto'
import type { StoredContent } from '../../spool/spool.ts'

export interface Signable {
  /** seconds since the epoch */
  readonly at: number
  /** the header line's value */
  readonly envelope: string
  readonly content: StoredContent
}

/** Reads the message once. @throws what reading it throws */
export async function signatureOf(
  { at, envelope, content }: Signable,
  keys: readonly Buffer[],
  signal: AbortSignal,
): Promise<string> {
  const macs = keys.map((key) =>
    createHmac('sha256', key).update(`${at}.${envelope}.`).update(content.header),
  )
  for await (const chunk of content.body()) {
    signal.throwIfAborted()
    for (const mac of macs) mac.update(chunk)
  }
  return [`t=${at}`, ...macs.map((mac) => `v1=${mac.digest('hex')}`)].join(',')
}
