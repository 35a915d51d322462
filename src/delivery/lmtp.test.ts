import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { contentOf, openGate, outboundDefaults, storedMessage } from '../../test/support/messages.ts'
import { noMx } from '../../test/support/no-mx.ts'
import { type SinkScript, SmtpSink } from '../../test/support/smtp-sink.ts'
import { StaticResolver } from '../../test/support/static-resolver.ts'
import type { OutboundValues } from '../config/settings.ts'
import { SmtpTransport } from './attempt.ts'
import type { NextHop } from './route.ts'
import type { MessageResult } from './transport.ts'

const content = contentOf('Subject: hi\r\n\r\n', 'one\r\n.two\r\n')

function to(...names: readonly string[]) {
  return names.map((local) => storedMessage(local, { recipient: { local, domain: 'example.com' } }))
}

async function deliver(
  hops: readonly NextHop[],
  names: readonly string[],
  options: Partial<OutboundValues> = {},
): Promise<readonly MessageResult[]> {
  const transport = new SmtpTransport({
    resolver: new StaticResolver({}),
    mx: noMx,
    hostname: 'mx.test',
  })
  try {
    return await transport.deliver(to(...names), content, {
      route: { kind: 'smtp', hosts: hops },
      options: { ...outboundDefaults, delivery_method: 'LMTP', ...options },
      mayRepeat: false,
      gate: openGate,
      signal: new AbortController().signal,
    })
  } finally {
    transport.close()
  }
}

/** `delivered 250 2.0.0 kept` for each recipient, and what the sink saw. */
async function against(
  script: SinkScript,
  names: readonly string[],
  options: Partial<OutboundValues> = {},
): Promise<{ readonly results: readonly string[]; readonly sink: SmtpSink }> {
  const sink = await SmtpSink.start(script)
  try {
    const results = await deliver([{ host: '127.0.0.1', port: sink.port }], names, options)
    await sink.until(({ open }) => open === 0)
    return {
      results: results.map((each) => ('text' in each ? `${each.kind} ${each.text}` : each.kind)),
      sink,
    }
  } finally {
    await sink.close()
  }
}

const verbs = (sink: SmtpSink): readonly string[] => sink.commands.map((line) => line.split(/[ :]/)[0] ?? '')

test('LMTP greets with LHLO, and each recipient has an answer of its own to the message', async () => {
  const { results, sink } = await against(
    {
      rcpt: (line) => (line.includes('nobody') ? '550 5.1.1 no such user' : '250 ok'),
      messageFor: (line) =>
        line.includes('full')
          ? '452 4.2.2 full'
          : line.includes('sorry')
            ? '554 5.7.1 not for me'
            : '250 2.0.0 kept',
    },
    ['ann', 'nobody', 'full', 'sorry', 'bob'],
  )
  assert.deepEqual(results, [
    'delivered 250 2.0.0 kept',
    'permanent 550 5.1.1 no such user',
    'transient 452 4.2.2 full',
    'permanent 554 5.7.1 not for me',
    'delivered 250 2.0.0 kept',
  ])
  assert.deepEqual(verbs(sink), ['LHLO', 'MAIL', 'RCPT', 'RCPT', 'RCPT', 'RCPT', 'RCPT', 'DATA', 'QUIT'])
  assert.deepEqual(
    sink.received.map(({ rcpt }) => rcpt),
    [['RCPT TO:<ann@example.com>', 'RCPT TO:<bob@example.com>']],
  )
})

test('a hundred recipients have a hundred answers, without pipelining too', async () => {
  const names = Array.from({ length: 100 }, (_, n) => `user${n}`)
  for (const extensions of [['PIPELINING'], []]) {
    const { results } = await against(
      { extensions, messageFor: (_, index) => (index % 2 === 0 ? '250 yes' : '550 no') },
      names,
    )
    assert.equal(results.filter((each) => each === 'delivered 250 yes').length, 50)
    assert.equal(results.filter((each) => each === 'permanent 550 no').length, 50)
  }
})

test('a connection that breaks among the answers settles those that have come, and no others', async () => {
  const { results } = await against(
    { messageFor: (_, index) => ['250 kept', '550 no', 'drop', '250 kept'][index] ?? '' },
    ['a', 'b', 'c', 'd'],
  )
  assert.deepEqual(results, [
    'delivered 250 kept',
    'permanent 550 no',
    'transient 451 4.4.2 [internal] Connection closed by the remote host',
    'transient 451 4.4.2 [internal] Connection closed by the remote host',
  ])
})

test('answers that are missing are waited for no longer than Body_Timeout', async () => {
  const { results } = await against(
    { messageFor: (_, index) => (index === 0 ? '250 kept' : 'hang') },
    ['a', 'b'],
    { body_timeout: 0.2 },
  )
  assert.deepEqual(results, [
    'delivered 250 kept',
    'transient 451 4.4.2 [internal] Timed out waiting for the confirmation of the message',
  ])
})

test('an answer that makes no sense counts for nobody after it', async () => {
  const { results } = await against(
    { messageFor: (_, index) => ['250 kept', '354 go on', '250 kept'][index] ?? '' },
    ['a', 'b', 'c'],
  )
  assert.equal(results[0], 'delivered 250 kept')
  assert.match(results[1] ?? '', /^transient 451 4\.5\.0 \[internal\] Unexpected reply/)
  assert.match(results[2] ?? '', /^transient 451 4\.5\.0 \[internal\] Unexpected reply/)
})

test('what is said before the message is whole is for the first recipient alone', async () => {
  const { results } = await against(
    { inData: { after: 10, answer: '554 5.6.0 enough' }, message: '250 kept' },
    ['a', 'b'],
    {},
  )
  // the answer may also come when everything has been sent, and then is the first of two of which one is missing
  assert.equal(results[0], 'permanent 554 5.6.0 enough')
  assert.match(results[1] ?? '', /^(?:transient 451|delivered 250)/)
})

test('answers beyond the number of recipients end it, and give nobody an answer of somebody else', async () => {
  const { results } = await against({ message: Array.from({ length: 30 }, () => '250 more').join('\r\n') }, [
    'a',
    'b',
  ])
  for (const each of results) assert.match(each, /^(?:transient 451 4\.5\.0|delivered 250 more)/)
})

test('a host that takes DATA for nobody is not asked what it makes of it', async () => {
  const { results, sink } = await against({ rcpt: '550 no', data: '354 go ahead' }, ['a'])
  assert.deepEqual(results, ['permanent 550 no'])
  assert.equal(verbs(sink).at(-1), 'DATA')
})

test('LMTP never falls back to HELO, and a host without LHLO gets nothing', async () => {
  const { results, sink } = await against({ ehlo: '500 5.5.1 what?' }, ['a'])
  assert.deepEqual(results, ['permanent 500 5.5.1 what?'])
  assert.ok(!verbs(sink).includes('HELO') && !verbs(sink).includes('EHLO'))
})

test('a session is kept for the next message of the same method alone', async () => {
  const sink = await SmtpSink.start({ messageFor: () => '250 kept' })
  const transport = new SmtpTransport({ resolver: new StaticResolver({}), mx: noMx, hostname: 'mx.test' })
  try {
    for (const delivery_method of ['LMTP', 'LMTP', 'ESMTP'] as const) {
      await transport.deliver(to('a'), content, {
        route: { kind: 'smtp', hosts: [{ host: '127.0.0.1', port: sink.port }] },
        options: { ...outboundDefaults, delivery_method, idle_timeout: 5 },
        mayRepeat: false,
        gate: openGate,
        signal: new AbortController().signal,
      })
    }
    assert.deepEqual(
      verbs(sink).filter((verb) => /[LE]HLO|RSET/.test(verb)),
      ['LHLO', 'RSET', 'EHLO'],
    )
  } finally {
    transport.close()
    await sink.close()
  }
})

test('SMTP says HELO alone, and uses no extension', async () => {
  const { results, sink } = await against({}, ['a'], { delivery_method: 'SMTP' })
  assert.deepEqual(results, ['delivered 250 2.0.0 kept'])
  assert.deepEqual(sink.commands.slice(0, 2), ['HELO mx.test', 'MAIL FROM:<alice@example.org>'])
})

test('a UNIX socket is a next hop, by LMTP and by SMTP; one that is not there is tried again later', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'postern-lmtp-'))
  const path = join(folder, 'lmtp')
  const sink = await SmtpSink.start({ messageFor: () => '250 kept' }, path)
  try {
    const [result] = await deliver([{ host: path, port: 0 }], ['a'])
    assert.ok(result !== undefined && 'remote' in result)
    assert.deepEqual([result.kind, result.text, result.remote], ['delivered', '250 kept', path])
    // an address of our own says nothing about sockets
    const [bound] = await deliver([{ host: path, port: 0 }], ['a'], { bind_address: '127.0.0.1' })
    assert.equal(bound?.kind, 'delivered')
  } finally {
    await sink.close()
    await rm(folder, { recursive: true })
  }
  const [missing] = await deliver([{ host: path, port: 0 }], ['a'])
  assert.ok(missing !== undefined && 'text' in missing)
  assert.deepEqual(
    [missing.kind, missing.text],
    ['transient', '451 4.4.1 [internal] There is no such socket'],
  )
})
