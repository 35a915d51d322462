/**
 * Many clients at a gate, of all kinds: with certificates good, bad and hostile or none, TLS 1.2 and 1.3, sessions new and
 * resumed, and a good part of them gone in the midst of something. What they do follows from a seed.
 */

import { once } from 'node:events'
import { connect as connectTcp, createServer, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { connect as connectTls, createSecureContext, type SecureVersion } from 'node:tls'
import { Authority } from '../../src/tls/authority.ts'
import type { Pki } from '../../src/tls/pki.ts'
import type { Address } from './smtp-client.ts'
import { hostileNames } from './test-ca.ts'

/** PEM */
export interface Shown {
  readonly cert: string
  readonly key: string
}

export interface Load {
  /** all of them with TLS from the first octet */
  readonly addresses: readonly Address[]
  readonly credentials: readonly Shown[]
  readonly clients: number
  /** what they are like; a mixture unless given */
  readonly manners?: readonly Manner[]
  /** clients at the same time */
  readonly atOnce: number
  readonly seed: number
  /** called now and then, and waited for; no client is there meanwhile */
  readonly every: { readonly clients: number; pause(done: number): Promise<void> }
}

/** how many clients came to which end */
export type Tally = Record<'served' | 'resumed' | 'refused' | 'left', number>

/** How a client behaves. `hello` and `garbage` never come to a handshake, `early` leaves in the middle of one. */
export const MANNERS = ['polite', 'abrupt', 'early', 'hello', 'garbage'] as const
export type Manner = (typeof MANNERS)[number]
const USUAL: readonly Manner[] = [
  'polite',
  'polite',
  'polite',
  'abrupt',
  'abrupt',
  'early',
  'hello',
  'garbage',
]

const MAX_SESSIONS = 500

export async function handshakeLoad(load: Load): Promise<Tally> {
  const tally: Tally = { served: 0, resumed: 0, refused: 0, left: 0 }
  const sessions = new Map<string, Buffer>()
  const hello = await clientHello()
  for (let from = 0; from < load.clients; from += load.every.clients) {
    const until = Math.min(from + load.every.clients, load.clients)
    const next = { value: from }
    const work = async (): Promise<void> => {
      while (next.value < until) {
        next.value += 1
        await oneClient(load, { random: randomOf(load.seed + next.value), sessions, hello, tally })
      }
    }
    await Promise.all(Array.from({ length: load.atOnce }, work))
    await load.every.pause(until)
  }
  return tally
}

/** Everything that clients may show: of the PKI, and certificates that were made to do harm. */
export function loadCredentials({ authority, clients }: Pki): Shown[] {
  const between = authority.intermediate({ subject: 'between' })
  let deep = between
  const chain = [between.cert]
  for (let n = 0; n < 8; n += 1) {
    deep = deep.intermediate({ subject: `CA ${n}` })
    chain.unshift(deep.cert)
  }
  const names = Array.from({ length: 800 }, (_, n) => ({ kind: 'dns', value: `n${n}.example` }) as const)
  const stranger = Authority.root({ subject: 'Postern test CA' })
  const hostile = [...hostileNames].map(([, attribute]) => authority.issue({ subject: [attribute] }))
  const deepLeaf = deep.issue({ subject: 'deep' })
  const all: Shown[] = [
    ...Object.values(clients),
    ...Array.from({ length: 6 }, () => clients.valid),
    ...hostile,
    authority.issue({ subject: 'names', altNames: names }),
    authority.issue({ subject: 'servers', usage: 'server' }),
    stranger.issue({ subject: 'namesake' }),
    { cert: [deepLeaf.cert, ...chain].join(''), key: deepLeaf.key },
    {
      cert: [clients.untrusted.cert, clients.valid.cert, authority.cert].join(''),
      key: clients.untrusted.key,
    },
  ]
  return all.filter(canBeShown).map(({ cert, key }) => ({ cert, key }))
}

/** Some names OpenSSL does not read even for those who have them. */
function canBeShown({ cert, key }: Shown): boolean {
  try {
    createSecureContext({ cert, key })
    return true
  } catch {
    return false
  }
}

interface Means {
  readonly random: (below: number) => number
  readonly sessions: Map<string, Buffer>
  readonly hello: Buffer
  readonly tally: Tally
}

async function oneClient(load: Load, means: Means): Promise<void> {
  const { random, tally } = means
  const manners = load.manners ?? USUAL
  const manner = manners[random(manners.length)] ?? 'polite'
  const address = load.addresses[random(load.addresses.length)]
  if (address === undefined) return
  if (manner === 'hello' || manner === 'garbage') {
    tally.left += 1
    await withoutHandshake(address, manner === 'hello' ? means.hello : Buffer.from('EHLO x\r\n'), random)
    return
  }
  const version: SecureVersion = random(2) === 0 ? 'TLSv1.2' : 'TLSv1.3'
  const who = random(load.credentials.length + 2)
  const session = `${address.host} ${version} ${who}`
  const socket = connectTls({
    host: address.host,
    port: address.port,
    ...load.credentials[who],
    minVersion: version,
    maxVersion: version,
    rejectUnauthorized: false,
    session: random(2) === 0 ? means.sessions.get(session) : undefined,
  })
  socket.on('session', (ticket: Buffer) => {
    if (means.sessions.size >= MAX_SESSIONS) means.sessions.clear()
    means.sessions.set(session, ticket)
  })
  let served = false
  socket.on('error', () => undefined)
  socket.on('data', (reply: Buffer) => {
    if (!served && socket.isSessionReused()) tally.resumed += 1
    served = true
    if (manner === 'abrupt') socket.destroy()
    else socket.write(reply.toString('latin1').startsWith('220') ? 'EHLO client.example\r\n' : 'QUIT\r\n')
  })
  const closed = closing(socket)
  if (manner === 'early') {
    await delay(random(6))
    socket.destroy()
  }
  await closed
  tally[served ? 'served' : manner === 'early' ? 'left' : 'refused'] += 1
}

/** Some octets of what begins a handshake, or of what does not, and then the end. */
async function withoutHandshake(
  { host, port }: Address,
  octets: Buffer,
  random: (below: number) => number,
): Promise<void> {
  const socket = connectTcp({ host, port })
  socket.on('error', () => undefined)
  socket.resume()
  const closed = closing(socket)
  const part = octets.subarray(0, 1 + random(octets.length))
  if (random(2) === 0) socket.end(part)
  else socket.write(part, () => socket.resetAndDestroy())
  await closed
}

/** Whatever it ends with; `once` would throw what an error says. */
function closing(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.once('close', () => resolve()))
}

/** What Node's own client sends first. */
async function clientHello(): Promise<Buffer> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const client = connectTls({ port: (server.address() as { port: number }).port, host: '127.0.0.1' })
  client.on('error', () => undefined)
  const [socket] = (await once(server, 'connection')) as [Socket]
  const [octets] = (await once(socket, 'data')) as [Buffer]
  client.destroy()
  socket.destroy()
  server.close()
  return octets
}

/** Numbers that follow from a seed alone (mulberry32). */
function randomOf(seed: number): (below: number) => number {
  let state = Math.imul(seed, 0x9e3779b1)
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below
  }
}
