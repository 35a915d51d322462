/** What senders are told, and what comes back from elsewhere, on a whole gate: DSN, UTF-8, chunks, reports. */

import assert from 'node:assert/strict'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { TestDnsServer } from '../support/dns-server.ts'
import { SmtpClient } from '../support/smtp-client.ts'
import { SmtpSink } from '../support/smtp-sink.ts'
import { MAILDIR, startTestGate, type TestGate } from '../support/test-gate.ts'

let dns: TestDnsServer
let plain: SmtpSink
let able: SmtpSink
let gate: TestGate

before(async () => {
  dns = await TestDnsServer.start({
    'A plain.test': ['127.0.0.1'],
    'A able.test': ['127.0.0.1'],
    'A xn--bcher-kva.test': ['127.0.0.1'],
  })
  plain = await SmtpSink.start({ rcpt: (line) => (line.includes('nobody') ? '550 5.1.1 no' : '250 ok') })
  able = await SmtpSink.start({ extensions: ['PIPELINING', '8BITMIME', 'DSN', 'SMTPUTF8', 'CHUNKING'] })
  gate = await startTestGate({
    conf: `
      DNS_Servers = ( "127.0.0.1:${dns.port}" )
      Remote_SMTP_Port = ${plain.port}
      Bounce_Domains = ( "bounces.example" )
      Bounce_Pattern = "^b-[0-9]+@"
      Bounce_Suppress_List = "list@old.example,@never.example"
      Domain "able.test" { Remote_SMTP_Port = ${able.port} }
      Domain "xn--bcher-kva.test" { Remote_SMTP_Port = ${able.port} }
      Domain "bounces.example" { Bounce_Behavior = "blackhole" }
      bounce_logger "b" { bouncelog = "logs/bounce.ec" heartbeat = 0 }
      ${MAILDIR}
      ESMTP_Listener {
        Listen "127.0.0.1:0" {
          SMTP_Extensions = ( "DSN" "SMTPUTF8" "CHUNKING" )
          Peer "127.0.0.0/8" { Relay_For_Sending_Domains = ( "gate.example" ) }
        }
      }`,
  })
})

after(async () => {
  await gate.stop()
  for (const each of [plain, able, dns]) await each.close()
})

async function converse(...lines: readonly string[]): Promise<readonly string[]> {
  const client = await SmtpClient.connect(gate.address())
  await client.reply()
  const replies: string[] = []
  for (const line of ['EHLO x', ...lines])
    replies.push(await client.command(Buffer.from(line).toString('latin1')))
  client.destroy()
  return replies
}

/** The files of a mailbox once one arrived by this recipient's delivery. */
function mailbox(name: string): readonly string[] {
  const folder = path.join(gate.folder, 'mail', name, 'new')
  return readdirSync(folder).map((file) => readFileSync(path.join(folder, file), 'latin1'))
}

const MESSAGE = ['DATA', 'Subject: x\r\n\r\nbody\r\n.']

test('who asked for success hears that mail was delivered here, or passed on to a host that tells nothing', async () => {
  for (const [to, action] of [
    ['bob@gate.example', 'delivered'],
    ['bob@plain.test', 'relayed'],
  ] as const) {
    const told = gate.event('delivery', ({ envelope }) => envelope.recipient.local === action)
    const replies = await converse(
      `MAIL FROM:<${action}@gate.example> ENVID=Q+2B1`,
      `RCPT TO:<${to}> NOTIFY=SUCCESS ORCPT=rfc822;Old@x.example`,
      ...MESSAGE,
    )
    assert.match(replies.at(-1) ?? '', /^250/)
    await told
    const [notice = '', ...more] = mailbox(action)
    assert.equal(more.length, 0)
    assert.match(notice, new RegExp(`^Final-Recipient: rfc822; ${to}\nAction: ${action}\nStatus: 2\\.`, 'm'))
    assert.match(notice, /^Original-Envelope-Id: Q\+1$/m)
    assert.match(notice, /^Original-Recipient: rfc822; Old@x\.example$/m)
  }
})

test('a host that offers DSN is asked itself; NOTIFY=NEVER has no bounce', async () => {
  const gone = gate.event('delivery', ({ domain }) => domain === 'able.test')
  await converse(
    'MAIL FROM:<quiet@gate.example> RET=HDRS',
    'RCPT TO:<bob@able.test> NOTIFY=SUCCESS',
    ...MESSAGE,
  )
  await gone
  assert.match(able.received.at(-1)?.mail ?? '', / RET=HDRS$/)
  assert.deepEqual(able.received.at(-1)?.rcpt, ['RCPT TO:<bob@able.test> NOTIFY=SUCCESS'])
  const failed = gate.event('permanent-failure', ({ domain }) => domain === 'plain.test')
  await converse('MAIL FROM:<quiet@gate.example>', 'RCPT TO:<nobody@plain.test> NOTIFY=NEVER', ...MESSAGE)
  await failed
})

test('mail with UTF-8 in its addresses and header goes through, and comes back where the next hop cannot', async () => {
  const through = gate.event('delivery', ({ domain }) => domain === 'xn--bcher-kva.test')
  const message = ['DATA', 'Subject: é\r\n\r\nbody\r\n.']
  await converse('MAIL FROM:<utf8@gate.example> SMTPUTF8', 'RCPT TO:<josé@bücher.test>', ...message)
  await through
  const received = able.received.at(-1)
  assert.match(received?.mail ?? '', / SMTPUTF8$/)
  assert.equal(received?.rcpt[0], Buffer.from('RCPT TO:<josé@xn--bcher-kva.test>').toString('latin1'))
  assert.match(received?.content ?? '', /with UTF8SMTP/)
  const back = gate.event('delivery', ({ envelope }) => envelope.recipient.local === 'utf8')
  await converse('MAIL FROM:<utf8@gate.example> SMTPUTF8', 'RCPT TO:<josé@plain.test>', ...message)
  await back
  const [bounce = ''] = mailbox('utf8')
  assert.match(
    bounce,
    /^Final-Recipient: utf-8; jos\\x\{E9\}@plain\.test\nAction: failed\nStatus: 5\.6\.[79]$/m,
  )
})

function arrival(to: string): Promise<unknown> {
  return gate.event('delivery', ({ envelope, domain }) => envelope.sender?.local === 'c' && domain === to)
}

test('a message that came in chunks goes out octet for octet, in chunks and by DATA', async () => {
  const text = 'Subject: chunks\r\n\r\n.\r\n..two\r\nQUIT\r\n'
  const both = [arrival('able.test'), arrival('plain.test')]
  const replies = await converse(
    'MAIL FROM:<c@gate.example>',
    'RCPT TO:<c@able.test>',
    'RCPT TO:<c@plain.test>',
    `BDAT ${text.length} LAST\r\n${text.slice(0, -2)}`,
  )
  assert.match(replies.at(-1) ?? '', /^250 2\.0\.0 message/)
  await Promise.all(both)
  for (const sink of [able, plain])
    assert.ok(sink.received.at(-1)?.content.endsWith(text.slice(0, -2) + '\r\n'))
})

function report(group: string): string {
  return [
    'Content-Type: multipart/report; report-type=delivery-status; boundary=b',
    '',
    '--b\r\n\r\nSorry.',
    '--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; far.example\r\n',
    `${group}\r\n`,
    '--b--\r\n.',
  ].join('\r\n')
}

const FAILED = [
  'Original-Recipient: rfc822; list@old.example',
  'Final-Recipient: rfc822; gone@far.example',
  'Action: failed\r\nStatus: 5.2.2',
  'Diagnostic-Code: smtp; 552 mailbox full\r\n for good',
].join('\r\n')

test('two gates that tell each other of mail from the null sender do not tell each other for ever', async () => {
  const next = await SmtpSink.start({ rcpt: '550 5.1.1 no' })
  const own = await TestDnsServer.start({ 'A a.test': ['127.0.0.1'], 'A b.test': ['127.0.0.1'] })
  const conf = (here: string, there: string, port: number): string => `
    DNS_Servers = ( "127.0.0.1:${own.port}" )
    Relay_Domains = ( "${here}.test" )
    Mdn_Failures_Notify = "keeper@${there}.test"
    Domain "${here}.test" { Remote_SMTP_Port = ${next.port} }
    Domain "${there}.test" { Remote_SMTP_Port = ${port} }
    ESMTP_Listener { Listen "127.0.0.1:0" { } }`
  const a = await startTestGate({ conf: conf('a', 'b', 1) })
  const b = await startTestGate({ conf: conf('b', 'a', a.address().port) })
  try {
    const file = path.join(a.folder, 'gate.conf')
    writeFileSync(
      file,
      readFileSync(file, 'utf8').replace('Remote_SMTP_Port = 1 ', `Remote_SMTP_Port = ${b.address().port} `),
    )
    await a.server.reload()
    const client = await SmtpClient.connect(a.address())
    await client.reply()
    for (const line of ['EHLO x', 'MAIL FROM:<>', 'RCPT TO:<first@a.test>', ...MESSAGE])
      await client.command(line)
    client.destroy()
    const { envelope } = await b.event('permanent-failure')
    assert.equal(envelope.recipient.local, 'keeper')
    // what is under way then ends first
    await b.server.stop()
    const made = [a, b].map(({ events }) =>
      events.flatMap((event) =>
        event.kind === 'reception' && event.protocol === 'internal' ? event.envelope.recipient : [],
      ),
    )
    assert.deepEqual(made, [[{ local: 'keeper', domain: 'b.test' }], []])
  } finally {
    await Promise.all([a.stop(), b.stop(), next.close(), own.close()])
  }
})

test('only addresses that the pattern fits are for reports', async () => {
  const replies = await converse(
    'MAIL FROM:<>',
    'RCPT TO:<other@bounces.example>',
    'RCPT TO:<b-1@x.bounces.example>',
    'RCPT TO:<b-1@bounces.example>',
  )
  assert.deepEqual(
    replies.slice(-3).map((reply) => reply.slice(0, 9)),
    ['550 5.7.1', '550 5.7.1', '250 2.1.5'],
  )
})

test('a report of failure is in the bouncelog with its class and dropped where the operator says so; other mail passes', async () => {
  const delayed = report(FAILED.replace('failed', 'delayed'))
  for (const message of [delayed, 'Subject: hello\r\n\r\nthanks\r\n.', report(FAILED)]) {
    const replies = await converse('MAIL FROM:<>', 'RCPT TO:<b-12@bounces.example>', 'DATA', message)
    assert.match(replies.at(-1) ?? '', /^250/)
  }
  await gate.event('out-of-band-bounce')
  const kept = gate.events.filter(
    (event) => event.kind === 'reception' && event.envelope.recipient.domain === 'bounces.example',
  )
  assert.equal(kept.length, 2)
  await gate.server.stop()
  const lines = readFileSync(path.join(gate.folder, 'logs/bounce.ec'), 'latin1').trimEnd().split('\n')
  const [fields = [], ...more] = lines
    .map((line) => line.split(/(?<!\\)@/))
    .filter((each) => each[11] === '21')
  assert.equal(more.length, 0)
  assert.deepEqual(
    [...fields.slice(4, 9), ...fields.slice(11, 13), ...fields.slice(14)],
    [
      'B',
      'gone',
      'far.example',
      'b-12',
      'bounces.example',
      '21',
      '22',
      '127.0.0.1',
      '552 mailbox full for good',
    ],
  )
  assert.equal(fields.length, 16)
})
