/** Which messages of one transaction have the same header and body, octet for octet. */

import type { NewMessage } from './spool.ts'

/**
 * For each message the place of the first one in the list that has the same content. Copies that nobody edited share
 * their arrays; others are compared.
 */
export function firstAlike(messages: readonly Pick<NewMessage, 'header' | 'body'>[]): readonly number[] {
  if (messages.length === 1) return [0]
  const byBody = new Map<Uint8Array | undefined, Map<string, number>>()
  const byArray = new Map<Uint8Array, string>()
  return messages.map(({ header, body }, index) => {
    const headers = byBody.get(body) ?? new Map<string, number>()
    byBody.set(body, headers)
    const text = byArray.get(header) ?? Buffer.from(header).toString('latin1')
    byArray.set(header, text)
    const first = headers.get(text) ?? index
    headers.set(text, first)
    return first
  })
}
