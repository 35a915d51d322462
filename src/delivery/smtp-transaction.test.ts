import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { contentOf, openGate, outboundDefaults, storedMessage } from '../../test/support/messages.ts'
import { noMx } from '../../test/support/no-mx.ts'
import { holdsAsync } from '../../test/support/properties.ts'
import { type SinkScript, SmtpSink } from '../../test/support/smtp-sink.ts'
import { StaticResolver } from '../../test/support/static-resolver.ts'
import type { OutboundValues } from '../config/settings.ts'
import { SmtpTransport } from './attempt.ts'
import type { HostGate, MessageResult } from './transport.ts'

interface Batch {
  readonly options?: Partial<OutboundValues>
  readonly gate?: HostGate
  readonly body?: string
}

const HEADER = 'A: b\r\n\r\n'

/** Batches to these recipients, one after the other, by one transport. */
async function send(
  script: SinkScript,
  batches: readonly (readonly string[])[],
  batch: Batch = {},
): Promise<{ readonly sink: SmtpSink; readonly results: readonly string[][] }> {
  const { sink, answers } = await exchange(script, batches, batch)
  return { sink, results: answers.map((all) => all.map(textOf)) }
}

async function exchange(
  script: SinkScript,
  batches: readonly (readonly string[])[],
  { options, gate = openGate, body = 'body\r\n' }: Batch = {},
): Promise<{ readonly sink: SmtpSink; readonly answers: readonly (readonly MessageResult[])[] }> {
  const sink = await SmtpSink.start(script)
  const transport = new SmtpTransport({ resolver: new StaticResolver({}), mx: noMx, hostname: 'mx.test' })
  const answers: (readonly MessageResult[])[] = []
  for (const locals of batches) {
    const messages = locals.map((local) =>
      storedMessage(local, { recipient: { local, domain: 'example.com' } }),
    )
    const all = await transport.deliver(messages, contentOf(HEADER, body), {
      route: { kind: 'smtp', hosts: [{ host: '127.0.0.1', port: sink.port }] },
      options: { ...outboundDefaults, idle_timeout: 5, ...options },
      mayRepeat: false,
      gate,
      signal: new AbortController().signal,
    })
    answers.push(all)
  }
  transport.close()
  await sink.until(({ open }) => open === 0)
  await sink.close()
  return { sink, answers }
}

function textOf(result: MessageResult): string {
  return result.kind === 'deferred'
    ? `deferred ${result.until}`
    : `${result.kind} ${result.stage} ${result.text}`
}

const verbs = (sink: SmtpSink) => sink.commands.map((line) => line.split(/[ :]/)[0]).join(' ')
/** answers by the recipient's name */
function rcpt(line: string): string {
  if (line.includes('no')) return '550 5.1.1 no'
  if (line.includes('later')) return '450 4.2.0 later'
  return line.includes('cut') ? 'drop' : '250 ok'
}

const both: readonly (readonly string[])[] = [['PIPELINING'], []]

for (const extensions of both) {
  const how = extensions.length > 0 ? 'with PIPELINING' : 'without PIPELINING'

  test(`${how}: each recipient has its own answer, and the message goes to those that were taken`, async () => {
    const { sink, results } = await send({ extensions, rcpt }, [['a', 'no', 'later', 'b']])
    assert.deepEqual(results, [
      [
        'delivered 9 250 2.0.0 kept',
        'permanent 5 550 5.1.1 no',
        'transient 5 450 4.2.0 later',
        'delivered 9 250 2.0.0 kept',
      ],
    ])
    assert.deepEqual(
      sink.received.map((mail) => mail.rcpt),
      [['RCPT TO:<a@example.com>', 'RCPT TO:<b@example.com>']],
    )
  })

  test(`${how}: a sender that is refused is refused for all, and the connection stays usable`, async () => {
    const { sink, results } = await send({ extensions, mail: '550 5.7.1 not you' }, [['a', 'b'], ['c']])
    assert.deepEqual(results, [
      ['permanent 3 550 5.7.1 not you', 'permanent 3 550 5.7.1 not you'],
      ['permanent 3 550 5.7.1 not you'],
    ])
    assert.equal(sink.connections, 1)
    assert.deepEqual(sink.received, [])
  })

  test(`${how}: without a recipient there is no message, whatever the host says to DATA`, async () => {
    for (const data of [undefined, '354 go ahead', '451 4.3.0 oops']) {
      const script = { extensions, rcpt: '550 5.1.1 no', ...(data === undefined ? {} : { data }) }
      const { sink, results } = await send(script, [['a', 'b'], ['c']])
      const no = 'permanent 5 550 5.1.1 no'
      assert.deepEqual(results, [[no, no], [no]])
      assert.equal(sink.connections, 1)
      // an empty message is all that a host gets that asks for one
      assert.ok(sink.received.every(({ content, rcpt }) => content === '' && rcpt.length === 0))
    }
  })

  test(`${how}: DATA, or the message, that is refused is refused for those that were taken`, async () => {
    const data = await send({ extensions, rcpt, data: '451 4.3.0 oops' }, [['a', 'no', 'b']])
    assert.deepEqual(data.results, [
      ['transient 7 451 4.3.0 oops', 'permanent 5 550 5.1.1 no', 'transient 7 451 4.3.0 oops'],
    ])
    const end = await send({ extensions, rcpt, message: '554 5.6.0 spam' }, [['a', 'no', 'b']])
    assert.deepEqual(end.results, [
      ['permanent 9 554 5.6.0 spam', 'permanent 5 550 5.1.1 no', 'permanent 9 554 5.6.0 spam'],
    ])
  })

  test(`${how}: a host that takes no more recipients has not refused those that are left`, async () => {
    let taken = 0
    const few = () => (taken++ < 2 ? '250 ok' : '452 4.5.3 too many')
    const { results } = await send({ extensions, rcpt: few }, [['a', 'b', 'c', 'd']])
    assert.deepEqual(results, [
      ['delivered 9 250 2.0.0 kept', 'delivered 9 250 2.0.0 kept', 'deferred 0', 'deferred 0'],
    ])
    const full = await send(
      { extensions, rcpt: (line) => (line.includes('full') ? '452 4.2.2 full' : '250 ok') },
      [['a', 'full']],
    )
    assert.equal(full.results[0]?.[1], 'transient 5 452 4.2.2 full')
    const alone = await send({ extensions, rcpt: '452 4.5.3 too many' }, [['a']])
    assert.deepEqual(alone.results, [['transient 5 452 4.5.3 too many']])
  })

  test(`${how}: a connection that breaks in between leaves what was said before as it was said`, async () => {
    const { results } = await send({ extensions, rcpt }, [['no', 'cut', 'a']])
    const [first, second, third] = results[0] ?? []
    assert.equal(first, 'permanent 5 550 5.1.1 no')
    for (const text of [second, third])
      assert.match(text ?? '', /^transient 5 451 4\.4\.2 \[internal\] Connection/)
  })
}

test('a hundred recipients go in one flight', async () => {
  const locals = Array.from({ length: 100 }, (_, n) => `user${n}`)
  const { sink, results } = await send({ extensions: ['PIPELINING'] }, [locals])
  assert.ok(results[0]?.every((text) => text.startsWith('delivered')))
  assert.equal(sink.received[0]?.rcpt.length, 100)
  assert.equal(verbs(sink), `EHLO MAIL ${'RCPT '.repeat(100)}DATA QUIT`)
})

test('a connection takes so many recipients and no more', async () => {
  const { sink } = await send({}, [['a', 'b'], ['c', 'd'], ['e']], {
    options: { max_recipients_per_connection: 3 },
  })
  assert.equal(sink.connections, 2)
  assert.equal(
    verbs(sink),
    'EHLO MAIL RCPT RCPT DATA QUIT EHLO MAIL RCPT RCPT DATA RSET MAIL RCPT DATA QUIT'.replace(
      'DATA QUIT EHLO',
      'DATA QUIT EHLO',
    ),
  )
})

test('an address that cannot be sent fails by itself', async () => {
  const { results } = await send({}, [['a', Buffer.from('bé').toString('latin1'), 'c']])
  assert.match(results[0]?.[1] ?? '', /^permanent 11 553 5\.6\.7/)
  assert.ok(results[0]?.[0]?.startsWith('delivered') && results[0]?.[2]?.startsWith('delivered'))
})

test('a host that is held back is waited for, or takes as many as it may', async () => {
  const full: HostGate = { ...openGate, enter: () => ({ kind: 'deferred', until: 77 }) }
  const none = await send({}, [['a', 'b']], { gate: full })
  assert.deepEqual([none.results, none.sink.connections], [[['deferred 77', 'deferred 77']], 0])
  const unconnected: HostGate = { ...openGate, connect: () => ({ kind: 'deferred', until: 78 }) }
  const still = await send({}, [['a']], { gate: unconnected })
  assert.deepEqual([still.results, still.sink.connections], [[['deferred 78']], 0])
  let left = 0
  const narrow: HostGate = { ...openGate, enter: () => ({ kind: 'go', messages: 1, leave: () => left++ }) }
  const one = await send({}, [['a', 'b']], { gate: narrow })
  assert.deepEqual(one.results, [['delivered 9 250 2.0.0 kept', 'deferred 0']])
  assert.equal(left, 1)
})

test('connections are made from Bind_Address, and hosts of another family are passed over', async () => {
  const { sink } = await send({}, [['a']], { options: { bind_address: '127.0.0.5' } })
  assert.deepEqual(sink.clients, ['127.0.0.5'])
  const other = await send({}, [['a']], { options: { bind_address: '::1' } })
  assert.deepEqual(other.results, [['transient 0 451 4.4.1 [internal] No valid hosts']])
})

/** What hosts say, and what none should. */
const said = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom('250 ok', '250 2.1.5 ok', '250-a\r\n250-b\r\n250 c') },
  {
    weight: 2,
    arbitrary: fc.constantFrom(
      ...'251 x|450 4.2.0 later|452 4.5.3 too many|452 4.2.2 full|550 5.1.1 no|552 5.5.3 many|421 4.3.2 bye'.split(
        '|',
      ),
      ...'354 go|199 x|250-a\r\n550 b|garbage||25|drop|250|550|600 x|250 \xff\x01'.split('|'),
      `250 ${'x'.repeat(5000)}`,
    ),
  },
)
const seldom = fc.oneof({ weight: 8, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: said })
const host = fc.record({
  extensions: fc.subarray(['PIPELINING', 'CHUNKING', 'DSN', '8BITMIME', 'SIZE 0', 'SMTPUTF8']),
  rcpts: fc.array(said, { minLength: 3, maxLength: 3 }),
  banner: seldom,
  ehlo: seldom,
  mail: seldom,
  data: seldom,
  message: seldom,
  rset: seldom,
  bdat: seldom,
})
const DIGITS = { delivered: '2', transient: '4', permanent: '5' } as const

test('whatever a host says, each recipient has one answer, and what was delivered is what the host has kept', async () => {
  const body = fc.constantFrom('body\r\n', '.\r\n..\r\n', '', 'z\r\n'.repeat(60_000))
  const sizes = fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 3 })
  await holdsAsync(
    fc.asyncProperty(host, sizes, body, async ({ rcpts, bdat, extensions, ...steps }, sizes, body) => {
      let asked = 0
      const script: SinkScript = {
        ...Object.fromEntries(Object.entries(steps).filter(([, answer]) => answer !== undefined)),
        ...(bdat === undefined ? {} : { bdat: () => bdat }),
        extensions,
        rcpt: () => rcpts[asked++ % rcpts.length] ?? '250 ok',
      }
      const batches = sizes.map((size, batch) => Array.from({ length: size }, (_, n) => `user-${batch}-${n}`))
      const { sink, answers } = await exchange(script, batches, { body })
      for (const [batch, locals] of batches.entries()) {
        assert.equal(answers[batch]?.length, locals.length)
        for (const [n, local] of locals.entries()) {
          const answer = answers[batch]?.[n]
          assert.ok(answer !== undefined)
          const kept = sink.received.filter(({ rcpt: all }) =>
            all.some((line) => line.startsWith(`RCPT TO:<${local}@`)),
          )
          if (answer.kind !== 'deferred') {
            assert.ok(answer.text.startsWith(DIGITS[answer.kind]), answer.text)
            assert.match(answer.text, /^\d{3}(?:$| [ -~\x80-\xff]*$)/)
          }
          if (answer.kind === 'delivered')
            assert.deepEqual(
              kept.map(({ content }) => content),
              [HEADER + body],
            )
          // one whose answer nobody could read may have taken it
          else if (answer.kind !== 'transient') assert.deepEqual(kept, [])
        }
      }
    }),
    { numRuns: 60 },
  )
})
