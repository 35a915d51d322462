/**
 * One question to one server, over UDP or TCP, within a deadline.
 *
 * Every UDP question has a socket of its own, connected to the server: the system chooses its port at random and drops
 * datagrams from anybody else. Datagrams that are not the answer are passed over, a flood of them ends the attempt.
 */

import { createSocket } from 'node:dgram'
import { connect, isIPv6 } from 'node:net'

export interface ServerAddress {
  /** IPv4 or IPv6 */
  readonly address: string
  readonly port: number
}

export interface Exchange<T> {
  readonly server: ServerAddress
  readonly query: Buffer
  /** undefined: not the answer */
  readonly read: (bytes: Buffer) => T | undefined
  /** rejects with its reason when it aborts */
  readonly signal: AbortSignal
}

const MAX_STRAYS = 100
const MAX_TCP_MESSAGE = 65_535

/** @throws Error when the server cannot be reached, or the signal's reason */
export function askUdp<T>({ server, query, read, signal }: Exchange<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const socket = createSocket(isIPv6(server.address) ? 'udp6' : 'udp4')
    const settle = (outcome: () => void): void => {
      signal.removeEventListener('abort', aborted)
      socket.removeAllListeners()
      // an error may still come in for the closed socket
      socket.on('error', () => undefined)
      socket.close()
      outcome()
    }
    const aborted = (): void => settle(() => reject(signal.reason))
    let strays = 0
    socket.on('error', (error) => settle(() => reject(error)))
    socket.on('message', (bytes) => {
      const answer = read(bytes)
      if (answer !== undefined) settle(() => resolve(answer))
      else if (++strays > MAX_STRAYS) settle(() => reject(new Error('too many datagrams that are no answer')))
    })
    socket.on('connect', () => {
      socket.send(query, (error) => {
        if (error !== null) settle(() => reject(error))
      })
    })
    signal.addEventListener('abort', aborted, { once: true })
    if (signal.aborted) aborted()
    else socket.connect(server.port, server.address)
  })
}

/** @throws Error when the server cannot be reached or does not answer the question, or the signal's reason */
export function askTcp<T>({ server, query, read, signal }: Exchange<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: server.address, port: server.port, noDelay: true })
    const settle = (outcome: () => void): void => {
      signal.removeEventListener('abort', aborted)
      socket.destroy()
      outcome()
    }
    const aborted = (): void => settle(() => reject(signal.reason))
    const length = Buffer.alloc(2)
    length.writeUInt16BE(query.length)
    let received = Buffer.alloc(0)
    socket.on('error', (error) => settle(() => reject(error)))
    socket.on('close', () => settle(() => reject(new Error('the server closed the connection'))))
    socket.on('connect', () => socket.write(Buffer.concat([length, query])))
    socket.on('data', (chunk: Buffer) => {
      received = Buffer.concat([received, chunk])
      if (received.length < 2) return
      const end = 2 + received.readUInt16BE(0)
      if (received.length < end && received.length <= MAX_TCP_MESSAGE + 2) return
      const answer = read(received.subarray(2, end))
      settle(() =>
        answer === undefined ? reject(new Error('the server answers another question')) : resolve(answer),
      )
    })
    signal.addEventListener('abort', aborted, { once: true })
    if (signal.aborted) aborted()
  })
}
