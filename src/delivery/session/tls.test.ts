import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { storedMessage } from '../../../test/support/messages.ts'
import type { SinkScript } from '../../../test/support/smtp-sink.ts'
import { SmtpSink } from '../../../test/support/smtp-sink.ts'
import { pkiDirectory } from '../../../test/support/test-ca.ts'
import type { OutboundValues } from '../../config/settings.ts'
import type { ServerEvent } from '../../events/events.ts'
import { selfSigned } from '../../tls/authority.ts'
import { against, certificateFor, fileOf, HOST, transportFor, tryAt } from './session.fixture.ts'

const pki = await pkiDirectory()
after(async () => await pki[Symbol.asyncDispose]())

const ca = fileOf(pki.file('ca.pem'))
const good = certificateFor(pki.pki)
const required = { tls: 'required' } as const
const byHost = { ...required, tls_verify: 'host', tls_ca: ca } as const
const byCa = { ...required, tls_verify: 'ca', tls_ca: ca } as const

const { authority, otherAuthority } = pki.pki
const altNames = [{ kind: 'dns', value: HOST }] as const
const wrongs = {
  'of another CA': otherAuthority.issue({ subject: HOST, usage: 'server', altNames }),
  'signed by itself': selfSigned({ subject: HOST, usage: 'server', altNames }),
  'that has expired': authority.issue({
    subject: HOST,
    usage: 'server',
    altNames,
    notBefore: Date.now() - 1e9,
    notAfter: Date.now() - 1e6,
  }),
  'that is not valid yet': authority.issue({
    subject: HOST,
    usage: 'server',
    altNames,
    notBefore: Date.now() + 1e6,
    notAfter: Date.now() + 1e9,
  }),
  'for clients': authority.issue({ subject: HOST, usage: 'client', altNames }),
}

test('by default STARTTLS is not used, and mail goes in clear', async () => {
  const { result, sink } = await against({ tls: good })
  assert.equal(result.kind, 'delivered')
  assert.equal(result.tls, undefined)
  assert.equal(sink.handshakes.length, 0)
  assert.ok(!sink.commands.includes('STARTTLS'))
})

test('TLS = required: everything after STARTTLS is encrypted, EHLO is said again, and the host’s name is asked for', async () => {
  const { result, sink } = await against({ tls: good }, { options: required })
  assert.equal(result.kind, 'delivered', result.text)
  assert.deepEqual(
    sink.commands.map((line) => line.split(/[ :]/)[0]),
    ['EHLO', 'STARTTLS', 'EHLO', 'MAIL', 'RCPT', 'DATA', 'QUIT'],
  )
  assert.deepEqual(sink.handshakes, [{ sni: HOST, client: undefined, resumed: false }])
  assert.equal(result.tls?.demand, 'required')
  assert.match(result.tls?.protocol ?? '', /^TLSv1\.[23]$/)
  assert.deepEqual([result.tls?.verifiedBy, result.tls?.cause], [undefined, 'not-asked'])
  assert.equal(result.tls?.subject, `CN=${HOST}`)
})

test('what was offered before TLS is forgotten', async () => {
  const script = {
    tls: good,
    extensions: ['STARTTLS', 'PIPELINING', 'SIZE 1'],
    secureExtensions: ['8BITMIME'],
  }
  const { result, sink } = await against(script, { options: required })
  assert.equal(result.kind, 'delivered', result.text)
  assert.ok(sink.commands.includes('MAIL FROM:<alice@example.org>'))
})

test('a final dot is no part of the name for SNI and of what is compared', async () => {
  const { result, sink } = await against({ tls: good }, { options: byHost, host: `${HOST}.` })
  assert.equal(result.kind, 'delivered', result.text)
  assert.equal(sink.handshakes[0]?.sni, HOST)
})

test('an address literal is no name for SNI', async () => {
  const { result, sink } = await against({ tls: good }, { options: required, host: '127.0.0.1' })
  assert.equal(result.kind, 'delivered', result.text)
  assert.equal(sink.handshakes[0]?.sni, false)
})

const failing: readonly (readonly [string, SinkScript, RegExp])[] = [
  [
    'is not offered',
    { extensions: ['PIPELINING'] },
    /^451 4\.7\.6 \[internal\] STARTTLS required but not advertised$/,
  ],
  ['is offered to nobody who says HELO', { ehlo: '502 5.5.1 what?' }, /^451 4\.7\.6 /],
  [
    'is refused for now',
    { tls: good, starttls: '454 4.7.0 not now' },
    /^451 4\.7\.5 \[internal\] TLS negotiation failed \(454 4\.7\.0 not now\)$/,
  ],
  ['is refused', { tls: good, starttls: '502 5.5.1 no' }, /^451 4\.7\.5 \[internal\] TLS negotiation failed/],
  [
    'is followed by silence',
    { tls: 'mute', extensions: ['STARTTLS'] },
    /^451 4\.7\.5 \[internal\] TLS negotiation failed \(handshake timeout\)$/,
  ],
  [
    'is followed by something in clear',
    { tls: good, injected: '250 2.0.0 injected\r\n' },
    /^451 4\.7\.5 .*went on in clear/,
  ],
  [
    'is followed by the first line of a reply in clear',
    { tls: good, injected: '250-x\r\n' },
    /^451 4\.7\.5 .*went on in clear/,
  ],
  ['is followed by half a line in clear', { tls: good, injected: '250-x' }, /^451 4\.7\.5 /],
  [
    'leads to TLS 1.0 alone',
    { tls: { ...good, minVersion: 'TLSv1', maxVersion: 'TLSv1', ciphers: 'ALL@SECLEVEL=0' } },
    /^451 4\.7\.5 \[internal\] TLS negotiation failed \(.+\)$/,
  ],
  [
    'leads to a host that wants a certificate of us (TLS 1.3)',
    { tls: { ...good, ca: authority.cert, requestCert: true, reject: true, minVersion: 'TLSv1.3' } },
    /^451 4\.7\.5 \[internal\] TLS negotiation failed \(.*certificate required\)$/,
  ],
  [
    'leads to a host that wants a certificate of us (TLS 1.2)',
    { tls: { ...good, ca: authority.cert, requestCert: true, reject: true, maxVersion: 'TLSv1.2' } },
    /^451 4\.7\.5 \[internal\] TLS negotiation failed/,
  ],
]

for (const [what, script, text] of failing) {
  test(`STARTTLS ${what}: TLS = required keeps the mail, ifavailable sends it in clear, unless the fallback is off`, async () => {
    const options = { ehlo_timeout: what.includes('silence') ? 0.2 : 5 }
    const kept = await against(script, { options: { ...options, ...required } })
    assert.equal(kept.result.kind, 'transient')
    assert.match(kept.result.text, text)
    assert.deepEqual(kept.sink.received, [])
    assert.ok(!kept.sink.commands.some((line) => line.startsWith('MAIL')))

    const sent = await against(script, { options: { ...options, tls: 'ifavailable' } })
    assert.equal(sent.result.kind, 'delivered', sent.result.text)
    assert.deepEqual([sent.result.tls?.demand, sent.result.tls?.protocol], ['ifavailable', ''])

    if (what.includes('offered')) return
    const strict = { ...options, tls: 'ifavailable', tls_ifavailable_fallback: false } as const
    const waits = await against(script, { options: strict })
    assert.equal(waits.result.kind, 'transient')
    assert.deepEqual(waits.sink.received, [])
  })
}

test('after a refused STARTTLS the fallback takes a new connection, or the same one where it may', async () => {
  const script = { tls: good, starttls: '454 4.7.0 not now' }
  const anew = await against(script, { options: { tls: 'ifavailable' } })
  assert.equal(anew.sink.connections, 2)
  assert.equal(anew.sink.commands.filter((line) => line === 'STARTTLS').length, 1)
  const options = { tls: 'ifavailable', tls_fallback_always_new_connection: false } as const
  const same = await against(script, { options })
  assert.deepEqual([same.sink.connections, same.result.kind], [1, 'delivered'])
  const broken = await against({ tls: good, injected: '250 hm\r\n' }, { options })
  assert.deepEqual([broken.sink.connections, broken.result.kind], [2, 'delivered'])
})

test('TLS_Verify = ca and host: a certificate of our CA with the name is verified, and says by what', async () => {
  for (const [options, by] of [
    [byCa, 'ca'],
    [byHost, 'host'],
  ] as const) {
    const { result } = await against({ tls: good }, { options })
    assert.equal(result.kind, 'delivered', result.text)
    assert.deepEqual([result.tls?.verifiedBy, result.tls?.cause], [by, ''])
  }
})

for (const [what, tls] of Object.entries(wrongs)) {
  test(`a certificate ${what} gets no mail where one is asked for, not even in clear`, async () => {
    for (const options of [byCa, byHost, { ...byHost, tls: 'ifavailable' } as const]) {
      const { result, sink } = await against({ tls }, { options })
      assert.equal(result.kind, 'transient')
      assert.match(
        result.text,
        /^451 4\.7\.5 \[internal\] SSL cert must be signed by a valid CA \([a-z-]+\)$/,
      )
      // neither a second EHLO nor another connection: nothing is said to a stranger
      assert.deepEqual([sink.connections, sink.commands.at(-1)], [1, 'STARTTLS'])
      assert.ok(result.text.endsWith(`(${result.tls?.cause})`), 'the fact has the cause and the certificate')
      assert.equal(result.tls?.subject, `CN=${HOST}`)
    }
    const optional = { ...byHost, tls_verify: 'optional' } as const
    const { result } = await against({ tls }, { options: optional })
    assert.equal(result.kind, 'delivered', result.text)
    assert.equal(result.tls?.verifiedBy, undefined)
    assert.notEqual(result.tls?.cause, '')
  })
}

test('a certificate with another name is enough for ca and not for host; that of the domain will do', async () => {
  const tls = certificateFor(pki.pki, ['other.example.test'])
  const named = await against({ tls }, { options: byHost })
  assert.equal(
    named.result.text,
    '451 4.7.5 [internal] SSL certificate subject does not match host (wrong-name)',
  )
  assert.equal(named.sink.commands.at(-1), 'STARTTLS')
  assert.equal((await against({ tls }, { options: byCa })).result.kind, 'delivered')
  const domain = await against({ tls: certificateFor(pki.pki, ['example.test']) }, { options: byHost })
  assert.equal(domain.result.kind, 'delivered')
})

test('without TLS_CA nothing verifies: neither the system’s roots nor Node’s count', async () => {
  const { result } = await against({ tls: good }, { options: { ...required, tls_verify: 'ca' } })
  assert.equal(result.kind, 'transient')
})

test('TLS_Certificate is shown to a host that asks for it', async () => {
  const client = {
    tls_certificate: fileOf(pki.file('client-valid.pem')),
    tls_key: fileOf(pki.file('client-valid.key')),
  }
  const tls = { ...good, ca: authority.cert, requestCert: true, reject: true }
  const { result, sink } = await against({ tls }, { options: { ...required, ...client } })
  assert.equal(result.kind, 'delivered', result.text)
  assert.match(sink.handshakes[0]?.client ?? '', /^CN=client-valid/)
})

test('a file of TLS that is gone keeps the mail; nothing takes its place', async () => {
  const missing = fileOf(pki.file('missing.pem'))
  for (const changes of [{ tls_ca: missing }, { tls_certificate: missing }]) {
    const { result, sink } = await against({ tls: good }, { options: { ...byHost, ...changes } }).catch(
      () => {
        throw new Error('the attempt must not fail')
      },
    )
    assert.equal(result.kind, 'transient')
    assert.match(result.text, /^451 4\.7\.5 \[internal\] A file of TLS with the next hop cannot be used/)
    assert.equal(sink.connections, 0)
  }
})

test('TLS_Protocols and TLSv13_Ciphersuites hold', async () => {
  const old = await against({ tls: good }, { options: { ...required, tls_protocols: '+TLSv1.2' } })
  assert.equal(old.result.tls?.protocol, 'TLSv1.2')
  const options = { ...required, tlsv13_ciphersuites: 'TLS_CHACHA20_POLY1305_SHA256' }
  const suite = await against({ tls: { ...good, minVersion: 'TLSv1.3' } }, { options })
  assert.equal(suite.result.tls?.cipher, 'TLS_CHACHA20_POLY1305_SHA256')
})

test('a session is used again only under the same demand, and never resumed', async () => {
  const sink = await SmtpSink.start({ tls: good })
  const events: ServerEvent[] = []
  const transport = transportFor({}, { port: sink.port, events })
  const send = async (options: Partial<OutboundValues>): Promise<void> => {
    const message = storedMessage(`m${sink.received.length}`)
    const { result } = await tryAt(sink, { transport, message, options: { idle_timeout: 60, ...options } })
    assert.equal(result.kind, 'delivered', result.text)
  }
  try {
    const demands: readonly Partial<OutboundValues>[] = [
      {},
      { tls: 'ifavailable' },
      required,
      byCa,
      byHost,
      { ...byHost, tls_verify: 'optional' },
      { ...required, tls_protocols: '+TLSv1.2' },
      {
        ...required,
        tls_certificate: fileOf(pki.file('server.pem')),
        tls_key: fileOf(pki.file('server.key')),
      },
    ]
    for (const demand of demands) await send(demand)
    assert.equal(sink.connections, demands.length)
    for (const demand of demands) await send(demand)
    assert.equal(sink.connections, demands.length, 'each finds its own again')
    assert.equal(sink.received.length, 2 * demands.length)
    assert.ok(sink.handshakes.every(({ resumed }) => !resumed))
  } finally {
    transport.close()
    await sink.close()
  }
})
