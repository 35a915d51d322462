/** What lines of receptions and deliveries say about their message. Headers and contexts stay with the other logs. */

import { formatMailbox } from '../../mail/address.ts'
import type { ContextSnapshot, Envelope } from '../../mail/envelope.ts'
import { bytes, configured, endpoint, integer, type KeysOf, key, someBytes, timeOf } from './keys.ts'

export const envelopeKeys: KeysOf<Envelope> = {
  id: [bytes('message', ({ id }) => id, 'id of the message, as in every other log')],
  batchId: [bytes('batch', ({ batchId }) => batchId, 'id that the messages of one transaction share')],
  connectionId: [
    bytes(
      'connection',
      ({ connectionId }) => connectionId,
      'id of the connection on which the message came in, as in decision records',
    ),
  ],
  sender: [
    bytes(
      'sender',
      ({ sender }) => (sender === undefined ? '' : formatMailbox(sender)),
      'address of MAIL FROM; empty for the null sender',
    ),
    someBytes('sender_domain', ({ sender }) => sender?.domain, 'its domain'),
  ],
  recipient: [
    bytes('recipient', ({ recipient }) => formatMailbox(recipient), 'address of RCPT TO'),
    someBytes('recipient_domain', ({ recipient }) => recipient.domain, 'its domain'),
  ],
  bodyType: [bytes('body', ({ bodyType }) => bodyType, '`7BIT` or `8BITMIME`')],
  smtpUtf8: [key('smtputf8', { type: 'boolean', optional: true, value: ({ smtpUtf8 }) => smtpUtf8 })],
  dsn: [someBytes('envid', ({ dsn }) => dsn?.envid, 'the sender’s own name for the transaction (RFC 3461)')],
  receivedAt: [timeOf('received', ({ receivedAt }) => receivedAt, 'when it was accepted')],
  size: [integer('size', ({ size }) => size)],
  client: endpoint('client', ({ client }) => client, {
    address: 'address of the client that brought it; empty for a message of our own',
    port: 'its port',
  }),
  local: endpoint('local', ({ local }) => local, {
    address: 'the address that it reached',
    port: 'that one’s port',
  }),
  bindingGroup: [configured('binding_group', ({ bindingGroup }) => bindingGroup, 'the binding group')],
  binding: [configured('binding', ({ binding }) => binding, 'the binding')],
  routingDomain: [someBytes('routing_domain', ({ routingDomain }) => routingDomain)],
  priority: [],
  notBefore: [],
  // a custom_logger asks for them, and its file may be for fewer eyes
  loggedHeaders: [],
  connectionContext: [
    someBytes(
      'user',
      ({ connectionContext: context }) =>
        own(context, 'auth_status') === 'pass' ? own(context, 'auth_user') : undefined,
      'who has logged in to send it',
    ),
  ],
  messageContext: [
    configured(
      'pathway',
      ({ connectionContext, messageContext }) =>
        own(messageContext, 'pathway') ?? own(connectionContext, 'pathway') ?? 'default',
      'its pathway',
    ),
  ],
}

/** A key such as "constructor" must not find what no script has set. */
function own(context: ContextSnapshot, name: string): string | undefined {
  return Object.hasOwn(context, name) ? context[name] : undefined
}
