/**
 * What a receiver is told of a message besides its text, as JSON: the envelope, and values of the validation context. Only
 * what the configuration names is taken from there, and only from there: nothing in a message can pose as it.
 */

import type { WebhookSettings } from '../../config/settings-delivery.ts'
import { formatMailbox } from '../../mail/address.ts'
import type { ContextSnapshot, Mailbox } from '../../mail/envelope.ts'
import type { StoredMessage } from '../../spool/spool.ts'

/** octets of one value, and of all: receivers take some 16 KiB of header lines */
const MAX_VALUE = 1000
const MAX_VALUES = 5000

export interface TellableEnvelope {
  readonly id: string
  /** the same for all recipients of one transaction */
  readonly batch: string
  /** 1 for the first */
  readonly attempt: number
  /** null: the null reverse path, of a bounce for one */
  readonly sender: string | null
  readonly recipient: string
  readonly receivedAt: string
  readonly client: string
  readonly connection: Readonly<Record<string, string>>
  readonly message: Readonly<Record<string, string>>
  /** keys whose values are too long to be told */
  readonly omitted: readonly string[]
}

export function tellableEnvelope(
  { envelope, state }: StoredMessage,
  { context_keys: keys }: Pick<WebhookSettings, 'context_keys'>,
): TellableEnvelope {
  const { id, batchId: batch, sender, recipient, receivedAt, client } = envelope
  const omitted = new Set<string>()
  const room = { left: MAX_VALUES }
  const pick = (context: ContextSnapshot): Record<string, string> =>
    Object.fromEntries(
      keys.flatMap((key): [string, string][] => {
        const value = Object.hasOwn(context, key) ? context[key] : undefined
        if (value === undefined) return []
        if (value.length <= MAX_VALUE && value.length <= room.left) {
          room.left -= value.length
          return [[key, asText(value)]]
        }
        omitted.add(key)
        return []
      }),
    )
  return {
    id,
    batch,
    attempt: state.attempts + 1,
    sender: sender === undefined ? null : address(sender),
    recipient: address(recipient),
    receivedAt: new Date(receivedAt).toISOString(),
    client: client.address,
    connection: pick(envelope.connectionContext),
    message: pick(envelope.messageContext),
    omitted: [...omitted],
  }
}

/** As the value of a header line: the JSON's UTF-8 in base64url. */
export function envelopeHeader(envelope: TellableEnvelope): string {
  return Buffer.from(JSON.stringify(envelope), 'utf8').toString('base64url')
}

function address(mailbox: Mailbox): string {
  return asText(formatMailbox(mailbox))
}

/** Byte strings hold UTF-8. */
function asText(octets: string): string {
  return Buffer.from(octets, 'latin1').toString('utf8')
}
