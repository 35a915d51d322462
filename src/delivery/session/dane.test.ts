import assert from 'node:assert/strict'
import { createHash, X509Certificate } from 'node:crypto'
import { after, test } from 'node:test'
import { TestDnsServer } from '../../../test/support/dns-server.ts'
import { type SinkScript, SmtpSink } from '../../../test/support/smtp-sink.ts'
import { intermediateAuthority, pkiDirectory } from '../../../test/support/test-ca.ts'
import type { OutboundValues } from '../../config/settings.ts'
import { fixedServers } from '../../dns/name-servers.ts'
import { StubResolver } from '../../dns/stub-resolver.ts'
import { Authority, type Credential, selfSigned } from '../../tls/authority.ts'
import { type Host, MxHosts } from '../mx.ts'
import { OwnHosts } from '../own-hosts.ts'
import { findTlsa } from './dane.ts'
import {
  certificateFor,
  DOMAIN,
  fileOf,
  HOST,
  noDns,
  type Tried,
  type TryOptions,
  tryAt,
} from './session.fixture.ts'

const pki = await pkiDirectory()
after(async () => await pki[Symbol.asyncDispose]())

interface Tlsa {
  readonly usage: number
  readonly selector: number
  readonly matchingType: number
  readonly certificate: Buffer
}

const altNames = [{ kind: 'dns', value: HOST }] as const
const own = selfSigned({ subject: 'anybody', usage: 'server', notAfter: Date.now() - 1000 })
const spki = ({ cert }: Pick<Credential, 'cert'>): Buffer =>
  new X509Certificate(cert).publicKey.export({ type: 'spki', format: 'der' })

/** A record for a certificate. */
function tlsa(numbers: string, credential: Pick<Credential, 'cert' | 'der'>): Tlsa {
  const [usage = 0, selector = 0, matchingType = 0] = numbers.split(' ').map(Number)
  const part = selector === 1 ? spki(credential) : credential.der
  const digest = ['', 'sha256', 'sha512'][matchingType] ?? ''
  const certificate = digest === '' ? part : createHash(digest).update(part).digest()
  return { usage, selector, matchingType, certificate }
}

const dane = { use_dane: true, idle_timeout: 0 } as const

interface World extends Omit<TryOptions, 'dns'> {
  readonly records?: readonly Tlsa[]
  readonly authentic?: boolean
  /** rcode for the question of type `refuses` */
  readonly rcode?: number
  readonly refuses?: string
  readonly trusts?: (address: string) => boolean
}

async function withDane(
  script: SinkScript,
  { records, authentic = true, rcode, refuses = 'TLSA', trusts, ...rest }: World = {},
): Promise<Tried & { readonly sink: SmtpSink }> {
  const sink = await SmtpSink.start(script)
  const server = await TestDnsServer.start({
    [`A ${HOST}`]: ['127.0.0.1'],
    ...(records === undefined ? {} : { [`TLSA _${sink.port}._tcp.${HOST}`]: records }),
  })
  server.authentic = authentic
  if (rcode !== undefined) server.odd = ({ type }) => (type === refuses ? { rcode } : undefined)
  const servers = fixedServers([server.address])
  const dns = new StubResolver({ servers, rounds: 1, ...(trusts === undefined ? {} : { trusts }) })
  try {
    const options: Partial<OutboundValues> = { ...dane, ...rest.options }
    return { ...(await tryAt(sink, { secure: true, ...rest, dns, options })), sink }
  } finally {
    await sink.close()
    await server.close()
  }
}

for (const numbers of ['3 0 0', '3 0 1', '3 0 2', '3 1 0', '3 1 1', '3 1 2']) {
  test(`a record ${numbers} verifies the host, whatever its certificate’s name, date and issuer`, async () => {
    const { result, told } = await withDane({ tls: own }, { records: [tlsa(numbers, own)] })
    assert.equal(result.kind, 'delivered', result.text)
    assert.deepEqual([result.tls?.demand, result.tls?.verifiedBy], ['required', 'dane'])
    assert.deepEqual([told.length, told[0]?.failure, told[0]?.policy.type], [1, undefined, 'tlsa'])
    assert.match(told[0]?.policy.strings[0] ?? '', new RegExp(`^${numbers} [0-9a-f]+$`))

    const other = await withDane({ tls: certificateFor(pki.pki) }, { records: [tlsa(numbers, own)] })
    assert.equal(other.result.kind, 'transient')
    assert.match(other.result.text, /^451 4\.7\.5 .*TLSA records \(tlsa-mismatch\)$/)
    assert.deepEqual(other.sink.received, [])
    assert.equal(other.told[0]?.failure, 'validation-failure')
  })
}

const root = Authority.root({ subject: 'A root of theirs' })
const middle = root.intermediate({ subject: 'A CA of theirs' })
const leaf = middle.issue({ subject: HOST, usage: 'server', altNames })
const chain = { cert: `${leaf.cert}${middle.cert}${root.cert}`, key: leaf.key }

for (const numbers of ['2 0 0', '2 0 1', '2 1 0', '2 1 1', '2 1 2']) {
  test(`a record ${numbers} verifies a chain to that CA with the host’s name, at whatever height the CA stands`, async () => {
    for (const { credential } of [root, middle]) {
      const { result } = await withDane({ tls: chain }, { records: [tlsa(numbers, credential)] })
      assert.equal(result.kind, 'delivered', result.text)
      assert.equal(result.tls?.verifiedBy, 'dane')
    }
    const stranger = Authority.root({ subject: 'A root of theirs' })
    const { result } = await withDane({ tls: chain }, { records: [tlsa(numbers, stranger.credential)] })
    assert.equal(result.kind, 'transient')
  })
}

test('a CA that the record holds whole need not be sent, one of which it holds a digest must', async () => {
  const short = { cert: leaf.cert, key: leaf.key }
  const whole = await withDane({ tls: short }, { records: [tlsa('2 0 0', middle.credential)] })
  assert.equal(whole.result.kind, 'delivered', whole.result.text)
  const digest = await withDane({ tls: short }, { records: [tlsa('2 0 1', middle.credential)] })
  assert.equal(digest.result.kind, 'transient')
})

test('under a CA of a record names and dates count, and the CA must have signed', async () => {
  const wrongName = middle.issue({
    subject: 'x.test',
    usage: 'server',
    altNames: [{ kind: 'dns', value: 'x.test' }],
  })
  const expired = middle.issue({ subject: HOST, usage: 'server', altNames, notAfter: Date.now() - 1000 })
  const forClients = middle.issue({ subject: HOST, usage: 'client', altNames })
  const unsigned = Authority.root({ subject: 'A CA of theirs' }).issue({
    subject: HOST,
    usage: 'server',
    altNames,
  })
  const causes = []
  for (const each of [wrongName, expired, forClients, unsigned]) {
    const tls = { cert: `${each.cert}${middle.cert}`, key: each.key }
    const { result } = await withDane({ tls }, { records: [tlsa('2 0 1', middle.credential)] })
    assert.equal(result.kind, 'transient')
    causes.push(/\(([a-z-]+)\)$/.exec(result.text)?.[1])
  }
  assert.deepEqual(causes.slice(0, 3), ['wrong-name', 'expired', 'wrong-usage'])
  const ofDomain = middle.issue({ subject: 'd', usage: 'server', altNames: [{ kind: 'dns', value: DOMAIN }] })
  const tls = { cert: `${ofDomain.cert}${middle.cert}`, key: ofDomain.key }
  assert.equal(
    (await withDane({ tls }, { records: [tlsa('2 0 1', middle.credential)] })).result.kind,
    'delivered',
  )
})

test('one record that fits is enough', async () => {
  const records = [tlsa('3 1 1', leaf), tlsa('2 0 1', root.credential), tlsa('3 1 1', own)]
  assert.equal((await withDane({ tls: own }, { records })).result.kind, 'delivered')
})

test('with records there is no way around TLS: not without STARTTLS, not after a refusal, not by any option', async () => {
  const options = { tls: 'ifavailable', tls_ifavailable_fallback: true } as const
  for (const script of [{}, { tls: own, starttls: '454 4.7.0 later' }, { tls: own, injected: '250 x\r\n' }]) {
    for (const each of [{}, options]) {
      const { result, sink } = await withDane(script, { records: [tlsa('3 1 1', own)], options: each })
      assert.equal(result.kind, 'transient')
      assert.match(result.text, /^451 4\.7\.[56] /)
      assert.deepEqual(sink.received, [])
      assert.equal(sink.connections, 1)
    }
  }
})

test('records that cannot be used make TLS a must and verify nobody', async () => {
  const unusable: readonly Tlsa[] = [
    tlsa('0 0 1', own),
    tlsa('1 0 1', own),
    tlsa('4 0 1', own),
    tlsa('3 2 1', own),
    tlsa('3 0 3', own),
    { usage: 3, selector: 1, matchingType: 1, certificate: Buffer.alloc(31) },
    { usage: 3, selector: 1, matchingType: 2, certificate: Buffer.alloc(32) },
    { usage: 3, selector: 0, matchingType: 0, certificate: Buffer.alloc(0) },
  ]
  for (const record of unusable) {
    const { result, told } = await withDane({ tls: own }, { records: [record] })
    assert.equal(result.kind, 'delivered', result.text)
    assert.deepEqual([result.tls?.demand, result.tls?.verifiedBy], ['required', undefined])
    assert.equal(told[0]?.failure, 'tlsa-invalid')
  }
  const { result } = await withDane({}, { records: unusable })
  assert.equal(result.text, '451 4.7.6 [internal] STARTTLS required but not advertised')
  // what the operator asks for by himself stays
  const options = { tls: 'required', tls_verify: 'host', tls_ca: fileOf(pki.file('ca.pem')) } as const
  assert.equal((await withDane({ tls: own }, { records: unusable, options })).result.kind, 'transient')
})

test('a question for TLSA, or for whether the host is signed, that is not answered keeps the mail', async () => {
  for (const refuses of ['TLSA', 'A']) {
    const { result, sink, told } = await withDane({ tls: own }, { rcode: 2, refuses })
    assert.deepEqual(
      [result.kind, result.text],
      ['transient', `451 4.7.5 [internal] The TLSA records of ${HOST} could not be looked up`],
    )
    assert.equal(sink.connections, 0)
    assert.equal(told[0]?.failure, 'dnssec-invalid')
  }
})

test('records count only if every answer was authentic, by a server that is believed', async () => {
  const records = [tlsa('3 1 1', leaf)]
  const without: readonly World[] = [
    { records, authentic: false },
    { records, secure: false },
    { records, trusts: () => false },
    { records, options: { enable_dane: false } },
    { records, options: { use_dane: false } },
    {},
  ]
  for (const world of without) {
    const { result, told } = await withDane({ tls: own }, world)
    assert.equal(result.kind, 'delivered', result.text)
    assert.deepEqual([result.tls, told], [undefined, []])
  }
})

test('a host of MX records that are not authentic is none of the domain’s; the domain itself always is', async () => {
  const server = await TestDnsServer.start({
    [`MX ${DOMAIN}`]: [{ preference: 1, exchange: HOST }],
    'CNAME alias.test': [DOMAIN],
    [`A ${HOST}`]: ['192.0.2.1'],
    'A bare.test': ['192.0.2.2'],
  })
  const mxOf = async (domain: string, authentic: boolean): Promise<unknown> => {
    server.authentic = authentic
    const dns = new StubResolver({ servers: fixedServers([server.address]) })
    const hosts = new MxHosts({ dns, own: new OwnHosts({ names: [], listens: [] }) })
    const question = { domain, port: 25, useIpv6: true, preferIpv6: false, failuresToA: 3, signal }
    const found = await hosts.find(question)
    return found.kind === 'hosts' ? found.hosts.map(({ mx }) => mx) : found
  }
  try {
    assert.deepEqual(await mxOf(DOMAIN, true), [{ domain: DOMAIN, secure: true }])
    assert.deepEqual(await mxOf(DOMAIN, false), [{ domain: DOMAIN, secure: false }])
    assert.deepEqual(await mxOf('alias.test', true), [{ domain: 'alias.test', alias: DOMAIN, secure: true }])
    assert.deepEqual(await mxOf('alias.test', false), [{ domain: 'alias.test', secure: false }])
    for (const authentic of [true, false])
      assert.deepEqual(await mxOf('bare.test', authentic), [{ domain: 'bare.test', secure: true }])
  } finally {
    await server.close()
  }
})

const signal = new AbortController().signal
const TARGET = 'target.example.test'
const MX = { domain: DOMAIN, secure: true }
const NONE = { kind: 'none' }

interface AliasWorld {
  /** names with TLSA records; what each holds is its own name's digest */
  readonly at: readonly string[]
  /** questions whose answers are not authentic */
  readonly insecure?: readonly string[]
  /** questions that are not answered */
  readonly broken?: readonly string[]
  readonly host?: Partial<Host>
  /** it is the operator who names the host */
  readonly gateway?: boolean
}

/** Where the records of a host that is an alias are found, with the names that a certificate may have. */
async function found({
  at,
  insecure = [],
  broken = [],
  host,
  gateway = false,
}: AliasWorld): Promise<unknown> {
  const record = tlsa('2 0 1', root.credential)
  const server = await TestDnsServer.start({
    [`CNAME ${HOST}`]: [TARGET],
    [`A ${TARGET}`]: ['192.0.2.1'],
    [`AAAA ${TARGET}`]: ['2001:db8::1'],
    ...Object.fromEntries(at.map((name) => [`TLSA _25._tcp.${name}`, [record]])),
  })
  server.authentic = true
  server.odd = ({ name, type }) => {
    if (broken.includes(`${type} ${name}`)) return { rcode: 2 }
    if (!insecure.includes(`${type} ${name}`)) return undefined
    return { packet: (answer) => ({ ...answer, flags: (answer.flags ?? 0) & ~(1 << 5) }) }
  }
  const dns = new StubResolver({ servers: fixedServers([server.address]), rounds: 1 })
  try {
    const whole = { name: HOST, address: '192.0.2.1', port: 25, ...(gateway ? {} : { mx: MX }), ...host }
    const finding = await findTlsa(dns, { host: whole, maxAge: 60, signal })
    return finding.kind === 'usable' ? [finding.base, finding.names] : finding.kind
  } finally {
    await server.close()
  }
}

test('an alias that is signed all along: records of what it stands for count, else its own', async () => {
  const atTarget = [TARGET, [TARGET, DOMAIN]]
  const atAlias = [HOST, [HOST, DOMAIN]]
  assert.deepEqual(await found({ at: [TARGET] }), atTarget)
  assert.deepEqual(await found({ at: [TARGET, HOST] }), atTarget)
  assert.deepEqual(await found({ at: [HOST] }), atAlias)
  assert.deepEqual(await found({ at: [] }), 'none')
  const v6 = { host: { address: '2001:db8::1' }, insecure: [`A ${HOST}`] }
  assert.deepEqual(await found({ at: [TARGET], ...v6 }), atTarget, 'the family of the address counts')
  const mx = { ...MX, domain: 'other.test', alias: DOMAIN }
  assert.deepEqual(await found({ at: [TARGET], host: { mx } }), [TARGET, [TARGET, 'other.test', DOMAIN]])
})

test('an alias that is signed and leads to where nothing is: only records of its own count', async () => {
  const insecure = [`A ${HOST}`]
  assert.deepEqual(await found({ at: [TARGET, HOST], insecure }), [HOST, [HOST, DOMAIN]])
  assert.deepEqual(await found({ at: [TARGET], insecure }), 'none')
  assert.deepEqual(await found({ at: [TARGET, HOST], insecure: [...insecure, `CNAME ${HOST}`] }), 'none')
  assert.deepEqual(await found({ at: [HOST], insecure: [`TLSA _25._tcp.${HOST}`] }), 'none')
})

test('an answer about an alias that cannot be had is not taken for another name’s', async () => {
  for (const question of [`A ${HOST}`, `TLSA _25._tcp.${TARGET}`])
    assert.deepEqual(await found({ at: [HOST], broken: [question] }), 'failed', question)
  const broken = [`CNAME ${HOST}`]
  assert.deepEqual(await found({ at: [HOST], insecure: [`A ${HOST}`], broken }), 'failed')
})

test('a host that the operator names has records too, if it has a name', async () => {
  const named = { name: HOST, address: '192.0.2.1', port: 25 }
  assert.deepEqual(await found({ at: [TARGET], gateway: true }), [TARGET, [TARGET]])
  for (const name of ['192.0.2.1', '2001:db8::1', '/run/lmtp.sock', 'localhost', 'a.localhost.'])
    assert.deepEqual(await findTlsa(noDns, { host: { ...named, name }, maxAge: 60, signal }), NONE)
})

test('the name at which the records stand is asked for by SNI', async () => {
  const sink = await SmtpSink.start({ tls: own })
  const server = await TestDnsServer.start({
    [`CNAME ${HOST}`]: [TARGET],
    [`A ${TARGET}`]: ['127.0.0.1'],
    [`TLSA _${sink.port}._tcp.${TARGET}`]: [tlsa('3 1 1', own)],
  })
  server.authentic = true
  const dns = new StubResolver({ servers: fixedServers([server.address]) })
  try {
    const { result } = await tryAt(sink, { secure: true, dns, options: dane })
    assert.equal(result.tls?.verifiedBy, 'dane', result.text)
    assert.deepEqual(sink.handshakes[0]?.sni, TARGET)
  } finally {
    await sink.close()
    await server.close()
  }
})

test('an intermediate of our own PKI is no anchor unless a record names it', async () => {
  const ours = await intermediateAuthority()
  const credential = ours.issue({ subject: HOST, usage: 'server', altNames })
  const tls = { cert: `${credential.cert}${ours.cert}`, key: credential.key }
  const options = { tls: 'required', tls_verify: 'ca', tls_ca: fileOf(pki.file('ca.pem')) } as const
  const { result } = await withDane({ tls }, { records: [tlsa('2 0 1', root.credential)], options })
  assert.equal(result.kind, 'transient', 'a CA of ours does not stand in for DANE')
})
