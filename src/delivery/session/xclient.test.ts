import assert from 'node:assert/strict'
import { test } from 'node:test'
import { storedMessage } from '../../../test/support/messages.ts'
import { SmtpSink } from '../../../test/support/smtp-sink.ts'
import type { ServerEvent } from '../../events/events.ts'
import { against, transportFor, tryAt } from './session.fixture.ts'

const TAKES = ['XCLIENT NAME ADDR PORT PROTO HELO LOGIN']
const message = storedMessage('m', {
  client: { address: '2001:db8::7', port: 4711 },
  connectionContext: { ehlo_domain: 'a=b+c d', auth_user: 'ü' },
})

test('by default nobody is told whom a message came from', async () => {
  const { sink } = await against({ extensions: TAKES }, { message })
  assert.ok(!sink.commands.some((line) => line.startsWith('XCLIENT')))
})

test('the host is told what it takes, in xtext, and EHLO is said again', async () => {
  const { result, sink } = await against({ extensions: TAKES }, { message, options: { xclient: 'required' } })
  assert.equal(result.kind, 'delivered', result.text)
  assert.deepEqual(sink.commands.slice(0, 3), [
    'EHLO gate.test',
    'XCLIENT NAME=[UNAVAILABLE] ADDR=IPV6:2001:db8::7 PORT=4711 PROTO=ESMTP HELO=a+3Db+2Bc+20d LOGIN=+FC',
    'EHLO gate.test',
  ])
  const some = await against({ extensions: ['XCLIENT ADDR'] }, { options: { xclient: 'ifavailable' } })
  assert.ok(some.sink.commands.includes('XCLIENT ADDR=192.0.2.1'))
})

test('a host without XCLIENT, or one that refuses it, gets no mail where it is required', async () => {
  for (const script of [
    {},
    { extensions: ['XCLIENT NAME'] },
    { extensions: TAKES, xclient: '550 5.7.0 no' },
  ]) {
    const { result, sink } = await against(script, { message, options: { xclient: 'required' } })
    assert.equal(result.kind, 'transient')
    assert.match(result.text, /^451 4\.7\.0 \[internal\] XCLIENT /)
    assert.deepEqual(sink.received, [])
    const may = await against(script, { message, options: { xclient: 'ifavailable' } })
    assert.equal(may.result.kind, 'delivered', may.result.text)
  }
})

test('a connection that speaks for one client is not used for another', async () => {
  const sink = await SmtpSink.start({ extensions: TAKES })
  const events: ServerEvent[] = []
  const transport = transportFor({}, { port: sink.port, events })
  const options = { xclient: 'required', idle_timeout: 60 } as const
  try {
    const other = storedMessage('n', { client: { address: '192.0.2.9', port: 1 } })
    for (const each of [message, other, message, other])
      await tryAt(sink, { transport, options, message: each })
    assert.equal(sink.connections, 2)
    assert.equal(sink.received.length, 4)
  } finally {
    transport.close()
    await sink.close()
  }
})
