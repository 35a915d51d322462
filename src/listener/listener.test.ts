import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { connect, createServer, type NetConnectOpts, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, describe, type TestContext, test } from 'node:test'
import { TLSSocket } from 'node:tls'
import { bindAddresses, parseListenAddress } from '../config/listen-address.ts'
import type { InboundScope, InboundValues, ListenSettings, Settings } from '../config/settings.ts'
import type { ServerEvent } from '../events/events.ts'
import type { Connection } from './connection.ts'
import { ListenError, Listeners } from './listener.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'postern-listener-'))
after(() => rmSync(folder, { recursive: true, force: true }))

interface TestListen {
  readonly instance: string
  readonly options?: Partial<InboundValues>
}

/** Settings as the loader makes them, reduced to what the listener reads. The n-th Listen stands on line n. */
function settingsOf(stanzas: readonly (string | TestListen)[], maxSessions = 1000): Settings {
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
function listenersFor(t: TestContext, settings: Settings, onConnection?: (connection: Connection) => void) {
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

const portOf = (listeners: Listeners, index = 0): number =>
  Number(/:(\d+)$/.exec(listeners.addresses()[index]?.text ?? '')?.[1])

/** A client socket; everything that it receives until the end. */
async function dial(t: TestContext, to: NetConnectOpts): Promise<Socket> {
  const socket = connect(to)
  t.after(() => socket.destroy())
  await once(socket, 'connect')
  return socket
}

async function readAll(socket: Socket): Promise<string> {
  let text = ''
  for await (const chunk of socket) text += String(chunk)
  return text
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  return typeof address === 'object' && address !== null ? address.port : 0
}

async function until(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 5000
  while (!condition()) {
    assert.ok(Date.now() < deadline, 'it never came true')
    await new Promise((resolve) => setImmediate(resolve))
  }
}

const refused = (port: number, host = '127.0.0.1') =>
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

describe('what a Listen binds', () => {
  const port = freePort()
  const both = ['127.0.0.1', '::1']
  const forms: readonly {
    readonly stanzas: readonly string[]
    readonly hosts: Readonly<Record<string, string>>
  }[] = [
    { stanzas: [':25'], hosts: { '127.0.0.1': ':25', '::1': ':25' } },
    { stanzas: ['*:25'], hosts: { '127.0.0.1': '*:25', '::1': '*:25' } },
    { stanzas: ['[*]:25'], hosts: { '127.0.0.1': '[*]:25', '::1': '[*]:25' } },
    { stanzas: ['[::]:25'], hosts: { '127.0.0.1': '[::]:25', '::1': '[::]:25' } },
    { stanzas: ['0.0.0.0:25'], hosts: { '127.0.0.1': '0.0.0.0:25' } },
    { stanzas: ['127.0.0.1:25'], hosts: { '127.0.0.1': '127.0.0.1:25' } },
    { stanzas: ['[::1]:25'], hosts: { '::1': '[::1]:25' } },
    { stanzas: [':25', '[::]:25'], hosts: { '127.0.0.1': ':25', '::1': '[::]:25' } },
    { stanzas: ['127.0.0.1:25', '[*]:25'], hosts: { '127.0.0.1': '127.0.0.1:25', '::1': '[*]:25' } },
    { stanzas: ['*:25', '[::1]:25'], hosts: { '127.0.0.1': '*:25', '::1': '[::1]:25' } },
  ]
  for (const { stanzas, hosts } of forms) {
    test(`${stanzas.join(' and ')}: ${Object.entries(hosts)
      .map((pair) => pair.join(' → '))
      .join(', ')}`, async (t) => {
      const at = await port
      const instances = stanzas.map((text) => text.replace(/25$/, String(at)))
      const { listeners, connections } = listenersFor(t, settingsOf(instances))
      await listeners.start()
      for (const host of both) {
        const expected = hosts[host]
        if (expected === undefined) {
          await refused(at, host)
          continue
        }
        const before = connections.length
        await dial(t, { host, port: at })
        await until(() => connections.length > before)
        const connection = connections.at(-1)
        assert.equal(connection?.listen.instance, expected.replace(/25$/, String(at)))
        assert.deepEqual([connection?.remote.address, connection?.local], [host, { address: host, port: at }])
      }
    })
  }

  test('a Listen that is not enabled is not bound', async (t) => {
    const { listeners } = listenersFor(
      t,
      settingsOf(['127.0.0.1:0', { instance: '[::1]:0', options: { enable: false } }]),
    )
    await listeners.start()
    assert.deepEqual(
      listeners.addresses().map(({ listen }) => listen.instance),
      ['127.0.0.1:0'],
    )
  })

  test('port 0 is a free port each time, and the address tells which', async (t) => {
    const { listeners } = listenersFor(t, settingsOf(['127.0.0.1:0', '127.0.0.1:0', '[::1]:0']))
    await listeners.start()
    const texts = listeners.addresses().map(({ text }) => text)
    assert.match(texts.join(' '), /^127\.0\.0\.1:\d+ 127\.0\.0\.1:\d+ \[::1\]:\d+$/)
    assert.equal(new Set(texts).size, 3)
  })

  test('every socket that cannot be bound is named with its place, and then none is open', async (t) => {
    const taken = createServer().listen(0, '127.0.0.1')
    t.after(() => taken.close())
    await once(taken, 'listening')
    const { port: busy } = taken.address() as { port: number }
    const free = await freePort()
    const stanzas = [
      `127.0.0.1:${free}`,
      `127.0.0.1:${busy}`,
      '192.0.2.77:2525',
      path.join(folder, 'no/such.sock'),
    ]
    const { listeners } = listenersFor(t, settingsOf(stanzas))
    await assert.rejects(listeners.start(), (error) => {
      assert.ok(error instanceof ListenError)
      assert.deepEqual(
        error.diagnostics.map(({ message, at }) => [message, at?.line]),
        [
          [`cannot listen on 127.0.0.1:${busy}: the address is in use`, 2],
          ['cannot listen on 192.0.2.77:2525: this machine has no such address', 3],
          [`cannot listen on ${stanzas[3]}: its folder does not exist`, 4],
        ],
      )
      return true
    })
    assert.deepEqual(listeners.addresses(), [])
    await refused(free)
  })

  test('two Listens that ask for one socket are an error at the second', async (t) => {
    const { listeners } = listenersFor(t, settingsOf(['127.0.0.1:2525', '127.0.0.1:2525']))
    await assert.rejects(
      listeners.start(),
      (error) => error instanceof ListenError && error.diagnostics[0]?.at?.line === 2,
    )
  })
})

describe('a UNIX socket', () => {
  test('has the configured mode, and its client no address', async (t) => {
    const socketPath = path.join(folder, 'mode.sock')
    const { listeners, connections } = listenersFor(
      t,
      settingsOf([{ instance: socketPath, options: { file_mode: 0o606 } }]),
    )
    await listeners.start()
    assert.equal(statSync(socketPath).mode & 0o777, 0o606)
    assert.equal(listeners.addresses()[0]?.text, socketPath)
    await dial(t, { path: socketPath })
    await until(() => connections.length === 1)
    assert.deepEqual(connections[0]?.remote, { address: '', port: 0 })
    assert.deepEqual(connections[0]?.local, { address: socketPath, port: 0 })
    listeners.close()
    assert.equal(existsSync(socketPath), false)
  })

  test('takes the place of one on which nobody answers', async (t) => {
    const socketPath = path.join(folder, 'stale.sock')
    await leaveStaleSocket(socketPath)
    assert.ok(statSync(socketPath).isSocket())
    const { listeners } = listenersFor(t, settingsOf([socketPath]))
    await listeners.start()
    await dial(t, { path: socketPath })
  })

  test('leaves one alone on which somebody answers', async (t) => {
    const socketPath = path.join(folder, 'alive.sock')
    const other = createServer().listen(socketPath)
    t.after(() => other.close())
    await once(other, 'listening')
    const { listeners } = listenersFor(t, settingsOf([socketPath]))
    await assert.rejects(listeners.start(), /another program listens there/)
    await dial(t, { path: socketPath })
  })

  test('never removes what is not a socket', async (t) => {
    const file = path.join(folder, 'precious')
    writeFileSync(file, 'data')
    const { listeners } = listenersFor(t, settingsOf([file]))
    await assert.rejects(listeners.start(), /not a socket is there, and it is not removed/)
    assert.ok(statSync(file).isFile())
  })
})

/** A process that dies without a chance to clean up leaves its socket behind. */
async function leaveStaleSocket(socketPath: string): Promise<void> {
  const program = path.join(folder, 'stale.mjs')
  writeFileSync(
    program,
    `import net from 'node:net'; net.createServer().listen(process.argv[2], () => process.send('up'))`,
  )
  const child = fork(program, [socketPath], { execArgv: [] })
  await once(child, 'message')
  child.kill('SIGKILL')
  await once(child, 'exit')
}

describe('a connection that is handed over', () => {
  test('has lost none of the bytes that came before anybody read', async (t) => {
    const { listeners, connections } = listenersFor(t, settingsOf(['127.0.0.1:0']))
    await listeners.start()
    const client = await dial(t, { host: '127.0.0.1', port: portOf(listeners) })
    client.write('first')
    await until(() => connections.length === 1)
    client.end(' and last')
    await once(client, 'finish')
    assert.equal(await readAll(connections[0]!.socket), 'first and last')
  })

  test('can still be answered after the client has shut down its sending side', async (t) => {
    const { listeners } = listenersFor(t, settingsOf(['127.0.0.1:0']), ({ socket }) => {
      socket.resume().once('end', () => setImmediate(() => socket.end('221 bye')))
    })
    await listeners.start()
    const client = await dial(t, { host: '127.0.0.1', port: portOf(listeners) })
    client.end('QUIT\r\n')
    assert.equal(await readAll(client), '221 bye')
  })

  test('is told when it begins and when it ends, with the same id', async (t) => {
    const { listeners, connections, events } = listenersFor(t, settingsOf(['127.0.0.1:0']))
    await listeners.start()
    const client = await dial(t, { host: '127.0.0.1', port: portOf(listeners) })
    await until(() => connections.length === 1)
    const { id, remote, local } = connections[0]!
    assert.deepEqual(remote, { address: '127.0.0.1', port: client.localPort })
    const fact = { at: 1000, connectionId: id, remote, local }
    assert.deepEqual(events, [{ kind: 'connected', ...fact }])
    connections[0]!.socket.destroy()
    await until(() => events.length === 2)
    assert.deepEqual(events[1], { kind: 'disconnected', ...fact })
  })

  test('is closed when nobody can take it over, and the next one is served', async (t) => {
    const { listeners, events, connections } = listenersFor(t, settingsOf(['127.0.0.1:0']), ({ id }) => {
      if (id === 'id-1') throw new Error('no room')
    })
    await listeners.start()
    const client = await dial(t, { host: '127.0.0.1', port: portOf(listeners) })
    assert.equal(await readAll(client), '')
    assert.ok(events.some((event) => event.kind === 'panic' && event.text.includes('no room')))
    await dial(t, { host: '127.0.0.1', port: portOf(listeners) })
    await until(() => connections.length === 2)
    assert.equal(listeners.sessions, 1)
  })

  test('that is reset by its client ends quietly', async (t) => {
    const { listeners, connections } = listenersFor(t, settingsOf(['127.0.0.1:0']), ({ socket }) =>
      socket.resume(),
    )
    await listeners.start()
    const client = await dial(t, { host: '127.0.0.1', port: portOf(listeners) })
    await until(() => connections.length === 1)
    client.resetAndDestroy()
    await until(() => listeners.sessions === 0)
  })
})

describe('a limit that is reached', () => {
  const limited = { instance: '127.0.0.1:0', options: { listener_sessions: 1 } }

  test('gets a 421 before anything else, is told as a rejection, and frees nothing', async (t) => {
    const { listeners, connections, events } = listenersFor(t, settingsOf([limited]))
    await listeners.start()
    const to = { host: '127.0.0.1', port: portOf(listeners) }
    await dial(t, to)
    await until(() => connections.length === 1)
    const second = await dial(t, to)
    assert.equal(await readAll(second), '421 4.4.5 Service unavailable, concurrency limit reached.\r\n')
    const rejection = events.find((event) => event.kind === 'rejection')
    assert.deepEqual(
      [
        rejection?.code,
        rejection?.state,
        rejection?.module,
        rejection?.connectionId,
        rejection?.remote.address,
      ],
      [421, 'concurrency limit', 'core', 'id-2', '127.0.0.1'],
    )
    assert.equal(rejection?.text, '4.4.5 Service unavailable, concurrency limit reached.')
    assert.equal(listeners.sessions, 1)
    assert.equal(
      events.some((event) => event.kind === 'disconnected'),
      false,
    )
  })

  test('says nothing in clear on a port that starts with TLS', async (t) => {
    const { listeners, connections } = listenersFor(
      t,
      settingsOf([{ ...limited, options: { listener_sessions: 1, use_ssl: true } }]),
    )
    await listeners.start()
    const to = { host: '127.0.0.1', port: portOf(listeners) }
    await dial(t, to)
    await until(() => connections.length === 1)
    assert.equal(await readAll(await dial(t, to)), '')
  })

  test('lets the next one in when the connection is fully closed, not before', async (t) => {
    const { listeners, connections } = listenersFor(t, settingsOf([limited]))
    await listeners.start()
    const to = { host: '127.0.0.1', port: portOf(listeners) }
    const first = await dial(t, to)
    await until(() => connections.length === 1)
    first.end()
    await once(first, 'finish')
    assert.match(await readAll(await dial(t, to)), /^421 /)
    connections[0]!.socket.destroy()
    await until(() => listeners.sessions === 0)
    await dial(t, to)
    await until(() => connections.length === 2)
  })

  test('a slot comes back when the TLS socket on top of the connection ends', async (t) => {
    const { listeners } = listenersFor(t, settingsOf([limited]), ({ socket }) => {
      const secure = new TLSSocket(socket, { isServer: true })
      secure.on('error', () => secure.destroy())
    })
    await listeners.start()
    const client = await dial(t, { host: '127.0.0.1', port: portOf(listeners) })
    client.on('error', () => undefined)
    await until(() => listeners.sessions === 1)
    client.write('this is no ClientHello\r\n')
    await until(() => listeners.sessions === 0)
  })

  test('Max_Sessions holds over all Listens, and one above the descriptor limit is warned of', async (t) => {
    const { listeners, connections, events } = listenersFor(t, settingsOf(['127.0.0.1:0', '[::1]:0'], 1))
    await listeners.start()
    await dial(t, { host: '127.0.0.1', port: portOf(listeners, 0) })
    await until(() => connections.length === 1)
    assert.match(await readAll(await dial(t, { host: '::1', port: portOf(listeners, 1) })), /^421 4\.4\.5/)
    assert.equal(
      events.some((event) => event.kind === 'panic'),
      false,
    )
    await listeners.replaceSettings(settingsOf(['127.0.0.1:0', '[::1]:0'], 50_000))
    assert.ok(
      events.some((event) => event.kind === 'panic' && event.text.startsWith('Max_Sessions is 50000')),
    )
  })
})

describe('a reload', () => {
  test('keeps what is unchanged open, opens what is new, closes what is gone', async (t) => {
    const [kept, gone, added] = [await freePort(), await freePort(), await freePort()]
    const { listeners, connections } = listenersFor(t, settingsOf([`127.0.0.1:${kept}`, `127.0.0.1:${gone}`]))
    await listeners.start()
    const old = await dial(t, { host: '127.0.0.1', port: gone })
    await until(() => connections.length === 1)
    // No moment without an answer: clients dial all the time while the reload happens.
    const reload = new AbortController()
    const dialing = (async () => {
      do (await dial(t, { host: '127.0.0.1', port: kept })).destroy()
      while (!reload.signal.aborted)
    })()
    const next = settingsOf([`127.0.0.1:${kept}`, `127.0.0.1:${added}`])
    await listeners.replaceSettings(next)
    reload.abort()
    await dialing
    await refused(gone)
    await dial(t, { host: '127.0.0.1', port: added })
    await until(() => connections.at(-1)?.listen === next.listens[1])
    await dial(t, { host: '127.0.0.1', port: kept })
    await until(() => connections.at(-1)?.listen === next.listens[0])
    assert.equal(old.destroyed, false)
    assert.deepEqual(
      listeners.addresses().map(({ listen }) => listen),
      next.listens,
    )
  })

  test('that cannot bind leaves everything as it was', async (t) => {
    const taken = createServer().listen(0, '127.0.0.1')
    t.after(() => taken.close())
    await once(taken, 'listening')
    const { port: busy } = taken.address() as { port: number }
    const [before, added] = [await freePort(), await freePort()]
    const first = settingsOf([`127.0.0.1:${before}`])
    const { listeners, connections } = listenersFor(t, first)
    await listeners.start()
    await assert.rejects(
      listeners.replaceSettings(settingsOf([`127.0.0.1:${added}`, `127.0.0.1:${busy}`])),
      ListenError,
    )
    await refused(added)
    await dial(t, { host: '127.0.0.1', port: before })
    await until(() => connections.at(-1)?.listen === first.listens[0])
  })

  test('may split a socket for both families into two, and join them again', async (t) => {
    const port = await freePort()
    const { listeners, connections } = listenersFor(t, settingsOf([`:${port}`]))
    await listeners.start()
    await listeners.replaceSettings(settingsOf([`:${port}`, `[::]:${port}`]))
    for (const [host, instance] of [
      ['127.0.0.1', `:${port}`],
      ['::1', `[::]:${port}`],
    ] as const) {
      await dial(t, { host, port })
      await until(
        () => connections.at(-1)?.remote.address === host && connections.at(-1)?.listen.instance === instance,
      )
    }
    await listeners.replaceSettings(settingsOf([`*:${port}`]))
    await dial(t, { host: '::1', port })
    await until(() => connections.at(-1)?.listen.instance === `*:${port}`)
  })

  test('that had to close a socket and then fails opens it again', async (t) => {
    const port = await freePort()
    const first = settingsOf([`:${port}`])
    const { listeners, connections } = listenersFor(t, first)
    await listeners.start()
    const bad = settingsOf([`:${port}`, `[::]:${port}`, '192.0.2.77:2525'])
    await assert.rejects(listeners.replaceSettings(bad), /no such address/)
    for (const host of ['127.0.0.1', '::1']) {
      await dial(t, { host, port })
      await until(() => connections.at(-1)?.remote.address === host)
      assert.equal(connections.at(-1)?.listen, first.listens[0])
    }
  })

  test('changes limits and the mode of a UNIX socket without closing it', async (t) => {
    const instance = path.join(folder, 'reload.sock')
    const { listeners, connections, events } = listenersFor(
      t,
      settingsOf([{ instance, options: { file_mode: 0o600 } }]),
    )
    await listeners.start()
    await dial(t, { path: instance })
    await until(() => connections.length === 1)
    const options = { file_mode: 0o666, listener_sessions: 1, listen_backlog: 5 }
    await listeners.replaceSettings(settingsOf([{ instance, options }]))
    assert.equal(statSync(instance).mode & 0o777, 0o666)
    assert.match(await readAll(await dial(t, { path: instance })), /^421 /)
    assert.ok(events.some((event) => event.kind === 'panic' && event.text.startsWith('Listen_Backlog of')))
  })

  test('hands nothing over under the new settings before whoever asked for it knows', async (t) => {
    const port = await freePort()
    const order: string[] = []
    const { listeners } = listenersFor(t, settingsOf(['127.0.0.1:0']), () => order.push('connection'))
    await listeners.start()
    const change = listeners.replaceSettings(settingsOf([`127.0.0.1:${port}`]), () => order.push('switch'))
    await change
    await dial(t, { host: '127.0.0.1', port })
    await until(() => order.length === 2)
    assert.deepEqual(order, ['switch', 'connection'])
  })

  test('after the end of service binds nothing', async (t) => {
    const port = await freePort()
    const { listeners } = listenersFor(t, settingsOf(['127.0.0.1:0']))
    await listeners.start()
    const change = listeners.replaceSettings(settingsOf([`127.0.0.1:${port}`]))
    listeners.close()
    await change
    await refused(port)
  })
})

test('the end of service is at once for new clients, and leaves those who are there', async (t) => {
  const { listeners, connections } = listenersFor(t, settingsOf(['127.0.0.1:0']))
  await listeners.start()
  const port = portOf(listeners)
  const client = await dial(t, { host: '127.0.0.1', port })
  await until(() => connections.length === 1)
  listeners.close()
  await refused(port)
  connections[0]!.socket.end('still here')
  assert.equal(await readAll(client), 'still here')
})
