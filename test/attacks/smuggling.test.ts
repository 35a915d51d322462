/**
 * SMTP smuggling (CVE-2023-51764 and its kin): nothing but CRLF.CRLF ends a message, however the octets arrive, and what
 * a client puts behind a false end is never taken for commands. What is passed on cannot be read otherwise by the next
 * hop, however lax it is.
 */

import assert from 'node:assert/strict'
import { after, afterEach, before, describe, test } from 'node:test'
import { SmtpClient } from '../support/smtp-client.ts'
import { SmtpSink } from '../support/smtp-sink.ts'
import { startTestGate, type TestGate } from '../support/test-gate.ts'
import { assertNoPanic, assertServes, refusalsOf } from './attack-gate.ts'
import { RawClient } from './raw-client.ts'

/** what may stand for a line end, before and after the dot */
const LINE_ENDS = ['\r\n', '\n', '\r', '\r\r', '\n\r', '\r\r\n', '\r\n\r', '\0\r\n', '\r\0\n', '\x85', '']
const INSIDE = ['.', '..', '.\0', ' .', '. ']
const END = '\r\n.\r\n'

/** every way to write something like the end of data, without the true end */
const falseEnds = [
  ...new Set(
    LINE_ENDS.flatMap((open) => INSIDE.flatMap((dot) => LINE_ENDS.map((close) => `${open}${dot}${close}`))),
  ),
].filter((text) => !`x${text}`.includes(END))

const smuggled = [
  'MAIL FROM:<evil@evil.example>',
  'RCPT TO:<victim@gate.example>',
  'DATA',
  'Subject: smuggled',
  '',
  'evil',
].join('\r\n')

let gate: TestGate
let sink: SmtpSink
before(async () => {
  sink = await SmtpSink.start()
  gate = await startTestGate({
    conf: `
      ESMTP_Listener { Listen "127.0.2.1:0" { Relay_Hosts = ( "127.0.0.0/8" ) Max_Recipients_Per_Message = 100 } }
      maildir "m" { basedir = "mail" domains = ( "gate.example" ) create_users = true }
      Domain "next.example" { Gateway = "127.0.0.1" Remote_SMTP_Port = ${sink.port} }`,
  })
})
afterEach(() => assertNoPanic(gate))
after(async () => {
  await assertServes(gate.address())
  await gate.stop()
  await sink.close()
})

async function startMessage(client: RawClient, recipient: string): Promise<void> {
  await client.command('MAIL FROM:<a@b.example>')
  await client.command(`RCPT TO:<${recipient}>`)
  assert.match(await client.command('DATA'), /^354 /)
  client.received = ''
}

async function greeted(): Promise<RawClient> {
  const client = await RawClient.connect(gate.address())
  await client.until(/^220 .*\r\n/)
  await client.command('EHLO client.example')
  return client
}

/**
 * One message that holds a false end and a whole transaction behind it. There is one reply to all of it; when that is a
 * 250 one message was taken, with everything in it.
 */
async function smuggle(
  client: RawClient,
  falseEnd: string,
  send: (bytes: string) => Promise<void>,
): Promise<void> {
  const shown = JSON.stringify(falseEnd)
  await startMessage(client, 'box@gate.example')
  await send(`Subject: outer\r\n\r\nouter${falseEnd}${smuggled}${END}`)
  const reply = await client.until(/\r\n/)
  const forbidden = /[\0]/.test(falseEnd) || /\r(?!\n)|(?<!\r)\n/.test(`${falseEnd}M`)
  assert.match(reply, forbidden ? /^550 5\.6\.0 [^\r\n]*\r\n$/ : /^250 2\.0\.0 [^\r\n]*\r\n$/, shown)
  // in step: the next command gets its own reply, and there is no transaction
  assert.match(await client.command('RCPT TO:<victim@gate.example>'), /^503 [^\r\n]*\r\n$/, shown)
}

function assertNothingForVictim(): void {
  const victims = gate.events.filter(
    (event) => event.kind === 'reception' && event.envelope.recipient.local === 'victim',
  )
  assert.deepEqual(victims, [])
}

describe('false ends of data', { concurrency: true }, () => {
  const workers = 8
  for (let worker = 0; worker < workers; worker += 1) {
    const own = falseEnds.filter((_, index) => index % workers === worker)
    test(`${own.length} of them in one segment`, async () => {
      for (let from = 0; from < own.length; from += 8) {
        const client = await greeted()
        for (const falseEnd of own.slice(from, from + 8)) {
          await smuggle(client, falseEnd, async (bytes) => client.send(bytes))
        }
        client.destroy()
      }
      assertNothingForVictim()
    })
  }

  for (const falseEnd of [
    '\n.\n',
    '\n.\r\n',
    '\r\n.\n',
    '\r.\r',
    '\r\n.\r',
    '\r\n.\r\r\n',
    '\r\n\0.\r\n',
    '\r\n.\0\r\n',
  ]) {
    test(`${JSON.stringify(falseEnd)} octet by octet, and cut at each place`, async () => {
      const client = await greeted()
      await smuggle(client, falseEnd, (bytes) => client.trickle(bytes))
      for (let cut = 0; cut <= falseEnd.length; cut += 1) {
        await smuggle(client, falseEnd, async (bytes) => {
          const at = bytes.indexOf(falseEnd) + cut
          client.send(bytes.slice(0, at))
          await new Promise((resolve) => setImmediate(resolve))
          client.send(bytes.slice(at))
        })
      }
      client.destroy()
      assertNothingForVictim()
    })
  }

  test('a message that was refused for its size does not end at a false end either', async () => {
    const client = await greeted()
    await startMessage(client, 'box@gate.example')
    client.send(`${'A: b\r\n'.repeat(60_000)}\n.\n${smuggled}\r\n.\r${smuggled}${END}`)
    assert.match(await client.until(/\r\n/), /^55[02] 5\.\d\.\d [^\r\n]*\r\n$/)
    assert.match(await client.command('NOOP'), /^250 /)
    client.destroy()
    assert.equal((await refusalsOf(gate, client)).length, 1)
    assertNothingForVictim()
  })

  test('DATA as the last command of a pipelined batch takes the message that came with it', async () => {
    const client = await greeted()
    client.received = ''
    client.send(
      `MAIL FROM:<a@b.example>\r\nRCPT TO:<box@gate.example>\r\nDATA\r\nA: b\r\n\r\nc${END}NOOP\r\n`,
    )
    const received = await client.until(/^250 2\.0\.0 OK\r\n/m)
    assert.deepEqual(received.match(/^\d{3}/gm), ['250', '250', '354', '250', '250'])
    client.destroy()
  })

  test('a dot right behind DATA ends an empty message, and what follows are commands', async () => {
    const client = await greeted()
    client.received = ''
    client.send('MAIL FROM:<a@b.example>\r\nRCPT TO:<box@gate.example>\r\nDATA\r\n.\r\nNOOP\r\n')
    const received = await client.until(/^250 2\.0\.0 OK\r\n/m)
    assert.deepEqual(received.match(/^\d{3}/gm), ['250', '250', '354', '550', '250'])
    client.destroy()
  })

  test('a message that ends with its connection is not kept', async () => {
    for (const tail of ['', '\r', '\r\n', '\r\n.', '\r\n.\r']) {
      const client = await greeted()
      await startMessage(client, 'unfinished@gate.example')
      client.send(`A: b\r\n\r\nc${tail}`)
      client.socket.end()
      await client.closed()
      assert.deepEqual(await refusalsOf(gate, client, 0), [])
    }
    const kept = gate.events.filter(
      (event) => event.kind === 'reception' && event.envelope.recipient.local === 'unfinished',
    )
    assert.deepEqual(kept, [])
  })
})

describe('towards the next hop', () => {
  test('dots at line starts arrive as they were sent, and nothing more than one message', async () => {
    const body = ['.', '..', '...', '.x', '. ', '', '.QUIT', 'x.', '.'].join('\r\n')
    const client = await SmtpClient.connect(gate.address())
    await client.reply()
    await client.ehlo()
    await client.command('MAIL FROM:<a@b.example>')
    await client.command('RCPT TO:<box@next.example>')
    await client.command('DATA')
    client.sendRaw(`Subject: dots\r\n\r\n${body.replace(/^\./gm, '..')}${END}`)
    assert.match(await client.reply(), /^250 /)
    await sink.until(({ received }) => received.length === 1)
    assert.ok(sink.received[0]?.content.endsWith(`\r\n\r\n${body}\r\n`), sink.received[0]?.content)
    client.destroy()
  })

  test('an address that looks like commands stays one address', async () => {
    const client = await SmtpClient.connect(gate.address())
    await client.reply()
    await client.ehlo()
    const locals = ['"a> SIZE=1"', '"a b"', '"\\"@x.example> RCPT TO:<b"', '"<>"', `"it's"`]
    for (const local of locals) {
      const before = sink.received.length
      assert.match(await client.deliver(`${local}@b.example`, `${local}@next.example`, 'A: b\n\nc'), /^250 /)
      await sink.until(({ received }) => received.length > before)
      const mail = sink.received.at(-1)
      const written = local === `"it's"` ? "it's" : local
      assert.deepEqual(mail?.rcpt, [`RCPT TO:<${written}@next.example>`])
      assert.ok(mail?.mail.startsWith(`MAIL FROM:<${written}@b.example>`), mail?.mail)
    }
    client.destroy()
  })
})
