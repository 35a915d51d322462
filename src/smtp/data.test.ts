import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SmtpClient } from '../../test/support/smtp-client.ts'
import { MemorySpool } from '../spool/memory-spool.ts'
import type { ReceptionWriter } from '../spool/spool.ts'
import { SpoolFullError } from '../spool/spool.ts'
import { openData, withClient } from './with-client.fixture.ts'

test('line ends that are none, and NUL, are refused after the final dot; nothing between is taken for a command', async () => {
  const smuggled = 'MAIL FROM:<evil@x.example>\r\nRCPT TO:<y@local.example>\r\nDATA\r\n'
  const cases: [string, RegExp][] = [
    [`A: b\r\n\r\nx\n.\r\n${smuggled}`, /^550 5\.6\.0 Lone CR or LF in body/],
    [`A: b\r\n\r\nx\r\n.\n${smuggled}`, /^550 5\.6\.0 Lone CR or LF in body/],
    [`A: b\r\n\r\nx\r\n.\r${smuggled}`, /^550 5\.6\.0 Lone CR or LF in body/],
    [`A: b\r\n\r\nx\n.\n${smuggled}`, /^550 5\.6\.0 Lone CR or LF in body/],
    ['A: b\nC: d\r\n\r\nx', /^550 5\.6\.0 Lone CR or LF in headers/],
    ['A: b\r\n\r\nx\0y', /^550 5\.6\.0 NUL/],
    ['no header here\r\n\r\nx', /^550 5\.6\.0 Invalid header found/],
    ['\r\nx', /^550 5\.6\.0 Required headers not found/],
    [`A: ${'x'.repeat(300_000)}\r\n\r\nx`, /^552 5\.3\.4/],
    ['Received: x\r\n'.repeat(101), /^554 5\.4\.6/],
  ]
  await withClient({}, async (client, host) => {
    for (const [message, reply] of cases) {
      await openData(client)
      client.sendRaw(`${message}\r\n.\r\n`)
      assert.match(await client.reply(), reply)
      assert.equal(client.pending, '')
    }
    assert.equal(host.rejections().length, cases.length)
    assert.deepEqual([...new Set(host.rejections().map(({ state }) => state))], ['reading body'])
    assert.equal(host.rejections()[0]?.messageContext['rcptto_localpart'], 'x')
    assert.equal([...host.spool.messages()].length, 0)
    assert.match(await client.command('DATA'), /^503 5\.5\.1 DATA without MAIL FROM/)
  })
})

test('a large message is kept octet for octet, however the socket cuts it', async () => {
  const lines = Array.from(
    { length: 60_000 },
    (_, n) => `${n % 7 === 0 ? '.' : ''}${n} ${'x'.repeat(n % 70)}\r\n`,
  )
  await withClient({}, async (client, host) => {
    await openData(client)
    client.sendRaw(`A: b\r\n\r\n${lines.join('').replace(/^\./gm, '..')}.\r\n`)
    assert.match(await client.reply(), /^250/)
    const [message] = host.spool.messages()
    const body: Uint8Array[] = []
    for await (const piece of (await host.spool.read(message?.envelope.id ?? ''))?.body() ?? [])
      body.push(piece)
    assert.ok(Buffer.concat(body).equals(Buffer.from(lines.join(''), 'latin1')))
  })
})

test('a header alone is a message, and a hundred Received lines are not too many', async () => {
  await withClient({}, async (client, host) => {
    await openData(client)
    assert.match(await client.command('Subject: nothing more\r\n.'), /^250/)
    await openData(client)
    assert.match(await client.command(`${'Received: x\r\n'.repeat(100)}\r\n.`), /^250/)
    assert.equal(host.enqueued.length, 2)
    assert.match(
      Buffer.from(host.enqueued[0]?.header ?? []).toString('latin1'),
      /\r\nSubject: nothing more\r\n\r\n$/,
    )
  })
})

test('a header of very many fields for very many recipients does not keep other sessions waiting', async () => {
  const few = await longestWait(10)
  const many = await longestWait(1000)
  // a hundred times as many, and nothing that is done for each field is done for each recipient
  assert.ok(many < 25 * few, `${many} ms, and ${few} ms for few`)
})

/** @returns how long another session waits at most for the answer to NOOP, in milliseconds */
async function longestWait(recipients: number): Promise<number> {
  const limits = { headerCopies: 1024 * 1024 * 1024 }
  let longest = 0
  await withClient({ services: { limits } }, async (client, host) => {
    await openData(client, ...Array.from({ length: recipients }, (_, i) => `r${i}@local.example`))
    const other = await SmtpClient.connect(host.address)
    await other.reply()
    const answer = client.command(`${'a:\r\n'.repeat(60_000)}\r\n.`)
    while (host.enqueued.length === 0) {
      const started = performance.now()
      assert.match(await other.command('NOOP'), /^250/)
      longest = Math.max(longest, performance.now() - started)
    }
    assert.match(await answer, /^250/)
    assert.equal(host.enqueued.length, recipients)
    other.destroy()
  })
  return longest
}

test('a large header times many recipients is refused, since each gets a copy', async () => {
  await withClient({ services: { limits: { headerCopies: 10_000 } } }, async (client, host) => {
    const header = `A: ${'x'.repeat(900)}\r\n`
    const recipients = Array.from({ length: 12 }, (_, i) => `r${i}@local.example`)
    await openData(client, ...recipients)
    assert.equal(await client.command(`${header}\r\n.`), '552 5.3.4 header too large for so many recipients')
    assert.deepEqual(host.enqueued, [])
    await openData(client, ...recipients.slice(4))
    assert.match(await client.command(`${header}\r\n.`), /^250/)
  })
})

test('a client that is too slow hears 421 4.4.2', async () => {
  const cases = [
    { options: { data_timeout: 0.1 } },
    { options: { idle_time: 0.5 } },
    { options: { data_minimum_rate: 1000 }, services: { limits: { rateWindow: 50 } } },
  ]
  for (const given of cases) {
    await withClient(given, async (client, host) => {
      await openData(client)
      const trickle = setInterval(
        () => client.sendRaw('x'),
        given.options.idle_time === undefined ? 10 : 1000,
      )
      try {
        assert.match(await client.reply(), /^421 4\.4\.2 /)
      } finally {
        clearInterval(trickle)
      }
      await client.closed()
      assert.equal(host.rejections().length, 1)
    })
  }
})

test('a client at the minimum rate is served', async () => {
  const given = { options: { data_minimum_rate: 1000 }, services: { limits: { rateWindow: 20 } } }
  await withClient(given, async (client) => {
    await openData(client)
    client.sendRaw('A: b\r\n\r\n')
    for (let i = 0; i < 20; i += 1) {
      client.sendRaw(`${'x'.repeat(100)}\r\n`)
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    assert.match(await client.command('.'), /^250/)
  })
})

test('a spool that fills up in mid-message gives 452, and the session goes on', async () => {
  let capacity = 5000
  const spool = new MemorySpool({ capacity: () => capacity })
  await withClient({ spool }, async (client, host) => {
    await openData(client)
    assert.equal(
      await client.command(`A: b\r\n\r\n${'x'.repeat(20_000)}\r\n.`),
      '452 4.3.1 insufficient system storage',
    )
    assert.deepEqual(host.rejected(), ['reading body: 452 4.3.1 insufficient system storage (spool)'])
    capacity = 50_000
    await openData(client)
    assert.match(await client.command(`A: b\r\n\r\n${'x'.repeat(20_000)}\r\n.`), /^250/)
    // full at the moment of the commit
    await openData(client)
    capacity = 0
    assert.match(await client.command('A: b\r\n\r\n.'), /^452/)
    assert.equal(host.enqueued.length, 1)
  })
})

test('a disk that turns out to be full after the last octets gives 452, and policy is not asked about the message', async () => {
  const spool = new MemorySpool()
  const create = spool.create.bind(spool)
  spool.create = () => Object.assign(create(), { settle: () => Promise.reject(new SpoolFullError()) })
  let asked = 0
  const policy = { data_spool: () => ({ kind: 'continue', asked: (asked += 1) }) as const }
  await withClient({ spool, policy, options: { smtp_extensions: ['CHUNKING'] } }, async (client) => {
    await openData(client)
    assert.equal(await client.command('A: b\r\n\r\nx\r\n.'), '452 4.3.1 insufficient system storage')
    assert.match(await client.command('MAIL FROM:<sender@from.example>'), /^250/)
    assert.match(await client.command('RCPT TO:<x@local.example>'), /^250/)
    client.sendRaw('BDAT 11 LAST\r\nA: b\r\n\r\nx\r\n')
    assert.equal(await client.reply(), '452 4.3.1 insufficient system storage')
    assert.match(await client.command('NOOP'), /^250/)
    assert.equal(asked, 0)
  })
})

test('an error of the spool while the body comes in never turns the body into commands', async () => {
  const spool = new MemorySpool()
  const create = spool.create.bind(spool)
  spool.create = () => broken(create(), 'append')
  await withClient({ spool }, async (client, host) => {
    await openData(client)
    client.sendRaw('A: b\r\n\r\none\r\n')
    client.sendRaw('QUIT\r\nRSET\r\n.\r\n')
    assert.equal(await client.reply(), '451 4.3.0 transaction failed')
    assert.match(await client.command('NOOP'), /^250/)
    assert.equal(client.pending, '')
    assert.equal(host.rejections().length, 1)
    assert.equal(host.events.filter(({ kind }) => kind === 'panic').length, 1)
  })
})

test('a disk that does not let go of a message that is refused never turns its rest into commands', async () => {
  const spool = new MemorySpool()
  const create = spool.create.bind(spool)
  spool.create = () =>
    Object.assign(create(), { abort: () => Promise.reject(new Error('EROFS: read-only file system')) })
  const smuggled = 'MAIL FROM:<evil@x.example>\r\n'.repeat(3)
  await withClient(
    { spool, options: { max_message_size: 100, smtp_extensions: ['CHUNKING'] } },
    async (client, host) => {
      await openData(client)
      client.sendRaw(`A: b\r\n\r\n${'x'.repeat(200)}\r\n`)
      client.sendRaw(`${smuggled}.\r\n`)
      assert.match(await client.reply(), /^552 5\.3\.4/)
      assert.match(await client.command('NOOP'), /^250/)
      assert.equal(client.pending, '')
      for (const line of ['MAIL FROM:<a@b.example>', 'RCPT TO:<x@local.example>'])
        assert.match(await client.command(line), /^250/)
      const body = `A: b\r\n\r\n${'x'.repeat(200)}\r\n${smuggled}`
      client.sendRaw(`BDAT ${body.length} LAST\r\n${body}`)
      assert.match(await client.reply(), /^552 5\.3\.4/)
      assert.match(await client.command('NOOP'), /^250/)
      assert.equal(client.pending, '')
      assert.equal(host.rejections().length, 2)
      assert.ok(host.events.some(({ kind }) => kind === 'panic'))
    },
  )
})

test('a commit that fails is never answered 250', async () => {
  const spool = new MemorySpool()
  const create = spool.create.bind(spool)
  spool.create = () => broken(create(), 'commit')
  await withClient({ spool }, async (client, host) => {
    await openData(client)
    assert.equal(await client.command('A: b\r\n\r\n.'), '451 4.3.0 transaction failed')
    assert.equal(host.enqueued.length, 0)
    assert.equal(host.events.filter(({ kind }) => kind === 'reception').length, 0)
  })
})

test('a message that is kept is answered 250 even when delivery cannot take it yet', async () => {
  await withClient({ services: { enqueue: closedQueue } }, async (client, host) => {
    await openData(client)
    assert.match(await client.command('A: b\r\n\r\n.'), /^250/)
    assert.equal([...host.spool.messages()].length, 1)
    assert.equal(host.events.filter(({ kind }) => kind === 'panic').length, 1)
  })
})

test('a client that leaves in mid-message leaves nothing behind', async () => {
  const aborted: number[] = []
  const spool = new MemorySpool()
  const create = spool.create.bind(spool)
  spool.create = () => {
    const writer = create()
    const abort = writer.abort.bind(writer)
    writer.abort = () => {
      aborted.push(writer.size)
      return abort()
    }
    return writer
  }
  await withClient({ spool }, async (client, host) => {
    await openData(client)
    client.sendRaw('A: b\r\n\r\nhalf a mess')
    client.end()
    await host.sessionsEnded()
    assert.deepEqual(aborted, [11])
    assert.equal([...spool.messages()].length, 0)
    assert.equal(host.rejections().length, 0)
  })
})

test('memory and spool see a large message in pieces', async () => {
  let largest = 0
  let total = 0
  const spool = new MemorySpool()
  spool.create = () => ({
    get size() {
      return total
    },
    settle: () => undefined,
    read: async () => new Uint8Array(),
    async *chunks() {},
    reserve: () => true,
    append: (chunk) => {
      largest = Math.max(largest, chunk.length)
      total += chunk.length
    },
    commit: () => Promise.resolve(),
    abort: () => Promise.resolve(),
  })
  await withClient({ spool }, async (client) => {
    await openData(client)
    const line = `${'x'.repeat(998)}\r\n`
    client.sendRaw('A: b\r\n\r\n')
    for (let i = 0; i < 20; i += 1) client.sendRaw(line.repeat(1000))
    assert.match(await client.command('.'), /^250/)
    assert.equal(total, 20_000_000)
    assert.ok(largest <= 65_536, `${largest}`)
  })
})

function broken(writer: ReceptionWriter, method: 'append' | 'commit'): ReceptionWriter {
  writer[method] = () => Promise.reject(new Error('EIO: i/o error'))
  return writer
}

function closedQueue(): never {
  throw new Error('queue is closed')
}

test('a BDAT line that cannot be read ends the connection: what it announces is never taken for commands', async () => {
  const smuggled = 'MAIL FROM:<evil@x.example>\r\n'
  const spoilt = ['BDAT 28\nLAST', 'BDAT 28\0', `BDAT 28 ${' '.repeat(5000)}LAST`, 'NOOP\nBDAT 28']
  for (const line of spoilt) {
    await withClient({}, async (client) => {
      client.sendRaw(`${line}\r\n${smuggled}`)
      assert.match(await client.reply(), /^500 5\.5\.2/)
      await client.closed()
      assert.equal(client.pending, '')
    })
  }
})
