/**
 * A connection that a proxy made: reads its PROXY header and says who is at the far end (momentum:
 * config/ref-proxy-protocol).
 *
 * The header comes before everything else, TLS included. What arrived behind it is put back untouched, so that whoever
 * reads next sees the session from its first octet. Whatever is wrong with the header ends the connection without a
 * word: nobody who has not said who he is hears the banner.
 */

import type { Socket } from 'node:net'
import { cidrContains, normaliseAddress } from '../config/address.ts'
import type { InboundScope } from '../config/settings.ts'
import { type ProxyEndpoint, type ProxyHeader, parseProxyHeader } from '../wire/proxy-header.ts'
import type { Connection } from './connection.ts'

export type Ends = Pick<Connection, 'remote' | 'local'>

/** Who connected, with the scope that holds for that address. */
type Connected = Ends & { readonly scope: InboundScope }

/** The connection is not to be served. The message is for the log and holds nothing that the client sent. */
export class ProxyHeaderError extends Error {
  constructor(problem: string) {
    super(`PROXY header: ${problem}`)
    this.name = 'ProxyHeaderError'
  }
}

/**
 * Takes the header off a socket that nobody has read from yet.
 * @param connected whose scope says who may send one, and how long it may take
 * @throws ProxyHeaderError; the socket is then still open
 */
export async function takeProxyHeader(socket: Socket, connected: Connected): Promise<ProxyHeader> {
  checkHost(connected)
  const timeout = connected.scope.options.proxy_protocol_timeout * 1000
  const { promise, resolve, reject } = Promise.withResolvers<ProxyHeader>()
  let held: Buffer = Buffer.alloc(0)
  const onReadable = (): void => {
    for (let chunk = read(socket); chunk !== undefined; chunk = read(socket)) {
      held = held.length === 0 ? chunk : Buffer.concat([held, chunk])
      const result = parseProxyHeader(held)
      if (result.kind === 'incomplete') continue
      // Nobody may read on from here before the session does: what is put back is told as `readable` too.
      leave()
      if (result.kind === 'malformed') return reject(new ProxyHeaderError(result.problem))
      if (held.length > result.length) socket.unshift(held.subarray(result.length))
      return resolve(result)
    }
  }
  const fail = (problem: string): void => {
    leave()
    reject(new ProxyHeaderError(problem))
  }
  const onGone = (): void => fail('connection closed before its end')
  const deadline = timeout === 0 ? undefined : setTimeout(() => fail('timeout'), timeout)
  const leave = (): void => {
    clearTimeout(deadline)
    socket.off('readable', onReadable)
    socket.off('end', onGone)
    socket.off('close', onGone)
  }
  socket.on('readable', onReadable)
  socket.once('end', onGone)
  socket.once('close', onGone)
  return await promise
}

/**
 * Who is on the connection: what the header says, or where it says nothing, who connected.
 * @throws ProxyHeaderError when whoever connected is not to be believed
 */
export function proxiedEnds({ endpoints }: ProxyHeader, connected: Connected): Ends {
  checkHost(connected)
  if (endpoints === undefined) return { remote: connected.remote, local: connected.local }
  return { remote: normalised(endpoints.source), local: normalised(endpoints.destination) }
}

function read(socket: Socket): Buffer | undefined {
  return (socket.read() as Buffer | null) ?? undefined
}

function checkHost({ scope, remote }: Connected): void {
  const hosts = scope.options.proxy_hosts
  if (hosts.length === 0 || hosts.some((block) => cidrContains(block, remote.address))) return
  throw new ProxyHeaderError('this address is not among Proxy_Hosts')
}

function normalised({ address, port }: ProxyEndpoint): ProxyEndpoint {
  const normal = normaliseAddress(address)
  if (normal === undefined) throw new ProxyHeaderError('bad address')
  return { address: normal, port }
}
