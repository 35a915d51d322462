import assert from 'node:assert/strict'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { test } from 'node:test'
import { contentOf, storedMessage } from '../../test/support/messages.ts'
import { noMx } from '../../test/support/no-mx.ts'
import { type SinkScript, SmtpSink } from '../../test/support/smtp-sink.ts'
import type { OutboundValues } from '../config/settings.ts'
import type { StoredContent } from '../spool/spool.ts'
import { against, attempt, content, resolver } from './attempt.fixture.ts'
import { SmtpTransport } from './attempt.ts'
import type { AttemptResult } from './transport.ts'

test('a message arrives whole, with its dots, after the envelope that was kept', async () => {
  const { result, sink } = await against({})
  const bytes = content.header.length + content.bodySize
  assert.deepEqual(result, {
    kind: 'delivered',
    stage: 9,
    text: '250 2.0.0 kept',
    bytes,
    remote: '127.0.0.1',
    local: '127.0.0.1',
  })
  assert.deepEqual(sink.received, [
    {
      mail: `MAIL FROM:<alice@example.org> SIZE=${bytes}`,
      rcpt: ['RCPT TO:<bob@example.com>'],
      content: 'Subject: hi\r\n\r\none\r\n.two\r\n..three\r\n.\r\nfour\r\n',
    },
  ])
  assert.deepEqual(
    sink.commands.map((line) => line.split(/[ :]/)[0]),
    ['EHLO', 'MAIL', 'RCPT', 'DATA', 'QUIT'],
  )
})

test('MAIL, RCPT and DATA go together only where PIPELINING is offered', async () => {
  const together = await against({ extensions: ['PIPELINING'] })
  assert.ok(
    together.sink.chunks.includes('MAIL FROM:<alice@example.org>\r\nRCPT TO:<bob@example.com>\r\nDATA\r\n'),
  )
  const apart = await against({ extensions: ['8BITMIME'] })
  assert.ok(apart.sink.chunks.includes('MAIL FROM:<alice@example.org>\r\n'))
  assert.equal(apart.result.kind, 'delivered')
})

test('a host that does not know EHLO gets HELO, and no parameters', async () => {
  const { result, sink } = await against({ ehlo: '502 5.5.1 what?' })
  assert.equal(result.kind, 'delivered')
  assert.deepEqual(sink.commands.slice(0, 3), [
    'EHLO mx.test',
    'HELO mx.test',
    'MAIL FROM:<alice@example.org>',
  ])
})

test('EHLO says the configured name, or the sender’s domain', async () => {
  const named = await against({}, { options: { ehlo_hostname: 'gate.test' } })
  assert.equal(named.sink.commands[0], 'EHLO gate.test')
  const own = await against({}, { options: { ehlo_hostname: '__message__' } })
  assert.equal(own.sink.commands[0], 'EHLO example.org')
  const bounce = storedMessage('b', { sender: undefined })
  const nobody = await against({}, { options: { ehlo_hostname: '__message__' }, message: bounce })
  assert.deepEqual(nobody.sink.commands.slice(0, 1), ['EHLO mx.test'])
  assert.match(nobody.sink.commands[1] ?? '', /^MAIL FROM:<> SIZE=/)
})

const steps: readonly (readonly [keyof SinkScript, number])[] = [
  ['banner', 12],
  ['ehlo', 11],
  ['mail', 3],
  ['rcpt', 5],
  ['data', 7],
  ['message', 9],
]

for (const [step, stage] of steps) {
  test(`a 4xx answer at ${step} is a transient failure with its text, a 5xx one a permanent failure`, async () => {
    for (const extensions of [['PIPELINING'], []]) {
      const later = await against({ [step]: '450-4.2.0 please\r\n450 4.2.0 later', extensions })
      const { kind, text } = later.result
      assert.deepEqual([kind, later.result.stage, text], ['transient', stage, '450 4.2.0 please 4.2.0 later'])
      assert.equal(later.result.remote, '127.0.0.1')
      assert.equal(later.result.bytes > 0, step !== 'banner')
      assert.deepEqual(later.sink.received, [])
      if (step === 'ehlo') continue
      const never = await against({ [step]: '550 5.7.1 no', extensions })
      assert.deepEqual(
        [never.result.kind, never.result.stage, never.result.text],
        ['permanent', stage, '550 5.7.1 no'],
      )
    }
  })

  test(`a connection that is lost, or an answer that does not come, at ${step} is a transient failure`, async () => {
    const lost = await against({ [step]: 'drop', extensions: [] })
    assert.deepEqual([lost.result.kind, lost.result.stage], ['transient', stage])
    assert.match(lost.result.text, /^451 4\.4\.2 \[internal\] Connection (closed|reset) by the remote host$/)
    const short = { ehlo_timeout: 0.05, mailfrom_timeout: 0.05, rcptto_timeout: 0.05, body_timeout: 0.05 }
    const silent = await against({ [step]: 'hang', extensions: [] }, { options: short })
    assert.deepEqual([silent.result.kind, silent.result.stage], ['transient', stage])
    assert.match(silent.result.text, /^451 4\.4\.2 \[internal\] Timed out waiting for the /)
  })
}

test('an answer that trickles in does not outlast the deadline of its step', async () => {
  const trickle = { trickle: '250-and\r\n'.repeat(100), everyMs: 5 }
  const { result } = await against({ mail: trickle, extensions: [] }, { options: { mailfrom_timeout: 0.2 } })
  assert.deepEqual([result.kind, result.stage], ['transient', 3])
  assert.equal(result.text, '451 4.4.2 [internal] Timed out waiting for the reply to MAIL FROM')
})

test('nothing is sent before the banner, and what is not SMTP is not talked to', async () => {
  const silent = await against({ banner: 'hang' }, { options: { ehlo_timeout: 0.05 } })
  assert.deepEqual([silent.sink.commands, silent.result.bytes], [[], 0])
  const banners = [
    'HTTP/1.1 400 Bad Request',
    '220\u0000x',
    'x'.repeat(5000),
    '220-a\r\n221 b',
    '099 x',
    '220 a\nb',
  ]
  for (const banner of banners) {
    const { result, sink } = await against({ banner })
    assert.deepEqual([result.kind, result.stage], ['transient', 12], banner.slice(0, 20))
    assert.match(result.text, /does not speak SMTP|Unexpected reply/)
    assert.deepEqual(sink.commands, [])
  }
  const flood = await against({ banner: '220 hi\r\n'.repeat(20) })
  assert.match(flood.result.text, /does not speak SMTP/)
})

test('an answer of the wrong kind is a transient failure', async () => {
  for (const script of [{ banner: '354 x' }, { mail: '354 x' }, { data: '250 x' }, { message: '354 x' }]) {
    const { result } = await against(script)
    assert.equal(result.kind, 'transient')
    assert.match(result.text, /^451 4\.5\.0 \[internal\] Unexpected reply from the remote host: /)
  }
})

/** A body that only ends when nobody wants more of it. */
function longBody(octets: number): StoredContent {
  const chunk = Buffer.from(`${'x'.repeat(70)}\r\n`.repeat(900))
  return {
    header: Buffer.from('Subject: long\r\n\r\n'),
    bodySize: octets,
    body: async function* () {
      for (let sent = 0; sent < octets; sent += chunk.length) yield await Promise.resolve(chunk)
    },
  }
}

test('a host that drops the connection in the middle of the message has not taken it', async () => {
  const { result, sink } = await against(
    { inData: { after: 100_000, answer: 'drop' } },
    { content: longBody(30_000_000) },
  )
  assert.deepEqual([result.kind, result.stage], ['transient', 8])
  assert.deepEqual(sink.received, [])
})

test('a host that answers in the middle of the message gets no more of it, and its answer counts', async () => {
  const cases = [
    ['552 5.3.4 too much', 'permanent', /^552 5\.3\.4 too much$/],
    ['452 4.3.1 full', 'transient', /^452 4\.3\.1 full$/],
    ['250 2.0.0 thanks', 'transient', /Unexpected reply.*250/],
  ] as const
  for (const [answer, kind, text] of cases) {
    const { result } = await against(
      { inData: { after: 100_000, answer } },
      { content: longBody(200_000_000) },
    )
    assert.deepEqual([result.kind, result.stage], [kind, 8])
    assert.match(result.text, text)
    assert.ok(result.bytes < 100_000_000)
  }
})

test('a host that stops reading is given up after Body_Timeout', async () => {
  const sockets: Socket[] = []
  const server = createServer((socket) => {
    sockets.push(socket)
    socket.on('error', () => undefined)
    socket.write('220 x\r\n250 x\r\n250 x\r\n250 x\r\n354 x\r\n')
    socket.pause()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  assert.ok(typeof address === 'object' && address !== null)
  const result = await attempt({
    hosts: [{ host: '127.0.0.1', port: address.port }],
    options: { body_timeout: 0.1 },
    content: longBody(200_000_000),
  })
  assert.deepEqual(
    [result.kind, result.stage, result.text],
    ['transient', 8, '451 4.4.2 [internal] Timed out sending the message'],
  )
  for (const socket of sockets) socket.destroy()
  await new Promise((resolve) => server.close(resolve))
})

test('what a host cannot take is not offered to it', async () => {
  const eight = storedMessage('e', { bodyType: '8BITMIME' })
  const declared = await against({}, { message: eight })
  assert.match(declared.sink.received[0]?.mail ?? '', / BODY=8BITMIME$/)
  const signed = contentOf(
    'Content-Type: multipart/signed; boundary=b\r\n\r\n',
    '--b\r\n\r\n\xe9\r\n--b--\r\n',
  )
  const refused = await against({ extensions: ['SIZE'] }, { message: eight, content: signed })
  assert.deepEqual([refused.result.kind, refused.result.text.slice(0, 9)], ['permanent', '554 5.6.3'])
  const large = await against({ extensions: ['SIZE 20'] })
  assert.deepEqual([large.result.kind, large.result.text.slice(0, 9)], ['permanent', '552 5.3.4'])
  for (const { sink } of [refused, large]) assert.deepEqual(sink.commands, ['EHLO mx.test', 'QUIT'])
})

test('an address can never bring a command of its own', async () => {
  const hostile = storedMessage('h', {
    sender: { local: 'a\r\nRCPT TO:<evil@x>', domain: 'x.test\r\nDATA' },
    recipient: { local: 'b>\r\nQUIT', domain: 'example.com' },
  })
  const { sink } = await against({}, { message: hostile })
  assert.equal(sink.commands.filter((line) => /^(?:RCPT|DATA|QUIT)/.test(line)).length, 3)
  assert.ok(sink.commands.every((line) => /^[ -~]*$/.test(line)))
})

test('an attempt can be broken off at any step, and leaves no connection', async () => {
  for (const step of ['banner', 'ehlo', 'mail', 'rcpt', 'data', 'message'] as const) {
    const sink = await SmtpSink.start({ [step]: 'hang' })
    const stop = new AbortController()
    const broken = assert.rejects(
      attempt({ hosts: [{ host: '127.0.0.1', port: sink.port }], signal: stop.signal }),
      /stopping/,
    )
    const last = { banner: '', ehlo: 'EHLO', mail: 'DATA', rcpt: 'DATA', data: 'DATA', message: 'DATA' }[step]
    await sink.until(
      ({ commands, connections }) => connections === 1 && (commands.at(-1) ?? '').startsWith(last),
    )
    stop.abort(new Error('stopping'))
    await broken
    await sink.until(({ open }) => open === 0)
    await sink.close()
  }
})

/** Several attempts by one transport, each after the one before it has ended. */
async function inTurn(
  script: SinkScript | ((connection: number) => SinkScript),
  count: number,
  options: Partial<OutboundValues> = {},
): Promise<{ readonly sink: SmtpSink; readonly results: readonly AttemptResult[] }> {
  const sink = await SmtpSink.start(script)
  const transport = new SmtpTransport({ resolver, mx: noMx, hostname: 'mx.test' })
  const results: AttemptResult[] = []
  for (let n = 0; n < count; n++) {
    const hosts = [{ host: '127.0.0.1', port: sink.port }]
    results.push(await attempt({ hosts, transport, options: { idle_timeout: 5, ...options } }))
  }
  transport.close()
  await sink.until(({ open }) => open === 0)
  await sink.close()
  return { sink, results }
}

const verbs = (sink: SmtpSink) => sink.commands.map((line) => line.split(/[ :]/)[0]).join(' ')

test('a connection is used for the next message to the same host, after RSET, and ended by QUIT', async () => {
  const { sink, results } = await inTurn({}, 3)
  assert.equal(sink.connections, 1)
  assert.equal(sink.received.length, 3)
  assert.deepEqual(new Set(results.map(({ bytes }) => bytes)).size, 1)
  assert.equal(verbs(sink), 'EHLO MAIL RCPT DATA RSET MAIL RCPT DATA RSET MAIL RCPT DATA QUIT')
})

test('a connection on which a message was refused is used again, unless the host said 421', async () => {
  const refused = await inTurn({ rcpt: '550 5.1.1 no' }, 2)
  assert.equal(refused.sink.connections, 1)
  const [first, second] = refused.results
  assert.equal(second?.bytes, first === undefined ? 0 : first.bytes - 'EHLO mx.test\r\n'.length)
  const closing = await inTurn({ rcpt: '421 4.3.2 closing' }, 2)
  assert.equal(closing.sink.connections, 2)
})

test('a connection that does not answer RSET costs nothing but itself', async () => {
  for (const rset of ['drop', 'hang', '421 4.4.2 idle for too long'] as const) {
    const { sink, results } = await inTurn({ rset }, 2, { rset_timeout: 1 })
    assert.equal(sink.connections, 2, rset)
    assert.deepEqual(
      results.map(({ kind }) => kind),
      ['delivered', 'delivered'],
    )
  }
})

test('a connection takes so many messages and no more', async () => {
  const { sink } = await inTurn({}, 5, { max_deliveries_per_connection: 2 })
  assert.equal(sink.connections, 3)
})

test('an idle connection says QUIT when its time is up', async () => {
  const sink = await SmtpSink.start()
  const transport = new SmtpTransport({ resolver, mx: noMx, hostname: 'mx.test' })
  const hosts = [{ host: '127.0.0.1', port: sink.port }]
  await attempt({ hosts, transport, options: { idle_timeout: 1 } })
  await sink.until(({ open }) => open === 0)
  assert.equal(sink.commands.at(-1), 'QUIT')
  await sink.close()
})

test('a connection that the host closed, or spoke on, while it was idle is not used', async () => {
  for (const end of [true, false]) {
    const sockets: Socket[] = []
    const sink = await SmtpSink.start()
    const front = createServer((socket) => {
      sockets.push(socket)
      const back = connect(sink.port, '127.0.0.1')
      socket.pipe(back).pipe(socket)
      for (const each of [socket, back]) each.on('error', () => undefined)
    })
    await new Promise<void>((resolve) => front.listen(0, '127.0.0.1', resolve))
    const { port } = front.address() as AddressInfo
    const transport = new SmtpTransport({ resolver, mx: noMx, hostname: 'mx.test' })
    const run = async () =>
      await attempt({ hosts: [{ host: '127.0.0.1', port }], transport, options: { idle_timeout: 5 } })
    assert.equal((await run()).kind, 'delivered')
    if (end) sockets[0]?.destroy()
    else sockets[0]?.write('421 4.4.2 bye\r\n')
    await new Promise((resolve) => setTimeout(resolve, 50))
    assert.equal((await run()).kind, 'delivered')
    assert.equal(sockets.length, 2)
    assert.ok(!sink.commands.includes('RSET'))
    transport.close()
    for (const socket of sockets) socket.destroy()
    await new Promise((resolve) => front.close(resolve))
    await sink.close()
  }
})

test('an attempt that is broken off on a used connection throws the reason', async () => {
  const sink = await SmtpSink.start({ rset: 'hang' })
  const transport = new SmtpTransport({ resolver, mx: noMx, hostname: 'mx.test' })
  const hosts = [{ host: '127.0.0.1', port: sink.port }]
  await attempt({ hosts, transport, options: { idle_timeout: 5 } })
  const stop = new AbortController()
  const second = attempt({ hosts, transport, options: { idle_timeout: 5 }, signal: stop.signal })
  await sink.until(({ commands }) => commands.includes('RSET'))
  stop.abort(new Error('stopping'))
  await assert.rejects(second, /stopping/)
  await sink.close()
})
