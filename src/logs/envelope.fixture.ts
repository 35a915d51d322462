/** The envelope of the line that Momentum's page on mainlog shows. */

import type { Envelope } from '../mail/envelope.ts'

export const envelope: Envelope = {
  id: '00/00-25004-31B987F3',
  batchId: '00/00-03736-F4101B54',
  connectionId: '00/00-04532-A3456B54',
  sender: { local: 'info', domain: 'postalengine.com' },
  recipient: { local: 'bob', domain: 'example.fict' },
  bodyType: '7BIT',
  receivedAt: 1_064_868_656_000,
  size: 201,
  client: { address: '10.0.1.1', port: 4711 },
  local: { address: '10.0.1.2', port: 25 },
  bindingGroup: 'default',
  binding: 'default',
  connectionContext: {},
  messageContext: {},
}
