/** Whatever a client sends, in whatever pieces: one reply for each command, no error inside, and the session ends. */

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
      smtp_extensions: ['AUTH PLAIN', 'AUTH LOGIN', 'STARTTLS', 'XDUMPCONTEXT'],
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
)
const strange = fc.oneof(
  fc
    .string({ unit: 'binary-ascii', maxLength: 40 })
    .filter((text) => !text.includes('\r') && !text.endsWith('\n')),
  fc.constantFrom('', ' ', '\0', 'a\rb', 'a\nb', 'x'.repeat(3000), 'y'.repeat(20_000), 'QUIT now'),
)
const body = fc.constantFrom(
  'A: b\r\n\r\nhi\r\n.',
  '.',
  'A: b\r\n\r\n..\r\n.x\r\n.',
  'no header\r\n.',
  'A: b\r\n\r\nx\n.\r\n.',
  `A: b\r\n\r\n${'z'.repeat(6000)}\r\n.`,
)
const step = fc.record({
  lines: fc.oneof(
    { weight: 5, arbitrary: usual.map((line) => [line]) },
    { weight: 1, arbitrary: strange.map((line) => [line]) },
    // without help a random walk hardly ever gets as far as DATA
    { weight: 3, arbitrary: fc.constant(['RSET', 'MAIL FROM:<a@b.c>', 'RCPT TO:<a@local.example>', 'DATA']) },
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
        assert.deepEqual(await playAtOnce(sent, cut), replies)
        await host.sessionsEnded()
      },
    ),
    { numRuns: 60 },
  )
  assert.deepEqual(
    host.events.filter(({ kind }) => kind === 'panic'),
    [],
  )
})

interface Step {
  readonly lines: readonly string[]
  readonly body: string
}

async function playOneByOne(steps: readonly Step[]): Promise<{ sent: string; replies: string[] }> {
  const client = await SmtpClient.connect(host.address)
  await client.reply()
  let sent = ''
  const replies: string[] = []
  const say = async (text: string): Promise<string> => {
    sent += `${text}\r\n`
    const reply = await client.command(text)
    assert.equal(client.pending, '', `more than one reply to ${JSON.stringify(text)}`)
    replies.push(steady(reply))
    return reply
  }
  try {
    for (const { line, body } of steps.flatMap(({ lines, body }) => lines.map((line) => ({ line, body })))) {
      const reply = await say(line)
      if (reply.startsWith('354')) await say(body)
      if (reply.startsWith('334') && (await say('dXNlcg==')).startsWith('334')) await say('*')
    }
    await say('QUIT')
    await client.closed()
  } catch (error) {
    if (!(error instanceof ConnectionLost)) throw error
    // a reply that closes is the last one, and the command after it gets none
    assert.match(replies.at(-1) ?? '', /^(421|550 5\.7\.1 never)/)
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
