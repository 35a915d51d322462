/** Listeners from a few words, clients that dial them, and what came of it. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect, createServer, type NetConnectOpts, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, type TestContext } from 'node:test'
import { bindAddresses, parseListenAddress } from '../config/listen-address.ts'
import type { InboundScope, InboundValues, ListenSettings, Settings } from '../config/settings.ts'
import type { ServerEvent } from '../events/events.ts'
import type { Connection } from './connection.ts'
import { Listeners } from './listener.ts'

export const folder = mkdtempSync(path.join(tmpdir(), 'postern-listener-'))
after(() => rmSync(folder, { recursive: true, force: true }))

interface TestListen {
  readonly instance: string
  readonly options?: Partial<InboundValues>
}

/** Settings as the loader makes them, reduced to what the listener reads. The n-th Listen stands on line n. */
export function settingsOf(stanzas: readonly (string | TestListen)[], maxSessions = 1000): Settings {
  const listens = stanzas.map((stanza) => (typeof stanza === 'string' ? { instance: stanza } : stanza))
  const written = listens.map(({ instance }) => {
    const address = parseListenAddress(instance)
    if (typeof address === 'string') throw new Error(address)
    return address
  })
  const addresses = bindAddresses(written)
  const made = listens.map(({ instance, options = {} }, index): ListenSettings => {
    const at = { file: 'gate.conf', line: index + 1, column: 3, length: 8 }
    const values: Partial<InboundValues> = {
      enable: true,
      listen_backlog: 500,
      file_mode: 0o660,
      disable_nagle_algorithm: false,
      listener_sessions: 0,
      service_sessions: 0,
      use_ssl: false,
      ...options,
    }
    const scope: InboundScope = {
      id: instance,
      options: values as InboundValues,
      pathway: 'default',
      pathwayGroup: 'default',
      origin: (option) => (options[option] === undefined ? 'default' : at),
    }
    return { instance, address: addresses[index]!, at, scope }
  })
  return {
    listens: made,
    global: { max_sessions: maxSessions },
    resolveInbound: (listen: ListenSettings) => listen.scope,
  } as unknown as Settings
}

/** Listeners with everything that they tell and hand over; closed when the test ends. */
export function listenersFor(
  t: TestContext,
  settings: Settings,
  onConnection?: (connection: Connection) => void,
) {
  const connections: Connection[] = []
  const events: ServerEvent[] = []
  let ids = 0
  const listeners = new Listeners({
    settings,
    onConnection: (connection) => {
      connections.push(connection)
      onConnection?.(connection)
    },
    nextConnectionId: () => `id-${++ids}`,
    events: { emit: (event) => events.push(event) },
    clock: () => 1000,
    descriptors: 20_000,
  })
  t.after(() => {
    listeners.close()
    for (const { socket } of connections) socket.destroy()
  })
  return { listeners, connections, events }
}

export const portOf = (listeners: Listeners, index = 0): number =>
  Number(/:(\d+)$/.exec(listeners.addresses()[index]?.text ?? '')?.[1])

/** A client socket; everything that it receives until the end. */
export async function dial(t: TestContext, to: NetConnectOpts): Promise<Socket> {
  const socket = connect(to)
  t.after(() => socket.destroy())
  await once(socket, 'connect')
  return socket
}

export async function readAll(socket: Socket): Promise<string> {
  let text = ''
  for await (const chunk of socket) text += String(chunk)
  return text
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  return typeof address === 'object' && address !== null ? address.port : 0
}

export async function until(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 5000
  while (!condition()) {
    assert.ok(Date.now() < deadline, 'it never came true')
    await new Promise((resolve) => setImmediate(resolve))
  }
}

export const refused = (port: number, host = '127.0.0.1') =>
  assert.rejects(
    (async () => {
      const socket = connect({ host, port })
      try {
        await once(socket, 'connect')
      } finally {
        socket.destroy()
      }
    })(),
    { code: 'ECONNREFUSED' },
  )
