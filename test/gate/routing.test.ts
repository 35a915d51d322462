/** Mail that finds its way by the DNS, from reception to the next hop. */

import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { TestDnsServer } from '../support/dns-server.ts'
import { SmtpClient } from '../support/smtp-client.ts'
import { SmtpSink } from '../support/smtp-sink.ts'
import { startTestGate, type TestGate } from '../support/test-gate.ts'

let dns: TestDnsServer
let sink: SmtpSink
let gate: TestGate

before(async () => {
  dns = await TestDnsServer.start({
    'MX example.test': [
      { preference: 20, exchange: 'mail.test' },
      { preference: 10, exchange: 'down.test' },
    ],
    'A mail.test': ['127.0.0.1'],
    'A down.test': ['127.0.0.9'],
    'MX null.test': [{ preference: 0, exchange: '.' }],
    'A plain.test': ['127.0.0.1'],
    'A bad.test': ['127.0.0.66'],
    'MX loop.test': [{ preference: 5, exchange: 'gate.example' }],
    'A gate.example': ['127.0.0.1'],
  })
  sink = await SmtpSink.start()
  gate = await startTestGate({
    conf: `
      DNS_Servers = ( "127.0.0.1:${dns.port}" )
      Prohibited_Hosts = ( 127.0.0.66 )
      Remote_SMTP_Port = ${sink.port}
      ESMTP_Listener { Open_Relay = true Listen "127.0.0.1:0" { } }`,
  })
})

after(async () => {
  await gate.stop()
  await sink.close()
  await dns.close()
})

beforeEach(() => {
  sink.received.length = 0
})

async function send(recipient: string): Promise<void> {
  const client = await SmtpClient.connect(gate.address())
  await client.reply()
  for (const line of ['EHLO x', 'MAIL FROM:<>', `RCPT TO:<${recipient}>`, 'DATA']) await client.command(line)
  assert.match(await client.command('Subject: x\r\n\r\nbody\r\n.'), /^250/)
  client.destroy()
}

test('mail goes to the MX host that answers, by way of the one that does not', async () => {
  await send('bob@example.test')
  const { remote } = await gate.event('delivery', ({ domain }) => domain === 'example.test')
  assert.equal(remote, '127.0.0.1')
  assert.deepEqual(sink.received[0]?.rcpt, ['RCPT TO:<bob@example.test>'])
})

test('a domain without MX records, and an address literal, are reached at their addresses', async () => {
  await send('bob@plain.test')
  await gate.event('delivery', ({ domain }) => domain === 'plain.test')
  await send('bob@[127.0.0.1]')
  await gate.event('delivery', ({ domain }) => domain === '[127.0.0.1]')
  assert.equal(sink.received.length, 2)
})

for (const [domain, text] of [
  ['null.test', '550 5.4.4 [internal] NULL MX domain does not accept mail'],
  ['nowhere.test', '554 5.4.4 [internal] Domain Lookup Failed'],
  ['bad.test', '551 5.4.6 [internal] Private/Loopback Address'],
  ['loop.test', '554 5.4.6 [internal] The best host for the domain is this server itself'],
] as const) {
  test(`mail for ${domain} fails for good: ${text.slice(0, 9)}`, async () => {
    await send(`bob@${domain}`)
    const failure = await gate.event('permanent-failure', (event) => event.domain === domain)
    assert.equal(failure.text, text)
    assert.equal(sink.received.length, 0)
  })
}
