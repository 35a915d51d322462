/** What goes out to hosts that offer extensions, and to hosts that do not. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { contentOf, openGate, outboundDefaults, storedMessage } from '../../test/support/messages.ts'
import { noMx } from '../../test/support/no-mx.ts'
import { type ReceivedMail, type SinkScript, SmtpSink } from '../../test/support/smtp-sink.ts'
import { StaticResolver } from '../../test/support/static-resolver.ts'
import type { OutboundValues } from '../config/settings.ts'
import type { Envelope } from '../mail/envelope.ts'
import { toUtf8 } from '../mail/utf8.ts'
import type { StoredContent } from '../spool/spool.ts'
import { SmtpTransport } from './attempt.ts'
import { sameTransaction } from './attempts.ts'
import type { MessageResult } from './transport.ts'

const plain = contentOf('Subject: hi\r\n\r\n', 'one\r\n.two\r\n.\r\nthree')
const ALL = ['PIPELINING', '8BITMIME', 'SIZE', 'DSN', 'SMTPUTF8', 'CHUNKING']

interface Given {
  readonly envelopes?: readonly Partial<Envelope>[]
  readonly content?: StoredContent
  readonly options?: Partial<OutboundValues>
}

/** One attempt at a host that follows the script. */
async function send(
  script: SinkScript,
  { envelopes = [{}], content = plain, options = {} }: Given = {},
): Promise<{ readonly results: readonly MessageResult[]; readonly sink: SmtpSink }> {
  const sink = await SmtpSink.start(script)
  const transport = new SmtpTransport({ resolver: new StaticResolver({}), mx: noMx, hostname: 'mx.test' })
  try {
    const messages = envelopes.map((changes, index) => storedMessage(`m${index}`, changes))
    const results = await transport.deliver(messages, content, {
      route: { kind: 'smtp', hosts: [{ host: '127.0.0.1', port: sink.port }] },
      options: { ...outboundDefaults, ...options },
      mayRepeat: false,
      gate: openGate,
      signal: new AbortController().signal,
    })
    await sink.until(({ open }) => open === 0)
    return { results, sink }
  } finally {
    transport.close()
    await sink.close()
  }
}

function outcome(results: readonly MessageResult[]): readonly string[] {
  return results.map((each) =>
    each.kind === 'deferred' ? 'deferred' : `${each.kind} ${each.text.slice(0, 9)}`,
  )
}

test('what the sender asked to be told goes on to a host that offers DSN, and to no other', async () => {
  const dsn = {
    ret: 'HDRS',
    envid: 'a b',
    notify: ['SUCCESS', 'DELAY'],
    originalRecipient: { type: 'rfc822', address: 'o+x@old.example' },
  } as const
  const taken = await send({ extensions: ALL }, { envelopes: [{ dsn }, { dsn: { notify: 'NEVER' } }] })
  const [received] = taken.sink.received
  assert.match(received?.mail ?? '', / RET=HDRS ENVID=a\+20b$/)
  assert.deepEqual(received?.rcpt, [
    'RCPT TO:<bob@example.com> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;o+2Bx@old.example',
    'RCPT TO:<bob@example.com> NOTIFY=NEVER',
  ])
  assert.ok(taken.results.every((each) => !('notice' in each)))
  const without = await send({ extensions: ['SIZE'] }, { envelopes: [{ dsn }, { dsn: { notify: 'NEVER' } }] })
  assert.deepEqual(without.sink.received[0]?.rcpt, ['RCPT TO:<bob@example.com>', 'RCPT TO:<bob@example.com>'])
  assert.deepEqual(
    without.results.map((each) => ('notice' in each ? each.notice : undefined)),
    ['relayed', undefined],
  )
})

test('UTF-8 goes to a host that offers SMTPUTF8; the others get what can do without', async () => {
  const local = toUtf8('josé')
  const sender = { local, domain: 'xn--bcher-kva.example' }
  const offered = await send({ extensions: ALL }, { envelopes: [{ sender, smtpUtf8: true }] })
  assert.match(offered.sink.received[0]?.mail ?? '', / SMTPUTF8$/)
  assert.ok(offered.sink.received[0]?.mail.startsWith(`MAIL FROM:<${local}@xn--bcher-kva.example>`))
  const extensions = ['8BITMIME']
  const refused = await send({ extensions }, { envelopes: [{ sender, smtpUtf8: true }] })
  assert.deepEqual(outcome(refused.results), ['permanent 553 5.6.7'])
  const one = { recipient: { local, domain: 'example.com' }, smtpUtf8: true } as const
  const mixed = await send({ extensions }, { envelopes: [one, { smtpUtf8: true }] })
  assert.deepEqual(outcome(mixed.results), ['permanent 553 5.6.7', 'delivered 250 2.0.0'])
  assert.equal(mixed.sink.received[0]?.mail, 'MAIL FROM:<alice@example.org>')
  const header = contentOf(`Subject: ${toUtf8('é')}\r\n\r\n`, 'x\r\n')
  const subject = await send({ extensions }, { envelopes: [{ smtpUtf8: true }], content: header })
  assert.deepEqual(outcome(subject.results), ['permanent 554 5.6.9'])
  const inside = contentOf(
    'Content-Type: multipart/mixed; boundary=b\r\n\r\n',
    `--b\r\nContent-Description: ${toUtf8('é')}\r\n\r\nx\r\n--b--\r\n`,
  )
  const part = { smtpUtf8: true, bodyType: '8BITMIME' } as const
  const deep = await send({ extensions }, { envelopes: [part], content: inside })
  assert.deepEqual(outcome(deep.results), ['permanent 554 5.6.9'])
  for (const { sink } of [refused, subject, deep])
    assert.ok(!sink.commands.some((each) => each.startsWith('MAIL')))
})

test('what MAIL says of a message keeps it apart from others; what RCPT says does not', () => {
  const a = storedMessage('a', { dsn: { notify: ['SUCCESS'] } })
  assert.ok(sameTransaction(a, storedMessage('b', { dsn: { notify: 'NEVER' } })))
  for (const changes of [{ dsn: { ret: 'FULL' } }, { dsn: { envid: 'x' } }, { smtpUtf8: true }] as const)
    assert.ok(!sameTransaction(a, storedMessage('b', changes)))
})

const eight = contentOf(
  'MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n',
  `caf${toUtf8('é')}\r\n`,
)
const EIGHT = [{ bodyType: '8BITMIME' }] as const

/** What a host without the extensions but these gets. */
async function sent(
  options: Partial<OutboundValues>,
  extensions: readonly string[] = ['SIZE'],
): Promise<ReceivedMail | undefined> {
  return (await send({ extensions }, { envelopes: EIGHT, content: eight, options })).sink.received[0]
}

test('eight bits are encoded for a host that does not take them, as the option has it', async () => {
  for (const how of ['ifneeded', 'strict'] as const) {
    const made = await sent({ transform_8bitmime_content: how })
    assert.match(made?.content ?? '', /quoted-printable\r\n\r\ncaf=C3=A9\r\n$/)
    assert.equal(made?.mail, `MAIL FROM:<alice@example.org> SIZE=${made?.content.length}`)
  }
  assert.ok((await sent({ transform_8bitmime_content: 'no' }))?.content.endsWith(`caf${toUtf8('é')}\r\n`))
  assert.ok((await sent({ transform_8bitmime_content: 'strip' }))?.content.endsWith('cafC)\r\n'))
  const declared = await sent({}, ['8BITMIME'])
  assert.match(declared?.mail ?? '', / BODY=8BITMIME$/)
  const silent = await sent({ send_8bitmime: 'no' }, ['8BITMIME'])
  assert.equal(silent?.mail, 'MAIL FROM:<alice@example.org>')
  assert.equal(silent?.content, declared?.content)
})

test('a message goes out in chunks where they are offered, a small one with its envelope, octet for octet', async () => {
  const { results, sink } = await send({ extensions: ALL })
  assert.deepEqual(outcome(results), ['delivered 250 2.0.0'])
  assert.equal(sink.received[0]?.content, 'Subject: hi\r\n\r\none\r\n.two\r\n.\r\nthree\r\n')
  assert.ok(sink.chunks.some((each) => /^MAIL FROM.*\r\nRCPT TO.*\r\nBDAT \d+ LAST\r\n/.test(each)))
  assert.ok(!sink.commands.includes('DATA'))
  const apart = await send({ extensions: ['CHUNKING'] })
  assert.equal(apart.sink.received[0]?.content, sink.received[0]?.content)
  assert.ok(apart.sink.chunks.includes('MAIL FROM:<alice@example.org>\r\n'))
})

const large = contentOf(
  'Subject: large\r\n\r\n',
  ...Array.from({ length: 20 }, () => `${'x'.repeat(49_998)}\r\n`),
)

test('a large message goes out in several chunks, once the envelope was taken', async () => {
  for (const extensions of [ALL, ['CHUNKING']]) {
    const { results, sink } = await send({ extensions }, { content: large })
    assert.deepEqual(outcome(results), ['delivered 250 2.0.0'])
    assert.equal(sink.received[0]?.content.length, large.header.length + large.bodySize)
    const chunks = sink.commands.filter((each) => each.startsWith('BDAT'))
    assert.equal(chunks.length, 4)
    assert.deepEqual(
      chunks.map((each) => each.endsWith('LAST')),
      [false, false, false, true],
    )
  }
})

test('nobody to take it, a chunk that is refused, a host that goes: each recipient has its answer', async () => {
  const nobody = await send({ extensions: ALL, rcpt: '550 5.1.1 no' })
  assert.deepEqual(outcome(nobody.results), ['permanent 550 5.1.1'])
  assert.ok(nobody.sink.commands.includes('QUIT'), 'the session is still good')
  const later = await send({ extensions: ALL, rcpt: '450 4.2.1 no' }, { content: large })
  assert.deepEqual(outcome(later.results), ['transient 450 4.2.1'])
  assert.ok(!later.sink.commands.some((each) => each.startsWith('BDAT')))
  const some = await send(
    { extensions: ALL, rcpt: (line) => (line.includes('carol') ? '550 5.1.1 no' : '250 ok') },
    { envelopes: [{}, { recipient: { local: 'carol', domain: 'example.com' } }] },
  )
  assert.deepEqual(outcome(some.results), ['delivered 250 2.0.0', 'permanent 550 5.1.1'])
  for (const [answer, expected] of [
    ['452 4.3.1 full', 'transient 452 4.3.1'],
    ['552 5.3.4 too large', 'permanent 552 5.3.4'],
  ] as const) {
    const refused = await send(
      { extensions: ALL, bdat: (line) => (line.endsWith('LAST') ? undefined : answer) },
      { content: large },
    )
    assert.deepEqual(outcome(refused.results), [expected])
    assert.equal(refused.sink.received.length, 0)
    assert.ok(refused.sink.commands.includes('QUIT'), 'both are still in step')
  }
  for (const content of [plain, large]) {
    const gone = await send({ extensions: ALL, bdat: () => 'drop' }, { content })
    assert.deepEqual(outcome(gone.results), ['transient 451 4.4.2'])
  }
})
