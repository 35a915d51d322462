import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { contentOf, storedMessage } from '../../test/support/messages.ts'
import type { StoredContent, StoredMessage } from '../spool/spool.ts'
import { type Bounce, type BounceOptions, bouncedId, makeBounce } from './bounce.ts'
import { isPlain, quotedPrintable } from './quoted-printable.ts'

const options: BounceOptions = {
  bounces_inline_original: 'headers',
  mailerdaemon: undefined,
  hostname: 'mx.test',
  id: 'A0/00-00001-00000001',
  batchId: 'B0/00-00001-00000001',
  now: 1_700_000_000_000,
  boundary: '=_unguessable',
}
const content = contentOf('Subject: x\r\nMessage-ID: <1@example.org>\r\n\r\n', 'body\r\n')

function failed(lastText = '550 5.1.1 never', message = storedMessage('a')): StoredMessage {
  return { ...message, state: { attempts: 2, nextAttempt: 0, failed: true, lastText } }
}

async function textOf(bounce: Bounce): Promise<string> {
  let text = bounce.header.toString('latin1')
  for await (const chunk of bounce.body()) text += Buffer.from(chunk).toString('latin1')
  return text
}

async function bounceOf(
  message: StoredMessage,
  changes: Partial<BounceOptions> = {},
  original: StoredContent | undefined = content,
): Promise<string> {
  return await textOf(makeBounce(message, original, { ...options, ...changes }))
}

/** The parts of a multipart, each with its header. */
function partsOf(text: string): string[] {
  return text.split(/\r\n--=_unguessable(?:--)?\r\n/).slice(1, -1)
}

test('a bounce is a report that people and programs can read', async () => {
  const text = await bounceOf(failed())
  const [header = ''] = text.split('\r\n\r\n', 1)
  assert.match(header, /^From: Mail Delivery System <mailer-daemon@mx\.test>$/m)
  assert.match(header, /^To: <alice@example\.org>\r$/m)
  assert.match(header, /^Auto-Submitted: auto-replied\r$/m)
  assert.match(header, /^Message-ID: <A0\.00-00001-00000001@mx\.test>\r$/m)
  assert.match(header, /^References: <1@example\.org>\r$/m)
  assert.match(
    header,
    /^Content-Type: multipart\/report; report-type=delivery-status;\r\n\tboundary="=_unguessable"/m,
  )
  const [human = '', status = '', original = '', ...more] = partsOf(text)
  assert.equal(more.length, 0)
  assert.match(human, /^Content-Type: text\/plain; charset=us-ascii\r$/m)
  assert.match(human, /bob@example\.com\r\n[^]*After 2 attempts the answer was:\r\n\r\n {4}550 5\.1\.1 never/)
  assert.match(status, /^Content-Type: message\/delivery-status\r$/m)
  assert.match(
    status,
    /\r\n\r\nReporting-MTA: dns; mx\.test\r\nArrival-Date: .*\r\n\r\nFinal-Recipient: rfc822; bob@example\.com\r\nAction: failed\r\nStatus: 5\.1\.1\r\nDiagnostic-Code: smtp; 550 5\.1\.1 never\r\n/,
  )
  assert.match(
    original,
    /^Content-Type: text\/rfc822-headers\r\n[^]*\r\n\r\nSubject: x\r\nMessage-ID: <1@example\.org>\r\n$/,
  )
})

test('the status follows the answer, and is always that of a failure', async () => {
  const cases: readonly (readonly [string, string, string])[] = [
    ['550 no such user', '5.0.0', 'smtp; 550 no such user'],
    [
      '554 5.4.7 [internal] exceeded max time without delivery; last answer: 450 4.2.0 later',
      '5.4.7',
      'smtp; 450 4.2.0 later',
    ],
    [
      '554 5.4.4 [internal] Domain Lookup Failed',
      '5.4.4',
      'X-Postern; 554 5.4.4 [internal] Domain Lookup Failed',
    ],
    ['452 4.2.2 full', '5.2.2', 'smtp; 452 4.2.2 full'],
  ]
  for (const [answer, status, diagnostic] of cases) {
    const text = await bounceOf(failed(answer))
    assert.ok(text.includes(`\r\nStatus: ${status}\r\n`), answer)
    assert.ok(text.includes(`\r\nDiagnostic-Code: ${diagnostic}\r\n`), answer)
  }
})

test('as much of the original goes along as is asked for', async () => {
  assert.equal(partsOf(await bounceOf(failed(), { bounces_inline_original: 'none' })).length, 2)
  const whole = partsOf(await bounceOf(failed(), { bounces_inline_original: 'all' }))[2] ?? ''
  assert.match(whole, /^Content-Type: message\/rfc822\r\n[^]*\r\n\r\nSubject: x\r\n[^]*\r\n\r\nbody\r\n$/)
  const gone = makeBounce(failed(), undefined, options)
  assert.equal(partsOf(await textOf(gone)).length, 2)
})

test('only an original with eight bits that goes along whole makes the bounce one', async () => {
  const eight = contentOf('Subject: \xfc\r\n\r\n', '\xe9\r\n')
  const message = failed('550 no', storedMessage('a', { bodyType: '8BITMIME' }))
  const all = makeBounce(message, eight, { ...options, bounces_inline_original: 'all' })
  assert.equal(all.envelope(9).bodyType, '8BITMIME')
  const headers = makeBounce(message, eight, options)
  assert.equal(headers.envelope(9).bodyType, '7BIT')
  assert.ok((await textOf(headers)).includes('Subject: =FC'))
  assert.equal(headers.envelope(9).size, headers.header.length + 9)
})

test('From is what Mailerdaemon says', async () => {
  assert.match(
    await bounceOf(failed(), { mailerdaemon: 'Post <post@x.test>' }),
    /^From: Post <post@x\.test>\r$/m,
  )
})

test('a message from the null sender makes none', () => {
  assert.throws(
    () => makeBounce(failed('550', storedMessage('a', { sender: undefined })), content, options),
    TypeError,
  )
})

test('a bounce of ours is known by its envelope, and nothing that came in passes for one', () => {
  const { envelope } = storedMessage('b', { sender: undefined, messageContext: { bounce_of: 'a' } })
  assert.equal(bouncedId(envelope), undefined)
  assert.equal(bouncedId(makeBounce(failed(), content, options).envelope(1)), 'a')
})

test('a very long header is cut at a line', async () => {
  const long = contentOf(
    `${'X-Filler: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n'.repeat(3000)}\r\n`,
  )
  const text = await bounceOf(failed(), {}, long)
  assert.ok(text.length < 70_000)
  assert.match(partsOf(text)[2] ?? '', /y\r\n$/)
})

test('whatever a client and a next hop said, a bounce has its three parts, short lines and no other octets', async () => {
  const word = fc.string({ unit: 'binary-ascii', maxLength: 60 })
  const octets = fc.uint8Array({ maxLength: 400 }).map((bytes) => Buffer.from(bytes).toString('latin1'))
  await fc.assert(
    fc.asyncProperty(
      octets,
      octets,
      word.filter((text) => text !== ''),
      async (answer, header, local) => {
        const message = failed(answer, storedMessage('a', { recipient: { local, domain: 'example.com' } }))
        const bounce = makeBounce(message, contentOf(`${header}\r\n\r\n`), options)
        const text = await textOf(bounce)
        assert.match(text, /^[\t\r\n -~]*$/)
        assert.ok(!/\r(?!\n)|(?<!\r)\n/.test(text))
        assert.ok(text.split('\r\n').every((line) => line.length <= 998))
        assert.equal(partsOf(text).length, 3)
        assert.equal(
          partsOf(text)[1]
            ?.split('\r\n')
            .filter((line) => line.startsWith('Action:')).length,
          1,
        )
      },
    ),
    { interruptAfterTimeLimit: 2000 },
  )
})

function decodeQuotedPrintable(text: string): string {
  return text
    .replace(/=\r\n/g, '')
    .replace(/=([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
}

test('quoted-printable comes back as it was', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 500 }), (bytes) => {
      const text = Buffer.from(bytes).toString('latin1')
      const encoded = quotedPrintable(text)
      assert.equal(decodeQuotedPrintable(encoded), text)
      assert.ok(encoded.split('\r\n').every((line) => line.length <= 76))
      assert.ok(isPlain(encoded))
    }),
    { interruptAfterTimeLimit: 1000 },
  )
  assert.ok(!isPlain('\xfc') && !isPlain('a\rb') && !isPlain('a\nb') && !isPlain('x'.repeat(995)))
})
