/** A visit that brings a ticket along, or takes one home: TLS 1.2, whose ticket is there when the handshake is over. */

import { once } from 'node:events'
import { connect } from 'node:tls'
import type { Credential } from '../../src/tls/authority.ts'
import type { Address } from './smtp-client.ts'

/** Waits for the banner and leaves. */
export async function ticketVisit(
  { host, port }: Address,
  { cert, key }: Credential,
  session?: Buffer,
): Promise<{ readonly resumed: boolean; readonly session: Buffer | undefined }> {
  const socket = connect({
    host,
    port,
    cert,
    key,
    rejectUnauthorized: false,
    maxVersion: 'TLSv1.2',
    ...(session && { session }),
  })
  socket.on('error', () => undefined)
  await once(socket, 'secureConnect')
  await once(socket, 'data')
  const found = { resumed: socket.isSessionReused(), session: socket.getSession() }
  socket.end('QUIT\r\n')
  await once(socket, 'close')
  return found
}
