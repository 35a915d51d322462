import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { test } from 'node:test'
import { IdGenerator } from '../mail/message-id.ts'
import { startHost } from './session-host.fixture.ts'
import { withClient } from './with-client.fixture.ts'

test('who pipelines without end leaves others their turn after a hundred commands', async () => {
  let turn = 0
  let next: NodeJS.Immediate
  const count = (): void => {
    turn += 1
    next = setImmediate(count)
  }
  next = setImmediate(count)
  const inTurn = new Map<number, number>()
  const policy = {
    ehlo: () => {
      const commands = (inTurn.get(turn) ?? 0) + 1
      inTurn.set(turn, commands)
      // an answer that is there at once, as a promise or not, is no turn for others
      return commands % 2 === 0 ? Promise.resolve({ kind: 'continue' as const }) : undefined
    },
  }
  await withClient({ policy }, async (client) => {
    client.sendRaw('EHLO c.example\r\n'.repeat(1000))
    for (let i = 0; i < 1000; i += 1) assert.match(await client.reply(), /^250-/)
  }).finally(() => clearImmediate(next))
  const most = Math.max(...inTurn.values())
  assert.ok(most <= 100, `${most} in one turn`)
})

test('a hundred thousand commands at once are answered one by one', async () => {
  const host = await startHost()
  const socket = connect(host.address)
  try {
    const reply = '250 2.0.0 OK\r\n'
    let [received, strange] = [0, 0]
    await once(socket, 'data')
    socket.on('data', (chunk: Buffer) => {
      // cut anywhere, it is always the same octets
      const expected = reply.repeat(Math.ceil(chunk.length / reply.length) + 1)
      const from = received % reply.length
      if (chunk.toString('latin1') !== expected.slice(from, from + chunk.length)) strange += 1
      received += chunk.length
    })
    socket.end('NOOP\r\n'.repeat(100_000))
    await once(socket, 'end')
    assert.deepEqual({ received, strange }, { received: 100_000 * reply.length, strange: 0 })
  } finally {
    socket.destroy()
    await host.stop()
  }
})

test('what goes wrong inside, at once or later, is answered and told once; the third time is the last', async () => {
  for (const later of [false, true]) {
    const ids = new IdGenerator({ pid: 1, clock: Date.now })
    ids.next = () => {
      throw new TypeError('no id')
    }
    const policy = later ? { mailfrom: async () => ({ kind: 'continue' as const }) } : {}
    await withClient({ policy, services: { ids } }, async (client, host) => {
      client.sendRaw('MAIL FROM:<>\r\nMAIL FROM:<>\r\nNOOP\r\nMAIL FROM:<>\r\nNOOP\r\n')
      assert.equal(await client.reply(), '451 4.3.0 transaction failed')
      assert.equal(await client.reply(), '451 4.3.0 transaction failed')
      assert.equal(await client.reply(), '250 2.0.0 OK')
      assert.equal(await client.reply(), '421 4.3.0 transaction failed')
      await client.closed()
      assert.equal(client.pending, '')
      assert.equal(host.events.filter(({ kind }) => kind === 'panic').length, 3)
      assert.equal(host.rejections().length, 3)
    })
  }
})

test('a client that leaves while its command waits ends its session, whatever it had pipelined', async () => {
  const asked = Promise.withResolvers<void>()
  const answer = Promise.withResolvers<{ readonly kind: 'continue' }>()
  const policy = {
    mailfrom: () => {
      asked.resolve()
      return answer.promise
    },
  }
  await withClient({ policy }, async (client, host) => {
    client.sendRaw('EHLO c.example\r\nMAIL FROM:<>\r\nRCPT TO:<x@local.example>\r\nDATA\r\nA: b\r\n')
    await asked.promise
    client.destroy()
    answer.resolve({ kind: 'continue' })
    await host.sessionsEnded()
    assert.deepEqual(host.events, [])
    assert.equal([...host.spool.messages()].length, 0)
  })
})

test('octets of a chunk are no commands, however late its BDAT comes behind a line end that is none', async () => {
  for (const parts of [
    ['NOOP\nBDAT 14 LAST\r\n'],
    ['NOOP\n', 'BDAT 14 LAST\r\n'],
    ['NOOP\nB', 'DAT 14 LAST\r\n'],
  ]) {
    await withClient({}, async (client) => {
      for (const part of parts) {
        client.sendRaw(part)
        assert.equal(await client.reply(), '500 5.5.2 lines must end with CR LF')
      }
      client.sendRaw('MAIL FROM:<>\r\n')
      await client.closed()
      assert.equal(client.pending, '')
    })
  }
})

test('nor where it comes in the middle of an authentication', async () => {
  const options = {
    smtp_extensions: ['AUTH LOGIN'],
    authloginparameters: { uri: 'file:///users' },
    allow_plaintext_auth: true,
  }
  await withClient({ options }, async (client) => {
    await client.command('EHLO c.example')
    assert.match(await client.command('AUTH LOGIN'), /^334 /)
    client.sendRaw('dXNlcg==\nBDAT 14 LAST\r\nMAIL FROM:<>\r\n')
    assert.equal(await client.reply(), '500 5.5.6 authentication exchange line is too long')
    await client.closed()
    assert.equal(client.pending, '')
  })
})

test('a client that shuts its side after its commands hears all that there is to say', async () => {
  await withClient({}, async (client) => {
    client.sendRaw('NOOP\r\nVRFY x\r\nMAIL FROM:<>\r\nNO')
    client.end()
    for (const code of ['250', '252', '250']) assert.equal((await client.reply()).slice(0, 3), code)
    await client.closed()
    assert.equal(client.pending, '')
  })
})

test('a server that begins to drain ends a pipeline at the next command, and a transaction first', async () => {
  for (const transaction of [false, true]) {
    let commands = 0
    let drain: (() => void) | undefined
    const policy = {
      ehlo: () => {
        commands += 1
        if (commands === 150) drain?.()
        return undefined
      },
    }
    await withClient({ policy }, async (client, host) => {
      drain = host.drain
      const last = transaction ? 'MAIL FROM:<>\r\nRSET\r\n' : ''
      client.sendRaw(`${'EHLO c.example\r\n'.repeat(149)}${last}${'EHLO c.example\r\n'.repeat(100)}`)
      for (let i = 0; i < 149; i += 1) assert.match(await client.reply(), /^250-/)
      if (transaction) {
        assert.match(await client.reply(), /^250 2\.1\.0/)
        assert.match(await client.reply(), /^250 2\.0\.0/)
      }
      assert.match(await client.reply(), /^250-/)
      assert.equal(await client.reply(), '421 4.4.5 Service unavailable')
      await client.closed()
      assert.equal(client.pending, '')
    })
  }
})

test('a line that comes octet by octet gains no time', async () => {
  await withClient({ options: { idle_time: 0.2 } }, async (client, host) => {
    const began = performance.now()
    const drip = setInterval(() => client.sendRaw('N'), 20)
    try {
      assert.match(await client.reply(), /^421 4\.4\.2 /)
    } finally {
      clearInterval(drip)
    }
    assert.ok(performance.now() - began < 5000)
    await host.sessionsEnded()
  })
})
