/** Limits of sessions, and what a reload changes of Listens that are open. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { statSync } from 'node:fs'
import { createServer } from 'node:net'
import path from 'node:path'
import { describe, test } from 'node:test'
import { TLSSocket } from 'node:tls'
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
