/**
 * What TLS costs by itself in this runtime: a loop that takes connections, asks for and verifies the client's certificate
 * with the groups, ciphers and tickets that Postern has by default, sends one line and closes. With `hold` it sends nothing and
 * keeps the connection, for memory per socket.
 *
 *   node bench/servers/bare-loop.ts FOLDER-OF-PKI [hold]
 *
 * Prints `ready PORT`. A client without a certificate that verifies is a failure: nothing is sent to it.
 */

import { constants, randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import path from 'node:path'
import { createServer } from 'node:tls'
import { cipherText } from '../../src/tls/cipher-options.ts'

const [folder = '.', manner] = process.argv.slice(2)
const read = (name: string): string => readFileSync(path.join(folder, name), 'latin1')

const LINE = Buffer.from('220 bare loop\r\n')
/** as Node wants them: name, HMAC and AES keys */
const TICKET_KEY_OCTETS = 48

const server = createServer({
  cert: read('server.pem'),
  key: read('server.key'),
  ca: [read('ca.pem')],
  ciphers: cipherText({
    tls_protocols: undefined,
    tls_ciphers: undefined,
    tlsv13_ciphersuites: undefined,
    tls_ec_curve_names: undefined,
  }),
  honorCipherOrder: true,
  dhparam: 'auto',
  minVersion: 'TLSv1.2',
  maxVersion: 'TLSv1.3',
  secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
  sessionIdContext: 'bare loop',
  ticketKeys: randomBytes(TICKET_KEY_OCTETS),
  requestCert: true,
  rejectUnauthorized: true,
})
server.on('secureConnection', (socket) => {
  socket.on('error', () => undefined)
  if (!socket.authorized) socket.destroy()
  else if (manner !== 'hold') socket.end(LINE)
  // it waits for what the client says, as every server does
  else socket.resume()
})
server.listen({ host: '127.0.0.1', port: 0, backlog: 4096 }, () => {
  process.stdout.write(`ready ${(server.address() as AddressInfo).port}\n`)
})
process.on('SIGTERM', () => process.exit(0))
