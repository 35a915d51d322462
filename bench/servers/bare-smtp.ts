/**
 * The floor: the least that a server can do on this runtime which speaks SMTP, takes a message and keeps it as Postern does.
 * Header and body go to LMDB, with the flush that Postern has before its 250 and one flush for all who wait; nothing else is
 * done: no checks, no limits, no timers, no log, no Received, no policy, no record of where the message goes. STARTTLS asks for a client's
 * certificate and verifies it.
 *
 *   node bench/servers/bare-smtp.ts FOLDER-OF-PKI FOLDER-OF-MAIL
 *
 * Prints `ready PORT`. It takes every command for one piece, as the generator sends them: no server for mail.
 */

import { type AddressInfo, createServer, type Socket } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import { open } from 'lmdb'
import { tlsAsPostern } from './tls-as-postern.ts'

const [pki = '.', folder = '.'] = process.argv.slice(2)

const END = '\r\n.\r\n'
const root = open<Buffer, number>({
  path: folder,
  encoding: 'binary',
  noSubdir: false,
  mapSize: 2 ** 36,
  overlappingSync: false,
  eventTurnBatching: false,
})
const headers = root.openDB<Buffer, number>('headers', { encoding: 'binary' })
const bodies = root.openDB<Buffer, number>('bodies', { encoding: 'binary' })

/** One flush for all who wait. */
class Keeper {
  #last = 0
  #waiting: { readonly message: Buffer; readonly kept: () => void }[] = []
  #busy = false

  keep(message: Buffer, kept: () => void): void {
    this.#waiting.push({ message, kept })
    if (!this.#busy) this.#flush()
  }

  #flush(): void {
    const batch = this.#waiting
    this.#waiting = []
    this.#busy = batch.length > 0
    if (!this.#busy) return
    const done = root.batch(() => {
      for (const { message } of batch) {
        const end = message.indexOf('\r\n\r\n') + 2
        this.#last += 1
        void headers.put(this.#last, message.subarray(0, end))
        void bodies.put(this.#last, message.subarray(end + 2, message.length - 3))
      }
    })
    void done.then(() => {
      for (const { kept } of batch) kept()
      this.#flush()
    })
  }
}

const keeper = new Keeper()
const tls = createTlsServer(tlsAsPostern(pki), (socket) => converse(socket))

function converse(socket: Socket): void {
  let message: Buffer[] | undefined
  socket.setNoDelay(true)
  socket.on('error', () => undefined)
  socket.on('data', (chunk: Buffer) => {
    if (message !== undefined) {
      message.push(chunk)
      const tail = chunk.length < END.length ? Buffer.concat(message.slice(-END.length)) : chunk
      if (tail.toString('latin1', Math.max(0, tail.length - END.length)) !== END) return
      const whole = message.length === 1 ? chunk : Buffer.concat(message)
      message = undefined
      keeper.keep(whole, () => socket.write('250 kept\r\n'))
      return
    }
    switch (chunk.toString('latin1', 0, 4)) {
      case 'EHLO':
        socket.write('250-bare loop\r\n250 STARTTLS\r\n')
        return
      case 'STAR':
        socket.removeAllListeners('data')
        socket.write('220 go on\r\n')
        tls.emit('connection', socket)
        return
      case 'DATA':
        message = []
        socket.write('354 go on\r\n')
        return
      case 'QUIT':
        socket.end('221 bye\r\n')
        return
      default:
        socket.write('250 ok\r\n')
    }
  })
}

const server = createServer((socket) => {
  socket.write('220 bare loop\r\n')
  converse(socket)
})
server.listen({ host: '127.0.0.1', port: 0, backlog: 4096 }, () => {
  process.stdout.write(`ready ${(server.address() as AddressInfo).port}\n`)
})
process.on('SIGTERM', () => process.exit(0))
