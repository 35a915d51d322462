import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import path from 'node:path'
import { describe, test } from 'node:test'
import {
  dial,
  folder,
  freePort,
  listenersFor,
  portOf,
  readAll,
  refused,
  settingsOf,
  until,
} from './listener.fixture.ts'
import { ListenError } from './listener.ts'

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
