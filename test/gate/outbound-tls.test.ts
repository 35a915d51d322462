/** What a configuration says of TLS with next hops, from reception to the next hop and into the logs. */

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { readSpki } from '../../src/tls/certificate.ts'
import { TestDnsServer } from '../support/dns-server.ts'
import { SmtpClient } from '../support/smtp-client.ts'
import { SmtpSink } from '../support/smtp-sink.ts'
import { testPki } from '../support/test-ca.ts'
import { startTestGate, type TestGate } from '../support/test-gate.ts'

const pki = await testPki()
const { authority } = pki
const altNames = ['mail.test', 'dane.test', 'bound.test'].map((value) => ({ kind: 'dns', value }) as const)
const credential = authority.issue({ subject: 'mail.test', usage: 'server', altNames })
const script = { tls: { ...credential, ca: authority.cert, requestCert: true } }

let dns: TestDnsServer
let sink: SmtpSink
let gate: TestGate

const CONF = (port: number): string => `
  Remote_SMTP_Port = ${port}
  Retry_Interval = 1
  TLS = required
  TLS_Verify = host
  TLS_CA = pki/ca.pem
  TLS_RPT_Log = reports.json
  Domain "dane.test" { Use_DANE = true TLS = no TLS_Verify = no }
  Domain "lost.test" { MX_Failures_Fallback_To_A = 1 TLS = no TLS_Verify = no }
  Domain "withheld.test" { Use_DANE = true MX_Failures_Fallback_To_A = 1 TLS = no TLS_Verify = no }
  Domain "stranger.test" { TLS_CA = pki/other-ca.pem }
  Domain "clear.test" { TLS = no }
  Domain "/^(kept|asked)\\.test$/" { TLS = no TLS_Verify = no Use_MTA_STS = true }
  Prohibited_Hosts = ( 127.0.0.66 )
  Binding_Group "g" { Binding "b" { TLS_Certificate = pki/client-valid.pem TLS_Key = pki/client-valid.key } }
  scriptlet "scriptlet" { script "binding" { source = "binding.lua" } }
  ESMTP_Listener { Open_Relay = true Listen "127.0.0.1:0" { } }`

before(async () => {
  sink = await SmtpSink.start(script)
  const digest = createHash('sha256').update(readSpki(credential.der)).digest()
  dns = await TestDnsServer.start({
    'A mail.test': ['127.0.0.1'],
    'A dane.test': ['127.0.0.1'],
    'A stranger.test': ['127.0.0.1'],
    'A clear.test': ['127.0.0.1'],
    'A bound.test': ['127.0.0.1'],
    'A withheld.test': ['127.0.0.1'],
    'A lost.test': ['127.0.0.1'],
    'A kept.test': ['127.0.0.1'],
    'A asked.test': ['127.0.0.1'],
    'TXT _mta-sts.asked.test': ['v=STSv1; id=a;'],
    'A mta-sts.asked.test': ['127.0.0.66'],
    [`TLSA _${sink.port}._tcp.dane.test`]: [{ usage: 3, selector: 1, matchingType: 1, certificate: digest }],
  })
  dns.authentic = true
  dns.odd = ({ name, type }) =>
    type === 'MX' && /^(?:withheld|lost)\./.test(name) ? { rcode: 2 } : undefined
  gate = await startTestGate({
    conf: `DNS_Servers = ( "127.0.0.1:${dns.port}" )${CONF(sink.port)}`,
    pki,
    files: {
      'binding.lua': `require("msys.core")
        local mod = {}
        function mod:validate_set_binding(msg)
          local domain = msg:routing_domain()
          if domain == "bound.test" then msg:binding_group("g"); msg:binding("b") end
          return msys.core.VALIDATE_CONT
        end
        msys.registerModule("binding", mod)`,
    },
  })
})

after(async () => {
  await gate.stop()
  await sink.close()
  await dns.close()
})

async function send(recipient: string): Promise<void> {
  const client = await SmtpClient.connect(gate.address())
  await client.reply()
  for (const line of ['EHLO x', 'MAIL FROM:<>', `RCPT TO:<${recipient}>`, 'DATA']) await client.command(line)
  assert.match(await client.command('Subject: x\r\n\r\nbody\r\n.'), /^250/)
  client.destroy()
}

test('a host that is the one that was meant gets the mail, and the fact says how it was protected', async () => {
  await send('bob@mail.test')
  const { tls } = await gate.event('delivery', ({ domain }) => domain === 'mail.test')
  assert.deepEqual(
    [tls?.demand, tls?.verifiedBy, tls?.subject, tls?.issuer],
    ['required', 'host', 'CN=mail.test', 'CN=Postern test CA'],
  )
})

test('a host under another CA gets none, until a reload says that it may', async () => {
  await send('bob@stranger.test')
  const { text, stage } = await gate.event('transient-failure', ({ domain }) => domain === 'stranger.test')
  assert.deepEqual(
    [stage, text],
    [17, '451 4.7.5 [internal] SSL cert must be signed by a valid CA (untrusted)'],
  )
  const file = path.join(gate.folder, 'gate.conf')
  writeFileSync(file, readFileSync(file, 'utf8').replace('TLS_CA = pki/other-ca.pem', 'TLS_Verify = ca'))
  await gate.server.reload()
  const { tls } = await gate.event('delivery', ({ domain }) => domain === 'stranger.test')
  assert.equal(tls?.verifiedBy, 'ca')
})

test('TLSA records decide where the configured name server says that they are authentic', async () => {
  await send('bob@dane.test')
  const { tls } = await gate.event('delivery', ({ domain }) => domain === 'dane.test')
  assert.deepEqual([tls?.demand, tls?.verifiedBy], ['required', 'dane'])
  const told = await gate.event('tls-session')
  assert.deepEqual([told.policy.domain, told.failure], ['dane.test', undefined])
})

test('where DANE is used, whoever keeps the answer about MX back does not choose the host', async () => {
  await send('bob@withheld.test')
  await send('bob@lost.test')
  const { text } = await gate.event('transient-failure', ({ domain }) => domain === 'withheld.test')
  assert.equal(text, '451 4.4.3 [internal] The name of the next hop could not be looked up')
  await gate.event('delivery', ({ domain }) => domain === 'lost.test')
})

test('a policy that was kept holds after a start, and nobody connects to a policy host that is prohibited', async () => {
  const folder = path.join(gate.folder, 'spool/mtasts')
  mkdirSync(folder, { recursive: true })
  const policy = { id: 'a', mode: 'enforce', mx: ['other.test'], maxAge: 86_400, fetchedAt: Date.now() }
  writeFileSync(path.join(folder, 'kept.test'), JSON.stringify(policy))
  await send('bob@kept.test')
  const { text } = await gate.event('transient-failure', ({ domain }) => domain === 'kept.test')
  assert.equal(
    text,
    '451 4.7.5 [internal] kept.test is not among the hosts of the MTA-STS policy of kept.test',
  )
  await send('bob@asked.test')
  await gate.event('delivery', ({ domain }) => domain === 'asked.test')
  const told = await gate.event('tls-session', (event) => event.policy.domain === 'asked.test')
  assert.equal(told.failure, 'sts-policy-fetch-error')
})

test('a domain that needs no TLS gets its mail in clear', async () => {
  await send('bob@clear.test')
  const { tls } = await gate.event('delivery', ({ domain }) => domain === 'clear.test')
  assert.equal(tls, undefined)
})

test('a binding has a certificate of its own', async () => {
  await send('bob@bound.test')
  await gate.event('delivery', ({ domain }) => domain === 'bound.test')
  assert.deepEqual(
    sink.handshakes.map(({ client }) => client).filter((client) => client !== undefined),
    ['CN=client-valid.example'],
  )
})

test('a reload with a file that cannot be used is refused, and says where', async () => {
  const file = path.join(gate.folder, 'gate.conf')
  const good = readFileSync(file, 'utf8')
  writeFileSync(file, good.replace('TLS_CA = pki/ca.pem', 'TLS_CA = pki/missing.pem'))
  await assert.rejects(gate.server.reload(), /TLS_CA "pki\/missing\.pem"/)
  writeFileSync(file, good)
})

test('what was counted is reported when the gate stops', async () => {
  await gate.server.stop()
  const reports = readFileSync(path.join(gate.folder, 'reports.json'), 'utf8').trimEnd().split('\n')
  const report = reports.find((line) => line.includes('dane.test')) ?? ''
  const summary = { 'total-successful-session-count': 1, 'total-failure-session-count': 0 }
  assert.ok(report.includes(JSON.stringify(summary)), report)
  assert.match(report, /"organization-name":"gate\.example".*"policy-domain":"dane\.test"/)
})
