/** TLS_Client_OCSP: what responders say of a client whose certificate verified, OpenSSL's own responder among them. */

import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, connect as connectPlain, createServer } from 'node:net'
import { after, before, suite, test } from 'node:test'
import { connect } from 'node:tls'
import { ConfigError } from '../../src/config/diagnostic.ts'
import type { OcspSettings } from '../../src/config/settings.ts'
import type { ServerEvent } from '../../src/events/events.ts'
import { Authority, type Credential } from '../../src/tls/authority.ts'
import { tlsContextEntries } from '../../src/tls/context-keys.ts'
import { OcspGate } from '../../src/tls/ocsp/gate.ts'
import { sameTrust } from '../../src/tls/trust.ts'
import {
  type AskedFor,
  encodeError,
  indexLine,
  type ScriptedResponder,
  scriptedResponder,
} from '../support/ocsp-responder.ts'
import { intermediateAuthority, issueClient } from '../support/test-ca.ts'
import { factsOf, failureOf, file, load, visit } from './gate-harness.ts'
import {
  answer,
  ask,
  bench,
  close,
  fileOf,
  octets,
  open,
  panics,
  responder,
  roots,
  scopeWith,
  stanza,
  verdict,
} from './ocsp-harness.ts'

const MINUTE = 60_000
const HOUR = 60 * MINUTE

before(open)
after(close)

suite("OpenSSL's responder", () => {
  let signer: Credential
  let strangers: Credential
  let revoked: Credential

  before(async () => {
    signer = bench.ca.issue({ subject: 'signer', usage: 'ocsp', noCheck: true })
    strangers = bench.directory.pki.otherAuthority.issue({ subject: 'signer', usage: 'ocsp', noCheck: true })
    revoked = await issueClient({ subject: 'revoked' })
    await bench.directory.write('index.txt', indexLine(bench.client, 'V') + indexLine(revoked, 'R'))
    for (const [name, { cert, key }] of Object.entries({ signer, strangers })) {
      await bench.directory.write(`${name}.pem`, cert)
      await bench.directory.write(`${name}.key`, key)
    }
  })

  for (const name of ['ca', 'signer']) {
    test(`good, revoked and unknown, signed by ${name === 'ca' ? 'the CA' : 'whom it has appointed'}`, async () => {
      await using openssl = await responder(name, '-nmin', '5')
      const unknown = await issueClient({ subject: 'unknown' })
      await ask([stanza(openssl.url, { nonce: 'require' })])
      assert.equal(await verdict(), 'verified')
      assert.equal(await verdict(revoked), 'revoked OCSP_REVOKED 0')
      assert.equal(await verdict(unknown), 'ocsp-unavailable OCSP_UNKNOWN 0')
      await ask([stanza(openssl.url)], { more: { tls_client_ocsp_mode: 'soft' } })
      assert.equal(await verdict(), 'verified')
      assert.equal(await verdict(revoked), 'revoked OCSP_REVOKED 0')
      assert.equal(await verdict(unknown), 'verified, forgiven')
    })
  }

  test('one that a stranger signs for says nothing, unless Signer names him', async () => {
    await using openssl = await responder('strangers')
    await ask([stanza(openssl.url)])
    assert.equal(await verdict(), 'ocsp-invalid OCSP_INVALID 0')
    assert.equal(await verdict(revoked), 'ocsp-invalid OCSP_INVALID 0')
    await ask([stanza(openssl.url, { signer: fileOf('strangers.pem') })])
    assert.equal(await verdict(), 'verified')
    assert.equal(await verdict(revoked), 'revoked OCSP_REVOKED 0')
  })

  test('answers without next update count', async () => {
    await using openssl = await responder('ca')
    await ask([stanza(openssl.url, { nonce: 'off' })])
    assert.equal(await verdict(), 'verified')
  })
})

suite('hard: nobody verifies; soft: it is forgiven', () => {
  const cases: readonly [string, string, ScriptedResponder['answer']][] = [
    [
      'an answer that is out of date',
      'ocsp-invalid OCSP_INVALID',
      (asked) => {
        const old = { certId: asked.certId, thisUpdate: Date.now() - 2 * HOUR, nextUpdate: Date.now() - HOUR }
        return answer(asked, { answers: [old] })
      },
    ],
    ['garbage', 'ocsp-invalid OCSP_INVALID', () => Buffer.from('garbage')],
    ['nothing', 'ocsp-invalid OCSP_INVALID', () => Buffer.alloc(0)],
    [
      'an answer about another serial',
      'ocsp-invalid OCSP_INVALID',
      (asked) => {
        const certId = Buffer.from(asked.certId)
        certId[certId.length - 1] = (certId.at(-1) ?? 0) ^ 1
        return answer({ ...asked, certId })
      },
    ],
    [
      'an answer to another question',
      'ocsp-invalid OCSP_INVALID',
      (asked) => answer({ ...asked, nonce: Buffer.alloc(32) }),
    ],
    ['tryLater', 'ocsp-unavailable OCSP_UNAVAILABLE', () => encodeError(3)],
    [
      'more than it may be',
      'ocsp-unavailable OCSP_UNAVAILABLE',
      (asked) => Buffer.concat([answer(asked), Buffer.alloc(70_000)]),
    ],
    [
      'an answer without end',
      'ocsp-unavailable OCSP_UNAVAILABLE',
      (_asked, response) => {
        response.writeHead(200, { 'content-type': 'application/ocsp-response' })
        const more = (): void => {
          while (!response.destroyed && response.write(Buffer.alloc(16_384)));
        }
        response.on('drain', more)
        more()
        return undefined
      },
    ],
    [
      'another status',
      'ocsp-unavailable OCSP_UNAVAILABLE',
      (asked, response) => {
        response.writeHead(500, { 'content-type': 'application/ocsp-response' }).end(answer(asked))
        return undefined
      },
    ],
    [
      'a redirect',
      'ocsp-unavailable OCSP_UNAVAILABLE',
      (_asked, response) => {
        response.writeHead(302, { location: '/', 'content-type': 'application/ocsp-response' }).end()
        return undefined
      },
    ],
    [
      'another type',
      'ocsp-unavailable OCSP_UNAVAILABLE',
      (asked, response) => {
        response.writeHead(200, { 'content-type': 'text/html' }).end(answer(asked))
        return undefined
      },
    ],
    [
      'a connection that is cut',
      'ocsp-unavailable OCSP_UNAVAILABLE',
      (_asked, response) => {
        response.socket?.destroy()
        return undefined
      },
    ],
    ['silence', 'ocsp-unavailable OCSP_UNAVAILABLE', () => undefined],
    [
      'an answer octet by octet',
      'ocsp-unavailable OCSP_UNAVAILABLE',
      (asked, response) => {
        const whole = answer(asked)
        response.writeHead(200, { 'content-type': 'application/ocsp-response' })
        let sent = 0
        const timer = setInterval(() => response.write(whole.subarray(sent, (sent += 1))), 50)
        response.on('close', () => clearInterval(timer))
        return undefined
      },
    ],
  ]
  for (const [name, expected, behaviour] of cases) {
    test(name, async () => {
      await using responder = await scriptedResponder(behaviour)
      const timeout = /silence|octet/.test(name) ? 1 : 5
      const previous = await ask([stanza(responder.url, { timeout })])
      assert.equal(await verdict(), `${expected} 0`)
      // what is remembered of the failure spares the second wait
      await ask([stanza(responder.url, { timeout })], { previous, more: { tls_client_ocsp_mode: 'soft' } })
      assert.equal(await verdict(), 'verified, forgiven')
      assert.equal(responder.asked, 1)
    })
  }

  test('a port that is closed, and the alarm that is raised once', async () => {
    const probe = createServer().listen(0, '127.0.0.1')
    await once(probe, 'listening')
    const { port } = probe.address() as AddressInfo
    probe.close()
    const events: ServerEvent[] = []
    await ask([stanza(`http://127.0.0.1:${port}/`)], { events })
    assert.equal(await verdict(), 'ocsp-unavailable OCSP_UNAVAILABLE 0')
    assert.equal(await verdict(await issueClient({})), 'ocsp-unavailable OCSP_UNAVAILABLE 0')
    assert.deepEqual(panics(events), [`error TLS_OCSP "test", http://127.0.0.1:${port}/: connection refused`])
  })

  test('policy reads that it was forgiven, and nothing of it where it was not', async () => {
    await using responder = await scriptedResponder(() => encodeError(3))
    await ask([stanza(responder.url)], { more: { tls_client_ocsp_mode: 'soft' } })
    await visit(bench.gate.port, { credential: bench.client })
    const entries = tlsContextEntries(await factsOf(bench.gate), 'rfc4514')
    assert.equal(entries.get('tls_client_ocsp_forgiven'), 'yes')
    assert.equal(entries.get('tls_client_verified'), 'yes')
    await ask([stanza(responder.url)])
    await visit(bench.gate.port, { credential: bench.client })
    const refused = tlsContextEntries(await factsOf(bench.gate), 'rfc4514')
    assert.equal(refused.get('tls_client_ocsp_forgiven'), undefined)
    assert.equal(refused.get('tls_client_verify_error'), 'ocsp-unavailable')
  })
})

suite('who is asked about', () => {
  test('nobody who does not verify, nobody without a certificate, and nobody where it is off', async () => {
    await using responder = await scriptedResponder((asked) => answer(asked))
    await ask([stanza(responder.url)])
    assert.match(await verdict(bench.directory.pki.clients.untrusted), /^untrusted/)
    assert.match(await verdict(bench.directory.pki.clients.expired), /^expired/)
    await visit(bench.gate.port)
    assert.equal((await factsOf(bench.gate)).peer.kind, 'anonymous')
    await ask([stanza(responder.url)], { more: { tls_client_ocsp: false } })
    assert.equal(await verdict(), 'verified')
    assert.equal(responder.asked, 0)
  })

  test('CAs in between whose issuer has a responder, and the leaf always', async () => {
    const middle = await intermediateAuthority()
    const leaf = middle.issue({ subject: 'leaf' })
    const chain = { cert: leaf.cert + middle.cert, key: leaf.key }
    await bench.directory.write('middle.pem', middle.cert)
    const gone = new Set<string>()
    const says = (by: Authority) => (asked: AskedFor) =>
      answer(asked, {
        signer: by.credential,
        ...(gone.has(asked.serial.toString('hex')) ? { status: 'revoked' as const } : {}),
      })
    await using forLeaves = await scriptedResponder(says(middle))
    await using forCas = await scriptedResponder(says(bench.ca))
    const two = [
      stanza(forCas.url, { name: 'root', cache_time: 0 }),
      stanza(forLeaves.url, { name: 'middle', ca: fileOf('middle.pem'), cache_time: 0 }),
    ]
    await ask(two)
    assert.equal(await verdict(chain), 'verified')
    assert.deepEqual([forLeaves.asked, forCas.asked], [1, 1])
    gone.add(octets(middle.credential))
    assert.equal(await verdict(chain), 'revoked OCSP_REVOKED 1')
    gone.clear()
    // nothing of before is remembered
    await ask(two)
    assert.equal(await verdict(chain), 'verified')
    gone.add(octets(leaf))
    assert.equal(await verdict(chain), 'revoked OCSP_REVOKED 0')
    gone.clear()
    await ask(two.slice(0, 1))
    assert.equal(await verdict(chain), 'ocsp-unavailable OCSP_NO_RESPONDER 0')
    await ask(two.slice(0, 1), { more: { tls_client_ocsp_mode: 'soft' } })
    assert.equal(await verdict(chain), 'verified, forgiven')
    await ask(two.slice(1))
    assert.equal(await verdict(chain), 'verified')
  })

  test('a CA is known by its key and not by its name alone', async () => {
    const twin = Authority.root({ subject: 'Postern test CA' })
    const stranger = twin.issue({ subject: 'stranger' })
    const both = await bench.directory.write('both.pem', twin.cert + bench.ca.cert)
    await using responder = await scriptedResponder((asked) => answer(asked))
    await ask([stanza(responder.url)], { more: { tls_client_ca: file(both) } })
    assert.equal(await verdict(stranger), 'ocsp-unavailable OCSP_NO_RESPONDER 0')
    assert.equal(await verdict(), 'verified')
  })

  test('a chain of which not all is looked at is not known', async () => {
    await using responder = await scriptedResponder((asked) => answer(asked))
    await ask([stanza(responder.url)])
    let last = bench.directory.pki.authority
    const between: string[] = []
    for (let n = 0; n < 12; n += 1) {
      last = last.intermediate({ subject: `CA ${n}` })
      between.unshift(last.cert)
    }
    const { cert, key } = last.issue({ subject: 'leaf' })
    assert.equal(
      await verdict({ cert: [cert, ...between].join(''), key }),
      'ocsp-unavailable OCSP_CHAIN_UNKNOWN 0',
    )
  })
})

suite('around it', () => {
  test('no tickets: each connection is asked about', async () => {
    await using responder = await scriptedResponder((asked) => answer(asked))
    await ask([stanza(responder.url)])
    for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
      const { session } = await visit(bench.gate.port, { credential: bench.client, version })
      await factsOf(bench.gate)
      assert.equal(
        (await visit(bench.gate.port, { credential: bench.client, version, session })).reused,
        false,
      )
      await factsOf(bench.gate)
    }
    const scopes = [
      scopeWith(),
      scopeWith({ tls_client_ocsp: false }),
      scopeWith({ tls_client_ocsp_mode: 'soft' }),
    ]
    const [on, off, soft] = scopes.map(({ options }) => options)
    assert.ok(on && off && soft)
    assert.deepEqual([sameTrust(on, on), sameTrust(on, off), sameTrust(on, soft)], [true, false, false])
  })

  test('https against Responder_CA and nothing else', async () => {
    const { server } = bench.directory.pki
    await using responder = await scriptedResponder((asked) => answer(asked), server)
    await ask([stanza(responder.url, roots('ca.pem'))])
    assert.equal(await verdict(), 'verified')
    await ask([stanza(responder.url, roots('other-ca.pem'))])
    assert.equal(await verdict(), 'ocsp-unavailable OCSP_UNAVAILABLE 0')
    assert.equal(responder.asked, 1)
  })

  test('a client that goes while a responder is silent is not waited for', async () => {
    const { promise: asked, resolve } = Promise.withResolvers<undefined>()
    await using responder = await scriptedResponder(() => {
      resolve(undefined)
      return undefined
    })
    await ask([stanza(responder.url, { timeout: 30 })])
    const raw = connectPlain(bench.gate.port, '127.0.0.1')
    const socket = connect({
      socket: raw,
      rejectUnauthorized: false,
      cert: bench.client.cert,
      key: bench.client.key,
    })
    socket.on('error', () => {})
    await asked
    raw.resetAndDestroy()
    assert.match(await failureOf(bench.gate), /connection (closed|reset)/)
  })

  test('an error of our own lowers, in every mode', async () => {
    await ask([], { more: { tls_client_ocsp: false } })
    await visit(bench.gate.port, { credential: bench.client })
    const facts = await factsOf(bench.gate)
    assert.equal(facts.peer.kind, 'verified')
    const events: ServerEvent[] = []
    const broken = new OcspGate({
      responders: [],
      lists: () => assert.fail('broken'),
      events: { emit: (event) => events.push(event) },
      clock: Date.now,
      memory: undefined,
    })
    const leaf = new X509Certificate(bench.client.cert)
    const chain = { leaf, sent: [], resumed: false, cas: undefined, lists: undefined, now: Date.now() }
    for (const mode of ['hard', 'soft'] as const) {
      const { peer } = await broken.judge(facts, chain, mode)
      assert.equal(peer.kind === 'unverified' && `${peer.cause} ${peer.code}`, 'ocsp-unavailable OCSP_FAILED')
    }
    assert.match(panics(events).join(), /error OCSP: .*broken/)
  })

  test('stanzas that cannot be used are refused, with the reason', async () => {
    const good = stanza('http://127.0.0.1:1/')
    const cases: readonly [readonly OcspSettings[], RegExp][] = [
      [[], /TLS_Client_OCSP needs a TLS_OCSP/],
      [[{ ...good, ca: fileOf('missing.pem') }], /TLS_OCSP "test": CA "missing.pem": no such file/],
      [[{ ...good, signer: fileOf('server.key') }], /Signer "server.key": it holds no certificate/],
      [[{ ...good, responder: 'https://127.0.0.1:1/' }], /a Responder with https needs a Responder_CA/],
      [[{ ...good, responder_ca: fileOf('ca.pem') }], /Responder_CA needs a Responder with https/],
      [
        [good, { ...good, name: 'again' }],
        /"again": the CA "CN=Postern test CA" has a responder already, in TLS_OCSP "test"/,
      ],
    ]
    for (const [ocsp, reason] of cases) {
      const scope = { ...scopeWith(), origin: () => good.at }
      await assert.rejects(load([scope], { ocsp }), (error: unknown) => {
        assert.ok(error instanceof ConfigError)
        assert.match(error.diagnostics.map(({ message }) => message).join('\n'), reason)
        return true
      })
    }
  })
})
