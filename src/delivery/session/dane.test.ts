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
import { MxHosts } from '../mx.ts'
import { OwnHosts } from '../own-hosts.ts'
import {
  certificateFor,
  DOMAIN,
  fileOf,
  HOST,
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
  /** rcode for the TLSA question */
  readonly rcode?: number
  readonly trusts?: (address: string) => boolean
}

async function withDane(
  script: SinkScript,
  { records, authentic = true, rcode, trusts, ...rest }: World = {},
): Promise<Tried & { readonly sink: SmtpSink }> {
  const sink = await SmtpSink.start(script)
  const server = await TestDnsServer.start(
    records === undefined ? {} : { [`TLSA _${sink.port}._tcp.${HOST}`]: records },
  )
  server.authentic = authentic
  if (rcode !== undefined) server.odd = () => ({ rcode })
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

test('a question for TLSA that is not answered keeps the mail', async () => {
  const { result, sink, told } = await withDane({ tls: own }, { rcode: 2 })
  assert.deepEqual(
    [result.kind, result.text],
    ['transient', `451 4.7.5 [internal] The TLSA records of ${HOST} could not be looked up`],
  )
  assert.equal(sink.connections, 0)
  assert.equal(told[0]?.failure, 'dnssec-invalid')
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

test('MX and address records that are not authentic are remembered with each address', async () => {
  const server = await TestDnsServer.start({
    [`MX ${DOMAIN}`]: [{ preference: 1, exchange: HOST }],
    [`A ${HOST}`]: ['192.0.2.1'],
    [`AAAA ${HOST}`]: ['2001:db8::1'],
    'A bare.test': ['192.0.2.2'],
  })
  const secureOf = async (domain: string, insecure: string): Promise<unknown> => {
    server.authentic = true
    server.odd = ({ type }) =>
      type === insecure
        ? { packet: (answer) => ({ ...answer, flags: (answer.flags ?? 0) & ~(1 << 5) }) }
        : undefined
    const dns = new StubResolver({ servers: fixedServers([server.address]) })
    const hosts = new MxHosts({ dns, own: new OwnHosts({ names: [], listens: [] }) })
    const found = await hosts.find({
      domain,
      port: 25,
      useIpv6: true,
      preferIpv6: false,
      failuresToA: 3,
      signal: new AbortController().signal,
    })
    return found.kind === 'hosts' ? found.hosts.map(({ mx }) => mx?.secure) : found
  }
  try {
    assert.deepEqual(await secureOf(DOMAIN, 'none'), [true, true])
    assert.deepEqual(await secureOf(DOMAIN, 'MX'), [false, false])
    assert.deepEqual(await secureOf(DOMAIN, 'A'), [false, true])
    assert.deepEqual(await secureOf(DOMAIN, 'AAAA'), [true, false])
    assert.deepEqual(await secureOf('bare.test', 'none'), [true], 'without MX records, signed')
    assert.deepEqual(await secureOf('bare.test', 'MX'), [false])
  } finally {
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
