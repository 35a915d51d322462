/** TLS_Client_OCSP: what responders say of a client whose certificate verified, OpenSSL's own responder among them. */

import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { rename } from 'node:fs/promises'
import { type AddressInfo, connect as connectPlain, createServer } from 'node:net'
import { after, before, suite, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { connect } from 'node:tls'
import { ConfigError } from '../../src/config/diagnostic.ts'
import type { OcspSettings } from '../../src/config/settings.ts'
import type { ServerEvent } from '../../src/events/events.ts'
import { Authority, type Credential } from '../../src/tls/authority.ts'
import { tlsContextEntries } from '../../src/tls/context-keys.ts'
import type { TlsContexts } from '../../src/tls/contexts.ts'
import { OcspGate } from '../../src/tls/ocsp/gate.ts'
import { sameTrust } from '../../src/tls/trust.ts'
import {
  type AskedFor,
  encodeError,
  encodeResponse,
  indexLine,
  opensslResponder,
  type ResponseSpec,
  type ScriptedResponder,
  scriptedResponder,
} from '../support/ocsp-responder.ts'
import { intermediateAuthority, issueClient, type PkiDirectory, pkiDirectory } from '../support/test-ca.ts'
import {
  factsOf,
  failureOf,
  file,
  type Gate,
  load,
  openGate,
  scopeOf,
  type TlsOptions,
  visit,
} from './gate-harness.ts'

const MINUTE = 60_000
const HOUR = 60 * MINUTE

let directory: PkiDirectory
let ca: Authority
let client: Credential
let gate: Gate

before(async () => {
  directory = await pkiDirectory()
  ca = directory.pki.authority
  client = await issueClient({})
  const scope = scopeWith()
  gate = await openGate(await load([scope]), scope)
})

after(async () => {
  await gate[Symbol.asyncDispose]()
  await directory[Symbol.asyncDispose]()
})

function scopeWith(more: TlsOptions = {}) {
  return scopeOf({
    tls_certificate: file(directory.file('server.pem')),
    tls_key: file(directory.file('server.key')),
    tls_client_ca: file(directory.file('ca.pem')),
    tls_client_ocsp: true,
    ...more,
  })
}

function stanza(responder: string, more: Partial<OcspSettings> = {}): OcspSettings {
  return {
    name: 'test',
    ca: file(directory.file('ca.pem')),
    responder,
    signer: undefined,
    responder_ca: undefined,
    timeout: 5,
    cache_time: 3600,
    nonce: 'send',
    at: { file: 'gate.conf', line: 1, column: 1, length: 4 },
    ...more,
  }
}

interface Asking {
  readonly more?: TlsOptions
  readonly clock?: () => number
  readonly previous?: TlsContexts
  readonly events?: ServerEvent[]
}

/** Puts responders in force. */
async function ask(ocsp: readonly OcspSettings[], { more, ...options }: Asking = {}): Promise<TlsContexts> {
  const scope = scopeWith(more)
  const contexts = await load([scope], { ocsp, ...options })
  gate.use(contexts, scope)
  return contexts
}

/** What the gate makes of a client: `verified`, `verified, forgiven`, or the cause with its code and depth. */
async function verdict(credential: { cert: string; key: string } = client): Promise<string> {
  await visit(gate.port, { credential })
  const { peer, ocspForgiven } = await factsOf(gate)
  if (peer.kind === 'unverified') return `${peer.cause} ${peer.code} ${peer.failing?.depth}`
  return `${peer.kind}${ocspForgiven === true ? ', forgiven' : ''}`
}

/** A right answer, signed by the CA. */
function answer(
  { certId, nonce }: AskedFor,
  spec: Partial<ResponseSpec> & { status?: 'revoked' } = {},
): Buffer {
  const { status = 'good', ...rest } = spec
  return encodeResponse({ signer: ca.credential, nonce, answers: [{ certId, status }], ...rest })
}

function panics(events: readonly ServerEvent[]): string[] {
  return events.flatMap((event) => (event.kind === 'panic' ? [`${event.level} ${event.text}`] : []))
}

function responder(name: string, ...more: string[]) {
  const [cert, key, index] = [`${name}.pem`, `${name}.key`, 'index.txt'].map((each) => directory.file(each))
  const own = ['-index', index, '-rsigner', cert, '-rkey', key, '-CA', directory.file('ca.pem')]
  return opensslResponder([...own.map(String), '-ignore_err', ...more])
}

/** A responder and a gate that go by one clock. */
async function timed(settings: Partial<OcspSettings> = {}) {
  const time = { now: Date.now(), next: 10 * MINUTE }
  const say = (asked: AskedFor, status?: 'revoked' | 'unknown'): Buffer =>
    encodeResponse({
      signer: ca.credential,
      nonce: asked.nonce,
      producedAt: time.now,
      answers: [
        {
          certId: asked.certId,
          thisUpdate: time.now,
          nextUpdate: time.now + time.next,
          ...(status === undefined ? {} : { status }),
        },
      ],
    })
  const responder = await scriptedResponder((asked) => say(asked))
  const events: ServerEvent[] = []
  const contexts = await ask([stanza(responder.url, settings)], { clock: () => time.now, events })
  return {
    time,
    say,
    responder,
    events,
    contexts,
    [Symbol.asyncDispose]: () => responder[Symbol.asyncDispose](),
  }
}

suite("OpenSSL's responder", () => {
  let signer: Credential
  let strangers: Credential
  let revoked: Credential

  before(async () => {
    signer = ca.issue({ subject: 'signer', usage: 'ocsp', noCheck: true })
    strangers = directory.pki.otherAuthority.issue({ subject: 'signer', usage: 'ocsp', noCheck: true })
    revoked = await issueClient({ subject: 'revoked' })
    await directory.write('index.txt', indexLine(client, 'V') + indexLine(revoked, 'R'))
    for (const [name, { cert, key }] of Object.entries({ signer, strangers })) {
      await directory.write(`${name}.pem`, cert)
      await directory.write(`${name}.key`, key)
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
    await ask([stanza(openssl.url, { signer: file(directory.file('strangers.pem')) })])
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
  ]
  for (const [name, expected, behaviour] of cases) {
    test(name, async () => {
      await using responder = await scriptedResponder(behaviour)
      const timeout = name === 'silence' ? 1 : 5
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
    await visit(gate.port, { credential: client })
    const entries = tlsContextEntries(await factsOf(gate), 'rfc4514')
    assert.equal(entries.get('tls_client_ocsp_forgiven'), 'yes')
    assert.equal(entries.get('tls_client_verified'), 'yes')
    await ask([stanza(responder.url)])
    await visit(gate.port, { credential: client })
    const refused = tlsContextEntries(await factsOf(gate), 'rfc4514')
    assert.equal(refused.get('tls_client_ocsp_forgiven'), undefined)
    assert.equal(refused.get('tls_client_verify_error'), 'ocsp-unavailable')
  })
})

suite('who is asked about', () => {
  test('nobody who does not verify, nobody without a certificate, and nobody where it is off', async () => {
    await using responder = await scriptedResponder((asked) => answer(asked))
    await ask([stanza(responder.url)])
    assert.match(await verdict(directory.pki.clients.untrusted), /^untrusted/)
    assert.match(await verdict(directory.pki.clients.expired), /^expired/)
    await visit(gate.port)
    assert.equal((await factsOf(gate)).peer.kind, 'anonymous')
    await ask([stanza(responder.url)], { more: { tls_client_ocsp: false } })
    assert.equal(await verdict(), 'verified')
    assert.equal(responder.asked, 0)
  })

  test('CAs in between whose issuer has a responder, and the leaf always', async () => {
    const middle = await intermediateAuthority()
    const leaf = middle.issue({ subject: 'leaf' })
    const chain = { cert: leaf.cert + middle.cert, key: leaf.key }
    await directory.write('middle.pem', middle.cert)
    const gone = new Set<string>()
    const says = (by: Authority) => (asked: AskedFor) =>
      answer(asked, {
        signer: by.credential,
        ...(gone.has(asked.serial.toString('hex')) ? { status: 'revoked' as const } : {}),
      })
    await using forLeaves = await scriptedResponder(says(middle))
    await using forCas = await scriptedResponder(says(ca))
    const two = [
      stanza(forCas.url, { name: 'root', cache_time: 0 }),
      stanza(forLeaves.url, { name: 'middle', ca: file(directory.file('middle.pem')), cache_time: 0 }),
    ]
    await ask(two)
    assert.equal(await verdict(chain), 'verified')
    assert.deepEqual([forLeaves.asked, forCas.asked], [1, 1])
    gone.add(octets(middle.credential))
    assert.equal(await verdict(chain), 'revoked OCSP_REVOKED 1')
    gone.clear()
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
    const both = await directory.write('both.pem', twin.cert + ca.cert)
    await using responder = await scriptedResponder((asked) => answer(asked))
    await ask([stanza(responder.url)], { more: { tls_client_ca: file(both) } })
    assert.equal(await verdict(stranger), 'ocsp-unavailable OCSP_NO_RESPONDER 0')
    assert.equal(await verdict(), 'verified')
  })

  test('a chain of which not all is looked at is not known', async () => {
    await using responder = await scriptedResponder((asked) => answer(asked))
    await ask([stanza(responder.url)])
    const { valid } = directory.pki.clients
    assert.equal(await verdict({ ...client, cert: client.cert + valid.cert.repeat(20) }), 'verified')
    const more = { ...client, cert: client.cert + valid.cert.repeat(21) }
    assert.equal(await verdict(more), 'ocsp-unavailable OCSP_CHAIN_UNKNOWN 0')
  })
})

function octets({ serial }: Pick<Credential, 'serial'>): string {
  const hex = serial.toString(16)
  const even = hex.length % 2 === 0 ? hex : `0${hex}`
  return Number.parseInt(even.slice(0, 2), 16) >= 0x80 ? `00${even}` : even
}

suite('what is remembered', () => {
  test('an answer, until its next update or for Cache_Time', async () => {
    await using one = await timed()
    for (let i = 0; i < 3; i += 1) assert.equal(await verdict(), 'verified')
    one.time.now += 9 * MINUTE
    assert.equal(await verdict(), 'verified')
    assert.equal(one.responder.asked, 1)
    one.time.now += 2 * MINUTE
    assert.equal(await verdict(), 'verified')
    assert.equal(one.responder.asked, 2)
    await using two = await timed({ cache_time: 60 })
    assert.equal(await verdict(), 'verified')
    two.time.now += 2 * MINUTE
    two.responder.answer = (asked) => two.say(asked, 'revoked')
    assert.equal(await verdict(), 'revoked OCSP_REVOKED 0')
    assert.equal(two.responder.asked, 2)
  })

  test('many clients of one certificate wait for one question', async () => {
    await using one = await timed()
    const { answer: now } = one.responder
    one.responder.answer = (asked, response) => {
      setTimeout(() => {
        response.writeHead(200, { 'content-type': 'application/ocsp-response' }).end(now(asked, response))
      }, 100)
      return undefined
    }
    assert.deepEqual(
      await Promise.all(Array.from({ length: 12 }, () => verdict())),
      Array(12).fill('verified'),
    )
    assert.equal(one.responder.asked, 1)
  })

  test('an answer stands in for a responder that fails until its next update, unless each must have our nonce', async () => {
    for (const nonce of ['send', 'require'] as const) {
      await using one = await timed({ cache_time: 60, nonce })
      assert.equal(await verdict(), 'verified')
      one.time.now += 2 * MINUTE
      one.responder.answer = () => encodeError(2)
      assert.equal(await verdict(), nonce === 'send' ? 'verified' : 'ocsp-unavailable OCSP_UNAVAILABLE 0')
      one.time.now += 10 * MINUTE
      assert.equal(await verdict(), 'ocsp-unavailable OCSP_UNAVAILABLE 0')
      one.responder.answer = (asked) => one.say(asked)
      one.time.now += MINUTE
      assert.equal(await verdict(), 'verified')
      assert.deepEqual(panics(one.events), [
        `error TLS_OCSP "test", ${one.responder.url}: the responder says internalError`,
        `notice TLS_OCSP "test", ${one.responder.url}: answers again`,
      ])
    }
  })

  test('who was revoked stays so without an answer and with an older one, until a newer one', async () => {
    await using one = await timed()
    const older = { ...one.time }
    let replay: Buffer | undefined
    one.responder.answer = ({ certId }) => (replay ??= one.say({ certId, serial: certId, nonce: undefined }))
    assert.equal(await verdict(), 'verified')
    one.time.now = older.now + 11 * MINUTE
    one.responder.answer = (asked) => one.say(asked, 'revoked')
    assert.equal(await verdict(), 'revoked OCSP_REVOKED 0')
    one.time.now += 11 * MINUTE
    one.responder.answer = () => encodeError(2)
    await ask([stanza(one.responder.url)], {
      clock: () => one.time.now,
      previous: one.contexts,
      more: { tls_client_ocsp_mode: 'soft' },
    })
    assert.equal(await verdict(), 'revoked OCSP_REVOKED 0')
    one.time.now += MINUTE
    one.responder.answer = () => replay
    assert.equal(await verdict(), 'revoked OCSP_REVOKED 0')
    one.time.now += MINUTE
    one.responder.answer = (asked) => one.say(asked)
    assert.equal(await verdict(), 'verified')
  })

  test('an answer that is older than one that was seen does not take its place', async () => {
    await using one = await timed({ cache_time: 0, nonce: 'off' })
    one.time.next = HOUR
    let replay: Buffer | undefined
    one.responder.answer = (asked) => (replay ??= one.say(asked))
    assert.equal(await verdict(), 'verified')
    one.time.now += 5 * MINUTE
    one.time.next = MINUTE
    one.responder.answer = (asked) => one.say(asked)
    assert.equal(await verdict(), 'verified')
    one.time.now += 5 * MINUTE
    one.responder.answer = () => replay
    assert.equal(await verdict(), 'ocsp-invalid OCSP_INVALID 0')
  })

  test('who is not known yet is asked about again soon', async () => {
    await using one = await timed()
    one.responder.answer = (asked) => one.say(asked, 'unknown')
    assert.equal(await verdict(), 'ocsp-unavailable OCSP_UNKNOWN 0')
    assert.equal(await verdict(), 'ocsp-unavailable OCSP_UNKNOWN 0')
    assert.equal(one.responder.asked, 1)
    one.time.now += 11_000
    one.responder.answer = (asked) => one.say(asked)
    assert.equal(await verdict(), 'verified')
  })

  test('nothing that was signed by whom a new revocation list holds', async () => {
    const signer = ca.issue({ subject: 'signer', usage: 'ocsp', noCheck: true })
    await using responder = await scriptedResponder((asked) =>
      answer(asked, { signer, certs: [signer.cert] }),
    )
    const list = await directory.write('list.pem', ca.crl())
    const more = { tls_client_crl: file(list) }
    const contexts = (await ask([stanza(responder.url)], { more })).watch()
    assert.equal(await verdict(), 'verified')
    await directory.write('list.new', ca.crl({ revoked: [signer.serial] }))
    await rename(directory.file('list.new'), list)
    for (let i = 0; i < 150 && (await verdict()) === 'verified'; i += 1) await delay(20)
    assert.equal(await verdict(), 'ocsp-invalid OCSP_INVALID 0')
    await contexts.close()
  })

  test('over a reload, and not where the responder is another', async () => {
    await using one = await timed()
    assert.equal(await verdict(), 'verified')
    const clock = () => one.time.now
    const again = await ask([stanza(one.responder.url)], { clock, previous: one.contexts })
    assert.equal(await verdict(), 'verified')
    assert.equal(one.responder.asked, 1)
    await ask([stanza(`${one.responder.url}other`)], { clock, previous: again })
    assert.equal(await verdict(), 'verified')
    assert.equal(one.responder.asked, 2)
  })
})

suite('around it', () => {
  test('no tickets: each connection is asked about', async () => {
    await using responder = await scriptedResponder((asked) => answer(asked))
    await ask([stanza(responder.url)])
    for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
      const { session } = await visit(gate.port, { credential: client, version })
      await factsOf(gate)
      assert.equal((await visit(gate.port, { credential: client, version, session })).reused, false)
      await factsOf(gate)
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
    const { server } = directory.pki
    await using responder = await scriptedResponder((asked) => answer(asked), server)
    const roots = (name: string) => ({ responder_ca: file(directory.file(name)) })
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
    const raw = connectPlain(gate.port, '127.0.0.1')
    const socket = connect({ socket: raw, rejectUnauthorized: false, cert: client.cert, key: client.key })
    socket.on('error', () => {})
    await asked
    raw.resetAndDestroy()
    assert.match(await failureOf(gate), /connection (closed|reset)/)
  })

  test('an error of our own lowers, in every mode', async () => {
    await ask([], { more: { tls_client_ocsp: false } })
    await visit(gate.port, { credential: client })
    const facts = await factsOf(gate)
    assert.equal(facts.peer.kind, 'verified')
    const events: ServerEvent[] = []
    const broken = new OcspGate({
      responders: [],
      lists: () => assert.fail('broken'),
      events: { emit: (event) => events.push(event) },
      clock: Date.now,
      memory: undefined,
    })
    const leaf = new X509Certificate(client.cert)
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
      [
        [{ ...good, ca: file(directory.file('missing.pem')) }],
        /TLS_OCSP "test": CA "missing.pem": no such file/,
      ],
      [
        [{ ...good, signer: file(directory.file('server.key')) }],
        /Signer "server.key": it holds no certificate/,
      ],
      [[{ ...good, responder: 'https://127.0.0.1:1/' }], /a Responder with https needs a Responder_CA/],
      [
        [{ ...good, responder_ca: file(directory.file('ca.pem')) }],
        /Responder_CA needs a Responder with https/,
      ],
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
