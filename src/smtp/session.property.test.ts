/**
 * Whatever a client sends, in whatever pieces: one reply for each command, the same messages, no error inside, and the
 * session ends.
 */

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import * as fc from 'fast-check'
import { holdsAsync } from '../../test/support/properties.ts'
import { ConnectionLost, SmtpClient } from '../../test/support/smtp-client.ts'
import type { Verdict } from '../policy/verdict.ts'
import type { SessionHost } from './session-host.fixture.ts'
import { startHost } from './session-host.fixture.ts'

/** What policy says depends on the line alone, so that the same commands always lead to the same replies. */
function verdictFor({ line }: { readonly line: string }): Verdict | undefined {
  if (line.includes('temp')) return { kind: 'reply', code: 450, text: '4.7.1 later', module: 'test' }
  if (line.includes('cut')) return { kind: 'disconnect', code: 550, text: '5.7.1 never', module: 'test' }
  if (line.includes('drop')) return { kind: 'discard', text: '550 5.7.1 dropped', module: 'test' }
  return undefined
}

let host: SessionHost
before(async () => {
  host = await startHost({
    options: {
      smtp_extensions: [
        'AUTH PLAIN',
        'AUTH LOGIN',
        'STARTTLS',
        'XDUMPCONTEXT',
        'CHUNKING',
        'DSN',
        'SMTPUTF8',
      ],
      authplainparameters: { uri: 'file:///users' },
      authloginparameters: { uri: 'file:///users' },
      allow_plaintext_auth: true,
      max_message_size: 5000,
      max_recipients_per_message: 3,
    },
    policy: { ehlo: verdictFor, mailfrom: verdictFor, rcptto: verdictFor },
  })
})
after(() => host.stop())

const address = fc.constantFrom(
  'a@local.example',
  'nobody@local.example',
  'temp@local.example',
  'drop@local.example',
  'cut@x.y',
  'a@b.c',
  'postmaster',
  '',
  '\xff@x',
  '@',
  '"\\',
)
const usual = fc.oneof(
  fc.constantFrom(
    'EHLO c.example',
    'HELO c',
    'EHLO',
    'NOOP',
    'RSET',
    'RSET x',
    'VRFY a',
    'HELP',
    'XDUMPCONTEXT',
    'STARTTLS',
  ),
  fc.constantFrom(
    'DATA',
    'DATA x',
    'AUTH PLAIN',
    'AUTH LOGIN',
    'AUTH PLAIN AHVzZXIAc2VjcmV0',
    'AUTH LOGIN dXNlcg==',
    'AUTH',
    '*',
  ),
  address.map((path) => `MAIL FROM:<${path}>`),
  address.map((path) => `RCPT TO:<${path}>`),
  fc.constantFrom('MAIL FROM:<> SIZE=6000', 'MAIL FROM:<> SIZE=1 BODY=8BITMIME', 'MAIL FROM:<> X=Y'),
  fc.constantFrom(
    'MAIL FROM:<a@b.c> RET=FULL ENVID=x+2By',
    'MAIL FROM:<\xc3\xa9@b.c> SMTPUTF8',
    'BDAT',
    'BDAT x',
  ),
  fc.constantFrom(
    'RCPT TO:<a@local.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a@b',
    'RCPT TO:<a@local.example> NOTIFY=NEVER,DELAY',
    'RCPT TO:<\xc3\xa9@local.example>',
  ),
)
const chunk = fc
  .tuple(
    fc.constantFrom(
      'A: b\r\n\r\nhi\r\n',
      'A: b\r',
      '\n\r\nhi',
      '.\r\n',
      '',
      '\r\n',
      '\0',
      '\n',
      'z'.repeat(3000),
      '\xe9',
    ),
    fc.constantFrom('', '', ' LAST', ' last'),
  )
  .map(([octets, last]) => `BDAT ${octets.length}${last}\r\n${octets}`)
const strange = fc.oneof(
  fc
    .string({ unit: 'binary-ascii', maxLength: 40 })
    .filter((text) => !text.includes('\r') && !text.endsWith('\n')),
  fc.constantFrom('', ' ', '\0', 'a\rb', 'a\nb', 'x'.repeat(3000), 'y'.repeat(20_000), 'QUIT now', 'BDAT x'),
)
const body = fc.constantFrom(
  'A: b\r\n\r\nhi\r\n.',
  '.',
  'A: b\r\n\r\n..\r\n.x\r\n.',
  'no header\r\n.',
  'A: \xe9\r\n\r\n\xe9\r\n.',
  ' folded\r\nA: b\r\n\r\n.',
  'A: b\r\n\r\nx\n.\r\n.',
  `A: b\r\n\r\n${'z'.repeat(6000)}\r\n.`,
)
const start = ['RSET', 'MAIL FROM:<a@b.c>', 'RCPT TO:<a@local.example>']
const ended = (line: string): string => `${line}\r\n`
/** What is sent before the next reply is awaited, with its line end. */
const step = fc.record({
  parts: fc.oneof(
    { weight: 5, arbitrary: usual.map((line) => [ended(line)]) },
    { weight: 1, arbitrary: strange.map((line) => [ended(line)]) },
    { weight: 1, arbitrary: chunk.map((part) => [part]) },
    // without help a random walk hardly ever gets as far as DATA
    { weight: 3, arbitrary: fc.constant([...start, 'DATA'].map(ended)) },
    {
      weight: 2,
      arbitrary: fc
        .array(chunk, { minLength: 1, maxLength: 4 })
        .map((parts) => [...start.map(ended), ...parts]),
    },
  ),
  body,
})

test('random commands get one reply each, the same ones however they are cut into segments', async () => {
  await holdsAsync(
    fc.asyncProperty(
      fc.array(step, { maxLength: 30 }),
      fc.integer({ min: 1, max: 400 }),
      async (steps, cut) => {
        const { sent, replies } = await playOneByOne(steps)
        await host.sessionsEnded()
        const messages = await takeMessages()
        assert.deepEqual(await playAtOnce(sent, cut), replies)
        await host.sessionsEnded()
        assert.deepEqual(await takeMessages(), messages)
      },
    ),
    { numRuns: 60 },
  )
  assert.deepEqual(
    host.events.filter(({ kind }) => kind === 'panic'),
    [],
  )
})

/** What came in since the last time, without what differs from run to run. */
async function takeMessages(): Promise<unknown[]> {
  const taken: unknown[] = []
  for (const { envelope, header } of host.enqueued.splice(0)) {
    const { sender, recipient, bodyType, smtpUtf8, dsn } = envelope
    const pieces: Uint8Array[] = []
    for await (const piece of (await host.spool.read(envelope.id))?.body() ?? []) pieces.push(piece)
    const own = Buffer.from(header)
      .toString('latin1')
      .replace(/^(?:Received|Message-ID|Date):.*\r\n(?:[ \t].*\r\n)*/gim, '')
    taken.push({
      sender,
      recipient,
      bodyType,
      smtpUtf8,
      dsn,
      own,
      body: Buffer.concat(pieces).toString('latin1'),
    })
    await host.spool.remove(envelope.id)
  }
  return taken
}

interface Step {
  readonly parts: readonly string[]
  readonly body: string
}

async function playOneByOne(steps: readonly Step[]): Promise<{ sent: string; replies: string[] }> {
  const client = await SmtpClient.connect(host.address)
  await client.reply()
  let sent = ''
  const replies: string[] = []
  const say = async (text: string): Promise<string> => {
    sent += text
    client.sendRaw(text)
    const reply = await client.reply()
    assert.equal(client.pending, '', `more than one reply to ${JSON.stringify(text)}`)
    replies.push(steady(reply))
    return reply
  }
  try {
    for (const { part, body } of steps.flatMap(({ parts, body }) => parts.map((part) => ({ part, body })))) {
      const reply = await say(part)
      if (reply.startsWith('354')) await say(ended(body))
      if (reply.startsWith('334') && (await say(ended('dXNlcg=='))).startsWith('334')) await say(ended('*'))
    }
    await say(ended('QUIT'))
    await client.closed()
  } catch (error) {
    if (!(error instanceof ConnectionLost)) throw error
    // a reply that closes is the last one, and the command after it gets none
    assert.match(replies.at(-1) ?? '', /^(421|550 5\.7\.1 never|501 5\.5\.4 invalid BDAT)/)
  } finally {
    client.destroy()
  }
  return { sent, replies }
}

async function playAtOnce(sent: string, cut: number): Promise<string[]> {
  const client = await SmtpClient.connect(host.address)
  await client.reply()
  const replies: string[] = []
  for (let at = 0; at < sent.length; at += cut) client.sendRaw(sent.slice(at, at + cut))
  try {
    for (;;) replies.push(steady(await client.reply()))
  } catch (error) {
    if (!(error instanceof ConnectionLost)) throw error
  } finally {
    client.destroy()
  }
  return replies
}

/** Without what differs from run to run. */
function steady(reply: string): string {
  return reply.replace(/message \S+ accepted/, 'message ID accepted')
}
