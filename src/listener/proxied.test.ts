import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import { loadSettingsFromText } from '../config/load.ts'
import type { Settings } from '../config/settings.ts'
import type { ServerEvent } from '../events/events.ts'
import type { Connection } from './connection.ts'
import { Listeners } from './listener.ts'

const header = (address: string): string => `PROXY TCP4 ${address} 192.0.2.25 1 25\r\n`

async function settingsOf(scopes: string): Promise<Settings> {
  const { settings, diagnostics } = await loadSettingsFromText(`ESMTP_Listener { ${scopes} }`)
  assert.ok(settings !== undefined, diagnostics.map(({ message }) => message).join('\n'))
  return settings
}

interface Front {
  readonly listeners: Listeners
  readonly events: ServerEvent[]
  readonly handedOver: Connection[]
  dial(): Promise<Socket>
  until(condition: () => boolean): Promise<void>
}

async function frontOf(t: TestContext, scopes: string): Promise<Front> {
  const events: ServerEvent[] = []
  const handedOver: Connection[] = []
  const listeners = new Listeners({
    settings: await settingsOf(scopes),
    onConnection: (connection) => handedOver.push(connection),
    nextConnectionId: () => 'id',
    events: { emit: (event) => events.push(event) },
    clock: () => 1000,
    descriptors: 20_000,
  })
  await listeners.start()
  t.after(() => {
    listeners.close()
    for (const { socket } of handedOver) socket.destroy()
  })
  const port = Number(/:(\d+)$/.exec(listeners.addresses()[0]?.text ?? '')?.[1])
  return {
    listeners,
    events,
    handedOver,
    dial: async () => {
      const socket = connect({ port, host: '127.0.0.1' })
      socket.on('error', () => undefined)
      t.after(() => socket.destroy())
      await once(socket, 'connect')
      return socket
    },
    until: async (condition) => {
      const deadline = Date.now() + 5000
      while (!condition()) {
        assert.ok(Date.now() < deadline, 'it never came true')
        await new Promise((resolve) => setImmediate(resolve))
      }
    },
  }
}

const proxied = 'Listen "127.0.0.1:0" { Proxy_Protocol = true }'

test('what came behind the header is read by whoever takes the connection over, in its order', async (t) => {
  const front = await frontOf(t, proxied)
  const text = 'x'.repeat(200_000)
  const client = await front.dial()
  client.write(header('192.0.2.1') + text.slice(0, 10))
  await front.until(() => front.handedOver.length === 1)
  client.end(text.slice(10))
  let received = ''
  const connection = front.handedOver[0]
  assert.ok(connection !== undefined)
  assert.deepEqual(connection.remote, { address: '192.0.2.1', port: 1 })
  for await (const chunk of connection.socket) received += String(chunk)
  assert.equal(received, text)
})

test('a connection holds a slot while its header is awaited, and is not told of before', async (t) => {
  const front = await frontOf(t, proxied)
  const client = await front.dial()
  await front.until(() => front.listeners.sessions === 1)
  assert.equal(front.events.length, 0)
  client.write(header('192.0.2.1'))
  await front.until(() => front.events.length === 1)
  assert.equal(front.listeners.sessions, 1)
  client.destroy()
  front.handedOver[0]?.socket.destroy()
  await front.until(() => front.listeners.sessions === 0)
  assert.deepEqual(
    front.events.map((event) => event.kind),
    ['connected', 'disconnected'],
  )
})

test('those whose header is awaited are let go when service ends, and nobody is told', async (t) => {
  const front = await frontOf(t, proxied)
  const client = await front.dial()
  await front.until(() => front.listeners.sessions === 1)
  const closed = once(client.resume(), 'close')
  front.listeners.close()
  await closed
  await front.until(() => front.listeners.sessions === 0)
  assert.equal(front.events.length, 0)
})

const changes: readonly (readonly [name: string, scopes: string, problem: string])[] = [
  ['Proxy_Protocol is taken back', 'Listen "127.0.0.1:0" { }', 'PROXY header: not expected'],
  ['the Listen goes', 'Listen "127.0.0.2:0" { }', 'PROXY header: not expected'],
  [
    'the proxy is no longer one',
    'Listen "127.0.0.1:0" { Proxy_Protocol = true Proxy_Hosts = ( 10.0.0.1 ) }',
    'PROXY header: this address is not among Proxy_Hosts',
  ],
]
for (const [name, scopes, problem] of changes) {
  test(`a header that comes after a reload is not believed when ${name}`, async (t) => {
    const front = await frontOf(t, proxied)
    const client = await front.dial()
    await front.until(() => front.listeners.sessions === 1)
    await front.listeners.replaceSettings(await settingsOf(scopes))
    client.write(header('192.0.2.1'))
    await once(client.resume(), 'close')
    assert.deepEqual(front.handedOver, [])
    assert.deepEqual(
      front.events.map((event) => event.kind === 'rejection' && event.text),
      [problem],
    )
  })
}

test('a header that comes after a reload gets the new scope of its address', async (t) => {
  const front = await frontOf(t, proxied)
  const client = await front.dial()
  await front.until(() => front.listeners.sessions === 1)
  const settings = await settingsOf(`${proxied} Peer "192.0.2.1" { Idle_Time = 7 }`)
  await front.listeners.replaceSettings(settings)
  client.write(header('192.0.2.1'))
  await front.until(() => front.handedOver.length === 1)
  assert.equal(front.handedOver[0]?.scope.options.idle_time, 7)
})

test('a session can be counted by another address later, as far as there is room', async (t) => {
  const front = await frontOf(
    t,
    `${proxied} Peer "192.0.2.1" { Listener_Sessions = 1 } Peer "192.0.2.2" { Listener_Sessions = 1 }`,
  )
  for (const address of ['192.0.2.1', '192.0.2.2']) (await front.dial()).write(header(address))
  await front.until(() => front.handedOver.length === 2)
  const [first, second] = front.handedOver.toSorted((a, b) => (a.remote.address < b.remote.address ? -1 : 1))
  assert.equal(first?.recount?.('192.0.2.2'), false)
  assert.equal(second?.recount?.('192.0.2.3'), true)
  assert.equal(first?.recount?.('192.0.2.2'), true)
  assert.equal(second?.recount?.('192.0.2.1'), true)
})
