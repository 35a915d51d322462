import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { contentOf, storedMessage } from '../../test/support/messages.ts'
import { holdsAsync } from '../../test/support/properties.ts'
import { formatMailbox, parseMailbox } from '../mail/address.ts'
import { readDeliveryReport } from '../mail/delivery-report.ts'
import { HeaderBlock } from '../mail/headers.ts'
import { toUtf8 } from '../mail/utf8.ts'
import type { StoredContent, StoredMessage } from '../spool/spool.ts'
import { type Bounce, type BounceOptions, makeBounce } from './bounce.ts'
import { bouncedId, delayNoticeOf } from './notices/due.ts'

const options: BounceOptions = {
  bounces_inline_original: 'headers',
  mailerdaemon: undefined,
  hostname: 'mx.test',
  to: { local: 'alice', domain: 'example.org' },
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
  assert.ok(text.length < 20_000)
  assert.match(partsOf(text)[2] ?? '', /y\r\n$/)
})

test('whatever a client and a next hop said, a bounce has its three parts, short lines and no other octets', async () => {
  const word = fc.string({ unit: 'binary-ascii', maxLength: 60 })
  const octets = fc.uint8Array({ maxLength: 400 }).map((bytes) => Buffer.from(bytes).toString('latin1'))
  await holdsAsync(
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
  )
})

test('a report of ours is read as it was meant, whoever the recipient and the reader are', async () => {
  const local = fc.oneof(
    fc.stringMatching(/^[a-z0-9.+=_-]{1,20}$/),
    fc
      .array(fc.constantFrom('é', 'a', '"', '\\', ' ', '@', '.', '+', '=', '{', '😀'), {
        minLength: 1,
        maxLength: 12,
      })
      .map((all) => toUtf8(all.join(''))),
  )
  const domain = fc.constantFrom('example.com', 'xn--bcher-kva.example', '[192.0.2.1]', '[ipv6:2001:db8::1]')
  const readers = [toUtf8('ánn'), 'ann'].map((name) => ({ local: name, domain: 'example.org' }))
  await holdsAsync(
    fc.asyncProperty(local, domain, fc.constantFrom(...readers), async (local, domain, to) => {
      const recipient = { local, domain }
      // what no client can name has no report
      if (parseMailbox(formatMailbox(recipient), { utf8: true })?.local !== local) return
      const message = failed('550 no', storedMessage('a', { recipient, smtpUtf8: true }))
      const text = await textOf(makeBounce(message, content, { ...options, to }))
      const end = text.indexOf('\r\n\r\n') + 4
      const read = readDeliveryReport(new HeaderBlock(text.slice(0, end)), text.slice(end))
      assert.deepEqual(
        read?.map(({ addresses, action }) => ({ addresses, action })),
        [{ addresses: [recipient], action: 'failed' }],
      )
    }),
  )
})

const asked = storedMessage('a', {
  dsn: {
    envid: 'QQ 314+1',
    ret: 'FULL',
    notify: ['FAILURE'],
    originalRecipient: { type: 'rfc822', address: 'Bob+x@old.example' },
  },
})

test('a report tells the sender its own words: ENVID and ORCPT', async () => {
  const [, status = ''] = partsOf(await bounceOf(failed('550 5.1.1 never', asked)))
  assert.match(
    status,
    /\r\n\r\nOriginal-Envelope-Id: QQ 314\+1\r\nReporting-MTA: .*\r\nArrival-Date: .*\r\n\r\nOriginal-Recipient: rfc822; Bob\+x@old\.example\r\nFinal-Recipient: /,
  )
})

/** The type of the part that brings the original, by RET and what the operator allows. */
async function part(ret: 'FULL' | 'HDRS', most: BounceOptions['bounces_inline_original'], body = 'body\r\n') {
  const message = failed('550 no', storedMessage('a', { dsn: { ret } }))
  const original = contentOf('Subject: x\r\n\r\n', body)
  const parts = partsOf(await bounceOf(message, { bounces_inline_original: most }, original))
  return /^Content-Type: (\S+)/.exec(parts[2] ?? '')?.[1]
}

test('RET asks for less than the operator allows, never for more; a large original does not go along', async () => {
  assert.equal(await part('FULL', 'all'), 'message/rfc822')
  assert.equal(await part('HDRS', 'all'), 'text/rfc822-headers')
  assert.equal(await part('FULL', 'headers'), 'text/rfc822-headers')
  assert.equal(await part('FULL', 'none'), undefined)
  assert.equal(await part('FULL', 'all', 'x'.repeat(1024 * 1024)), 'text/rfc822-headers')
})

test('success and delay are reports of their own kind, with a status of theirs and the header alone', async () => {
  const relayed = {
    ...asked,
    state: { ...failed().state, success: 'relayed', lastText: '250 kept' } as const,
  }
  const text = await bounceOf(relayed, { bounces_inline_original: 'all' })
  assert.match(text, /\r\nAction: relayed\r\nStatus: 2\.0\.0\r\nDiagnostic-Code: smtp; 250 kept\r\n/)
  assert.match(text, /^Content-Type: text\/rfc822-headers\r$/m)
  const delivered = { ...asked, state: { ...failed().state, success: 'delivered', lastText: '' } as const }
  assert.match(await bounceOf(delivered), /\r\nAction: delivered\r\nStatus: 2\.0\.0\r\n\r\n/)
  const late = makeBounce(failed('451 4.4.1 later', asked), content, { ...options, delayNumber: 2 })
  assert.match(await textOf(late), /\r\nAction: delayed\r\nStatus: 4\.4\.1\r\n/)
  assert.deepEqual(delayNoticeOf(late.envelope(1)), { id: 'a', number: 2 })
  assert.equal(bouncedId(late.envelope(1)), undefined)
  assert.deepEqual(late.envelope(1).dsn, { notify: 'NEVER' })
})

test('a recipient with UTF-8 is told in ASCII to a sender without, and as it is to one who has it', async () => {
  const recipient = { local: toUtf8('josé'), domain: 'xn--bcher-kva.example' }
  const plain = await bounceOf(failed('550 no', storedMessage('a', { recipient, smtpUtf8: true })))
  assert.match(plain, /\r\nFinal-Recipient: utf-8; jos\\x\{E9\}@xn--bcher-kva\.example\r\n/)
  assert.match(plain, /^[\t\r\n -~]*$/)
  const to = { local: toUtf8('ánn'), domain: 'example.org' }
  const bounce = makeBounce(failed('550 no', storedMessage('a', { recipient })), content, { ...options, to })
  const text = await textOf(bounce)
  assert.ok(text.includes(`\r\nFinal-Recipient: utf-8; ${toUtf8('josé')}@`))
  assert.ok(text.includes(`\r\nTo: <${toUtf8('ánn')}@example.org>\r\n`))
  assert.match(text, /^Content-Type: message\/global-delivery-status\r$/m)
  assert.match(text, /^Content-Type: message\/global-headers\r$/m)
  const { smtpUtf8, bodyType } = bounce.envelope(1)
  assert.deepEqual([smtpUtf8, bodyType], [true, '8BITMIME'])
})
