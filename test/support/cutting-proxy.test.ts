import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { suite, test } from 'node:test'
import { CuttingProxy, Doorway } from './cutting-proxy.ts'

suite('a doorway that proxies share', { timeout: 10_000 }, () => {
  test('lets so many connections wait for a banner, and the next one in when one has it or is gone', async () => {
    await using target = await startTarget()
    const doorway = new Doorway(2)
    await using first = await startProxy(target.port, doorway)
    await using second = await startProxy(target.port, doorway)
    const proxies = [first, second, first, second]
    const clients = proxies.map(({ port }) => connect(port, '127.0.0.1'))
    const greetings = Promise.all(
      clients.map(async (client) => {
        await once(client, 'data')
      }),
    )
    while (first.connections + second.connections < clients.length) await new Promise(setImmediate)
    // whoever was let in is in line before this one
    const last = connect(target.port, '127.0.0.1')
    await target.accepted(3)
    assert.equal(target.sockets[2]?.remotePort, last.localPort)
    last.destroy()
    target.sockets.splice(2, 1)
    for (let greeted = 0; greeted < clients.length; greeted++) {
      await target.accepted(Math.min(greeted + 2, clients.length))
      assert.ok(target.sockets.length <= greeted + 2)
      target.sockets[greeted]?.write('220 hello\r\n')
    }
    await greetings
    for (const client of clients) client.destroy()
  })

  test('a client that goes before its turn is not connected', async () => {
    await using target = await startTarget()
    const doorway = new Doorway(1)
    await using proxy = await startProxy(target.port, doorway)
    const open = async (): Promise<Socket> => {
      const client = connect(proxy.port, '127.0.0.1')
      await once(client, 'connect')
      return client
    }
    const ahead = await open()
    await target.accepted(1)
    const gone = await open()
    gone.end()
    await once(gone.resume(), 'close')
    const behind = await open()
    target.sockets[0]?.write('220 first\r\n')
    await target.accepted(2)
    target.sockets[1]?.write('220 second\r\n')
    const [greeting] = (await once(behind, 'data')) as [Buffer]
    assert.equal(String(greeting), '220 second\r\n')
    ahead.destroy()
    behind.destroy()
  })
})

interface Target extends AsyncDisposable {
  readonly port: number
  readonly sockets: Socket[]
  /** Resolves when so many have been accepted. */
  accepted(number: number): Promise<void>
}

async function startTarget(): Promise<Target> {
  const sockets: Socket[] = []
  const server: Server = createServer((socket) => sockets.push(socket.on('error', () => undefined)))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    sockets,
    accepted: async (number) => {
      while (sockets.length < number) await once(server, 'connection')
    },
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

async function startProxy(target: number, doorway: Doorway): Promise<CuttingProxy & AsyncDisposable> {
  const proxy = await CuttingProxy.start(target, { meets: () => undefined }, doorway)
  return Object.assign(proxy, { [Symbol.asyncDispose]: () => proxy.close() })
}
