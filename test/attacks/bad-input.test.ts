/** Bad commands and bad messages against a whole gate: a clear reply or a close, told once, and the next client is served. */

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { after, afterEach, before, describe, test } from 'node:test'
import { startTestGate, type TestGate } from '../support/test-gate.ts'
import { assertNoPanic, assertServes, refusalsOf, rejectionsOf } from './attack-gate.ts'
import { RawClient } from './raw-client.ts'

const conf = `
ESMTP_Listener {
  Max_Message_Size = 1M
  Listen "127.0.2.1:0" { }
  Listen "127.0.2.2:0" { Data_Timeout = 1 }
  Listen "127.0.2.3:0" { Idle_Time = 1 }
}
maildir "flat" { basedir = "box/mail" domains = ( "gate.example" ) create_users = true }
maildir "deep" { basedir = "box/deep" domains = ( "deep.example" ) create_users = true domain_in_path = true }
`
const OPEN = 0
const SHORT_DATA = 1
const SHORT_IDLE = 2

let gate: TestGate
before(async () => {
  gate = await startTestGate({ conf })
})
afterEach(() => assertNoPanic(gate))
after(async () => {
  await assertServes(gate.address(OPEN))
  await gate.stop()
})

async function greeted(index = OPEN): Promise<RawClient> {
  const client = await RawClient.connect(gate.address(index))
  await client.until(/^220 .*\r\n/)
  await client.command('EHLO client.example')
  return client
}

/** Up to the 354. */
async function inData(index = OPEN, mailbox = 'refused'): Promise<RawClient> {
  const client = await greeted(index)
  await client.command('MAIL FROM:<a@b.example>')
  await client.command(`RCPT TO:<${mailbox}@gate.example>`)
  assert.match(await client.command('DATA'), /^354 /)
  client.received = ''
  return client
}

async function quit(client: RawClient, expected = 1): Promise<readonly string[]> {
  assert.match(await client.command('QUIT'), /^221 /)
  client.destroy()
  return await refusalsOf(gate, client, expected)
}

/** Sends the bytes and then NOOP: one reply to whatever it was, one to the NOOP. */
async function oneRefusal(bytes: string, reply: RegExp): Promise<void> {
  const client = await greeted()
  client.received = ''
  client.send(`${bytes}NOOP\r\n`)
  const received = await client.until(/^250 2\.0\.0 OK\r\n/m)
  assert.match(received, reply)
  assert.equal(
    received.split('\r\n').length,
    3,
    `one reply for ${JSON.stringify(bytes.slice(0, 60))}: ${received}`,
  )
  assert.equal((await quit(client)).length, 1)
}

describe('command lines', { concurrency: true }, () => {
  const lines: readonly (readonly [string, string, RegExp])[] = [
    ['a line of 3,000 octets', `NOOP ${'x'.repeat(3000)}\r\n`, /^500 5\.5\.2 line too long\r\n/],
    ['a line of a megabyte', `NOOP ${'x'.repeat(2 ** 20)}\r\n`, /^500 5\.5\.2 line too long\r\n/],
    [
      'an AUTH line of 13,000 octets',
      `AUTH PLAIN ${'A'.repeat(13_000)}\r\n`,
      /^500 5\.5\.2 line too long\r\n/,
    ],
    [
      'a command behind a bare LF',
      'NOOP\nMAIL FROM:<a@b.example>\r\n',
      /^500 5\.5\.2 lines must end with CR LF\r\n/,
    ],
    [
      'a command behind a bare CR',
      'NOOP\rMAIL FROM:<a@b.example>\r\n',
      /^500 5\.5\.2 lines must end with CR LF\r\n/,
    ],
    ['CR CR LF', 'NOOP\r\r\n', /^500 5\.5\.2 lines must end with CR LF\r\n/],
    ['LF CR', 'NOOP\n\rNOOP\r\n', /^500 5\.5\.2 lines must end with CR LF\r\n/],
    ['a NUL', 'NO\0OP\r\n', /^500 5\.5\.2 NUL in command\r\n/],
    ['an empty line', '\r\n', /^500 5\.5\.2 /],
    ['a name with ESC in EHLO', 'EHLO \u001b[2J.example\r\n', /^501 5\.5\.2 /],
    ['a name of 2,000 octets in EHLO', `EHLO ${'a.'.repeat(1000)}example\r\n`, /^50[01] 5\.5\.2 /],
    ['a control character in a quoted local part', 'MAIL FROM:<"a\u001bb"@b.example>\r\n', /^501 5\.5\.2 /],
    ['octets above 127 in an address', 'MAIL FROM:<\xe9@b.example>\r\n', /^553 5\.6\.7 /],
    ['an address without an end', `MAIL FROM:<a@b.example\r\n`, /^501 5\.5\.2 /],
    ['a source route without an address', 'MAIL FROM:<@a,@b:>\r\n', /^501 5\.5\.2 /],
    ['a local part of 65 octets', `MAIL FROM:<${'a'.repeat(65)}@b.example>\r\n`, /^501 5\.1\.7 /],
    ['a domain of 256 octets', `MAIL FROM:<a@${'a'.repeat(254)}.b>\r\n`, /^501 5\./],
    ['a thousand parameters', `MAIL FROM:<a@b.example>${' A=b'.repeat(400)}\r\n`, /^555 5\.5\.4 /],
    ['a size beyond all integers', `MAIL FROM:<a@b.example> SIZE=${'9'.repeat(20)}\r\n`, /^552 5\.3\.4 /],
    ['BDAT, which is not offered', 'BDAT 0 LAST\r\n', /^502 5\.5\.1 /],
    ['an octet string that is no word', '\xff\xfe\x01\x02\r\n', /^500 5\.5\.2 /],
  ]
  for (const [what, bytes, reply] of lines) {
    test(`${what}: one refusal, then in step again`, () => oneRefusal(bytes, reply))
  }

  test('a line without an end is answered once, and ends with its session', async () => {
    const client = await greeted(SHORT_IDLE)
    client.received = ''
    for (let sent = 0; sent < 256 && client.lost === undefined; sent += 1) client.send('x'.repeat(65_536))
    const dripping = client.drip(100)
    await client.until(/^500 5\.5\.2 line too long\r\n421 4\.4\.2 .*\r\n/)
    await client.closed()
    await dripping
    assert.deepEqual(await refusalsOf(gate, client), ['500 core 5.5.2 line too long'])
  })

  test('a line that comes octet by octet, and never to an end, runs out of time', async () => {
    const client = await greeted(SHORT_IDLE)
    client.received = ''
    const dripping = client.drip(100)
    await client.until(/^421 4\.4\.2 .*\r\n/)
    await client.closed()
    await dripping
    assert.deepEqual(await refusalsOf(gate, client, 0), [], 'Idle_Time is no rejection')
  })

  test('commands out of order are refused one by one, and the right order works after them', async () => {
    const client = await greeted()
    const refused: readonly (readonly [string, RegExp])[] = [
      ['RCPT TO:<box@gate.example>', /^503 /],
      ['DATA', /^503 /],
      ['STARTTLS', /^502 |^454 /],
      ['AUTH PLAIN AGEAYg==', /^50\d |^538 /],
    ]
    for (const [line, reply] of refused) assert.match(await client.command(line), reply, line)
    assert.match(await client.command('MAIL FROM:<a@b.example>'), /^250 /)
    assert.match(await client.command('MAIL FROM:<c@d.example>'), /^50[13] /)
    assert.match(await client.command('DATA'), /^503 /)
    assert.match(await client.command('RCPT TO:<box@gate.example>'), /^250 /)
    assert.match(await client.command('DATA'), /^354 /)
    assert.match(await client.command('A: b\r\n\r\nc\r\n.'), /^250 /)
    assert.match(await client.command('DATA'), /^503 /, 'the transaction is used up')
    assert.equal((await quit(client)).length, refused.length + 3)
  })

  test('rubbish is sent away after twenty refusals', async () => {
    const client = await RawClient.connect(gate.address(OPEN))
    for (let at = 0; at < 64 && client.lost === undefined; at += 1) {
      client.send(Buffer.concat([randomBytes(4096), Buffer.from('\r\n')]))
    }
    await client.closed()
    const replies = client.received.split('\r\n').filter((line) => line !== '')
    assert.match(replies.shift() ?? '', /^220 /)
    assert.match(replies.at(-1) ?? '', /^421 4\.7\.0 /)
    const told = await refusalsOf(gate, client)
    assert.equal(told.length, replies.length, 'each refusal is told once')
    assert.equal(told.length, 21)
  })

  for (const [what, bytes] of [
    ['a ClientHello', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'.padEnd(517, '\x5a').concat('\r\n')],
    ['a browser', 'GET / HTTP/1.1\r\nHost: gate.example\r\n\r\n'],
  ] as const) {
    test(`${what} on the clear port gets a reply or a close, and nothing else`, async () => {
      const client = await RawClient.connect(gate.address(OPEN))
      client.send(bytes)
      await client.until(/^220 .*\r\n(?:500 5\.5\.2|421 4\.7\.0) .*\r\n/)
      client.destroy()
      assert.equal((await refusalsOf(gate, client)).length, 1)
    })
  }
})

describe('messages', { concurrency: true }, () => {
  const refused: readonly (readonly [string, string, RegExp])[] = [
    ['a bare LF in the header', 'A: b\nB: c\r\n\r\nbody\r\n', /^550 5\.6\.0 Lone CR or LF in headers/],
    ['a bare CR in the header', 'A: b\rB: c\r\n\r\nbody\r\n', /^550 5\.6\.0 Lone CR or LF in headers/],
    ['a bare LF in the body', 'A: b\r\n\r\none\ntwo\r\n', /^550 5\.6\.0 Lone CR or LF in body/],
    ['a bare CR in the body', 'A: b\r\n\r\none\rtwo\r\n', /^550 5\.6\.0 Lone CR or LF in body/],
    ['a NUL in the header', 'A: b\0\r\n\r\nbody\r\n', /^550 5\.6\.0 NUL/],
    ['a NUL in the body', 'A: b\r\n\r\n\0\r\n', /^550 5\.6\.0 NUL/],
    ['no header', '\r\nbody\r\n', /^550 5\.6\.0 /],
    ['something else than a header', 'hello\r\nthere\r\n', /^550 5\.6\.0 /],
    ['a header of 300 KB in one field', `A: ${'x'.repeat(300_000)}\r\n\r\nbody\r\n`, /^552 5\.3\.4 /],
    ['a header of 60,000 fields', `${'A: b\r\n'.repeat(60_000)}\r\nbody\r\n`, /^552 5\.3\.4 /],
    ['101 Received fields', `${'Received: x\r\n'.repeat(101)}\r\nbody\r\n`, /^554 5\.4\.6 /],
    ['two octets too many', `A: b\r\n\r\n${'x'.repeat(2 ** 20 - 8)}\r\n`, /^552 5\.3\.4 /],
  ]
  for (const [what, message, reply] of refused) {
    test(`${what}: refused once, nothing kept, in step again`, async () => {
      const client = await inData()
      client.send(`${message}.\r\n`)
      assert.match(await client.until(/\r\n/), reply)
      assert.match(await client.command('NOOP'), /^250 /)
      assert.equal((await quit(client)).length, 1)
    })
  }

  test('a body line of any length that fits the limit is taken whole', async () => {
    const client = await inData(OPEN, 'taken')
    client.send(`A: b\r\n\r\n${'x'.repeat(900_000)}\r\n.\r\n`)
    assert.match(await client.until(/\r\n/), /^250 /)
    await quit(client, 0)
  })

  test('a message that trickles is cut off at Data_Timeout', async () => {
    const client = await inData(SHORT_DATA)
    const dripping = client.drip(50)
    await client.until(/^421 4\.4\.2 .*\r\n/)
    await client.closed()
    await dripping
    const [rejection, ...more] = await rejectionsOf(gate, client)
    assert.deepEqual(more, [])
    assert.equal(rejection?.state, 'reading body')
  })

  test('ten thousand recipients: so many are taken, each of the others is told to come again', async () => {
    const client = await greeted()
    assert.match(await client.command('MAIL FROM:<a@b.example>'), /^250 /)
    client.received = ''
    const count = 10_000
    let batch = ''
    for (let n = 0; n < count; n += 1) batch += `RCPT TO:<many${n % 4}@gate.example>\r\n`
    client.send(`${batch}NOOP\r\n`)
    const received = await client.until(/^250 2\.0\.0 OK\r\n/m)
    const codes = Map.groupBy(received.trimEnd().split('\r\n'), (line) => line.slice(0, 9))
    assert.equal(codes.get('250 2.1.5')?.length, 1000)
    assert.equal(codes.get('452 4.5.3')?.length, count - 1000)
    assert.equal((await quit(client)).length, count - 1000)
  })
})

test('nothing of what was refused is in any mailbox', () => {
  const received = gate.events.filter((event) => event.kind === 'reception').map(({ envelope }) => envelope)
  assert.equal(received.filter(({ recipient }) => recipient.local === 'refused').length, 0)
  assert.equal(received.filter(({ recipient }) => recipient.local === 'taken').length, 1)
})

describe('local parts never lead out of the basedir', () => {
  // biome-ignore format: a list
  const names = [
    '../x', '..', '.', '../../etc/passwd', '/etc/passwd', 'a/b', 'a/../../b', '%2e%2e', '..%2f..%2fx', '~root',
    '$HOME', '`id`', '|id', '-rf', '.ssh', 'a\\b', '..\\x', 'a b', '*', '?', 'a:2,S', '"', "'", '', 'x'.repeat(62),
    'x'.repeat(64), 'x'.repeat(65), 'x'.repeat(1000), 'tmp', 'new', 'cur', 'A@B', 'linked', 'afile',
    'a\0b', 'a\nb', 'a\rb', 'a\u001bb', '\xe9',
  ]
  for (const domain of ['gate.example', 'deep.example']) {
    test(`at ${domain}, in any form of writing`, async () => {
      const basedir = path.join(gate.folder, domain === 'gate.example' ? 'box/mail' : 'box/deep/deep.example')
      mkdirSync(path.join(gate.folder, 'outside'), { recursive: true })
      mkdirSync(basedir, { recursive: true })
      symlinkSync(path.join(gate.folder, 'outside'), path.join(basedir, 'linked'))
      writeFileSync(path.join(basedir, 'afile'), '')
      const before = surroundings()
      const taken = await Promise.all(
        names.flatMap((name) =>
          [name, `"${name.replace(/["\\]/g, '\\$&')}"`, `"${name.replace(/[ -~]/g, '\\$&')}"`].map((form) =>
            tryRecipient(`<${form}@${domain}>`),
          ),
        ),
      )
      const accepted = taken.flatMap((id) => (id === undefined ? [] : [id]))
      assert.ok(accepted.length > 5, 'ordinary names are accepted')
      for (const id of accepted) await gate.event('delivery', ({ envelope }) => envelope.id === id)
      const boxes = readdirSync(basedir).filter(
        (name) => !['linked', 'afile', 'next', 'taken'].includes(name),
      )
      for (const box of boxes) assert.match(box, /^[a-z0-9_][a-z0-9._+=-]{0,63}$/)
      assert.deepEqual(surroundings(), before, 'nothing was made outside')
    })
  }
})

/** outside of the two basedirs and the spool */
function surroundings(): string[] {
  return readdirSync(gate.folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => !/^(?:box\/(?:mail|deep)|spool)\//.test(name))
    .toSorted()
}

/** The message's id when it was taken; a refusal is a 5xx. */
async function tryRecipient(forward: string): Promise<string | undefined> {
  const client = await greeted()
  await client.command('MAIL FROM:<a@b.example>')
  const reply = await client.command(`RCPT TO:${forward}`)
  if (!reply.startsWith('250')) {
    assert.match(reply, /^5\d\d \S.*\r\n$/, `RCPT TO:${forward}`)
    assert.equal((await quit(client)).length, 1)
    return undefined
  }
  await client.command('DATA')
  const [, id] =
    /^250 2\.0\.0 message (\S+) accepted/.exec(await client.command('Subject: x\r\n\r\nx\r\n.')) ?? []
  assert.ok(id !== undefined, forward)
  await quit(client, 0)
  return id
}
