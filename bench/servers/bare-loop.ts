/**
 * What TLS costs by itself in this runtime: a loop that takes connections, asks for and verifies the client's certificate
 * with the groups, ciphers and tickets that Postern has by default, sends one line and closes. With `hold` it sends nothing and
 * keeps the connection, for memory per socket.
 *
 *   node bench/servers/bare-loop.ts FOLDER-OF-PKI [hold]
 *
 * Prints `ready PORT`. A client without a certificate that verifies is a failure: nothing is sent to it.
 */

import type { AddressInfo } from 'node:net'
import { createServer } from 'node:tls'
import { tlsAsPostern } from './tls-as-postern.ts'

const [folder = '.', manner] = process.argv.slice(2)

const LINE = Buffer.from('220 bare loop\r\n')

const server = createServer(tlsAsPostern(folder))
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
