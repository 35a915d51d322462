import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { TestDnsServer } from '../../test/support/dns-server.ts'
import { fixedServers } from './name-servers.ts'
import { StubResolver, type StubResolverOptions } from './stub-resolver.ts'

const signal = new AbortController().signal
let server: TestDnsServer
let now = 0

before(async () => {
  server = await TestDnsServer.start()
})
after(() => server.close())
beforeEach(() => {
  server.zone = {
    'A mail.test': ['192.0.2.1', '192.0.2.2'],
    'AAAA mail.test': ['2001:db8::1'],
    'MX example.test': [
      { preference: 20, exchange: 'B.Example.TEST' },
      { preference: 10, exchange: 'a.example.test' },
    ],
    'MX null.test': [{ preference: 0, exchange: '.' }],
    'TXT example.test': [['v=spf1 ', Buffer.from('\xff -all', 'latin1')]],
    'NS example.test': ['ns.example.test'],
    'PTR 1.2.0.192.in-addr.arpa': ['mail.test'],
    'TLSA _25._tcp.mail.test': [{ usage: 3, selector: 1, matchingType: 1, certificate: Buffer.alloc(32, 7) }],
    'CNAME www.test': ['mail.test'],
    'CNAME loop.test': ['mail.test'],
  }
  server.odd = () => undefined
  server.authentic = false
  server.asked.length = 0
  server.packets.length = 0
  now = 1_700_000_000_000
})

function resolver(options: StubResolverOptions = {}): StubResolver {
  return new StubResolver({
    servers: fixedServers([server.address]),
    clock: () => now,
    timeout: 150,
    rounds: 1,
    ...options,
  })
}

test('records of every type come as they are', async () => {
  const dns = resolver()
  const of = async (name: string, type: Parameters<StubResolver['lookup']>[1]) =>
    (await dns.lookup(name, type, { signal })).records
  assert.deepEqual(await of('mail.test', 'A'), ['192.0.2.1', '192.0.2.2'])
  assert.deepEqual(await of('mail.test', 'AAAA'), ['2001:db8::1'])
  assert.deepEqual(await of('example.test', 'MX'), [
    { preference: 20, exchange: 'b.example.test' },
    { preference: 10, exchange: 'a.example.test' },
  ])
  assert.deepEqual(await of('null.test', 'MX'), [{ preference: 0, exchange: '' }])
  assert.deepEqual(await of('example.test', 'TXT'), ['v=spf1 \xff -all'])
  assert.deepEqual(await of('example.test', 'NS'), ['ns.example.test'])
  assert.deepEqual(await of('1.2.0.192.in-addr.arpa', 'PTR'), ['mail.test'])
  assert.deepEqual(await of('_25._tcp.mail.test', 'TLSA'), [
    { usage: 3, selector: 1, matchingType: 1, data: Buffer.alloc(32, 7) },
  ])
  assert.deepEqual(await of('www.test', 'A'), ['192.0.2.1', '192.0.2.2'])
})

test('no such name and no such record are answers, and are told apart', async () => {
  const dns = resolver()
  assert.equal((await dns.lookup('nowhere.test', 'MX', { signal })).kind, 'no-name')
  assert.equal((await dns.lookup('mail.test', 'MX', { signal })).kind, 'no-data')
})

test('an answer is given again until its TTL is up, a negative one as long as the SOA says', async () => {
  const dns = resolver()
  await dns.lookup('mail.test', 'A', { signal })
  await dns.lookup('MAIL.test.', 'A', { signal })
  await dns.lookup('nowhere.test', 'A', { signal })
  now += 59_000
  await dns.lookup('nowhere.test', 'A', { signal })
  assert.equal(server.count('A nowhere.test'), 1)
  now += 1000
  await dns.lookup('nowhere.test', 'A', { signal })
  assert.equal(server.count('A nowhere.test'), 2)
  now += 239_000
  await dns.lookup('mail.test', 'A', { signal })
  assert.equal(server.count('A mail.test'), 1)
  await dns.lookup('mail.test', 'A', { signal, maxAge: 10 })
  assert.equal(server.count('A mail.test'), 2)
  now += 301_000
  await dns.lookup('mail.test', 'A', { signal })
  assert.equal(server.count('A mail.test'), 3)
})

test('a negative answer without an SOA is not kept', async () => {
  server.odd = () => ({ packet: (answer) => ({ ...answer, authorities: [] }) })
  const dns = resolver()
  await dns.lookup('nowhere.test', 'A', { signal })
  await dns.lookup('nowhere.test', 'A', { signal })
  assert.equal(server.count('A nowhere.test'), 2)
})

test('the cache is bounded, and what was not asked for longest goes first', async () => {
  const names = Array.from({ length: 40 }, (_, n) => `host${n}.test`)
  server.zone = Object.fromEntries(names.map((name) => [`A ${name}`, ['192.0.2.9']]))
  const dns = resolver({ cacheSize: 4000 })
  for (const name of names) await dns.lookup(name, 'A', { signal })
  await dns.lookup('host39.test', 'A', { signal })
  await dns.lookup('host0.test', 'A', { signal })
  assert.equal(server.count('A host39.test'), 1)
  assert.equal(server.count('A host0.test'), 2)
})

test('the AD bit is asked for and kept, and the question says how much it can take', async () => {
  server.authentic = true
  const answer = await resolver().lookup('mail.test', 'A', { signal })
  assert.equal(answer.authentic, true)
  assert.equal(server.packets[0]?.flag_ad, true)
  const [opt] = server.packets[0]?.additionals ?? []
  assert.equal(opt?.type === 'OPT' && opt.udpPayloadSize, 1232)
})

test('the same question asked by many at once is put once; one that loses patience leaves alone', async () => {
  const dns = resolver()
  const hasty = new AbortController()
  const dropped = assert.rejects(dns.lookup('mail.test', 'A', { signal: hasty.signal }), /hasty/)
  const others = Promise.all([1, 2, 3].map(() => dns.lookup('mail.test', 'A', { signal })))
  hasty.abort(new Error('hasty'))
  await dropped
  assert.deepEqual(
    (await others).map(({ kind }) => kind),
    ['found', 'found', 'found'],
  )
  assert.equal(server.asked.length, 1)
})

test('an answer that does not fit is asked for over TCP', async () => {
  server.odd = ({ over }) => (over === 'udp' ? { truncated: true } : undefined)
  assert.equal((await resolver().lookup('mail.test', 'A', { signal })).records.length, 2)
  assert.deepEqual(
    server.asked.map(({ over }) => over),
    ['udp', 'tcp'],
  )
})

test('a truncated datagram that ends inside a record leads to TCP too', async () => {
  server.odd = ({ over }) =>
    over === 'tcp'
      ? undefined
      : {
          bytes: (answer) => {
            const cut = Buffer.from(answer.subarray(0, -3))
            cut.writeUInt16BE(cut.readUInt16BE(2) | 0x200, 2)
            return [cut]
          },
        }
  assert.equal((await resolver().lookup('mail.test', 'A', { signal })).kind, 'found')
})

test('an answer with another id, another name or another type is passed over', async () => {
  server.odd = () => ({
    bytes: (answer) => {
      const otherId = Buffer.from(answer)
      otherId.writeUInt16BE((answer.readUInt16BE(0) + 1) & 0xffff, 0)
      const otherName = Buffer.from(answer)
      otherName.write('x', 13)
      return [otherId, otherName, Buffer.from('not DNS at all'), Buffer.alloc(0), answer]
    },
  })
  const answer = await resolver().lookup('mail.test', 'A', { signal })
  assert.deepEqual(answer.records, ['192.0.2.1', '192.0.2.2'])
})

test('nothing but wrong answers is no answer', async () => {
  server.odd = () => ({
    bytes: (answer) => {
      const otherId = Buffer.from(answer)
      otherId.writeUInt16BE((answer.readUInt16BE(0) + 1) & 0xffff, 0)
      return Array.from({ length: 120 }, () => otherId)
    },
  })
  await assert.rejects(resolver({ timeout: 2000 }).lookup('mail.test', 'A', { signal }), {
    name: 'DnsError',
    message: /no answer/,
  })
})

test('a question that comes back in another case is put again over TCP', async () => {
  const name = `${'abcdefgh'.repeat(4)}.test`
  server.zone = { [`A ${name}`]: ['192.0.2.9'] }
  server.odd = () => ({
    packet: (answer) => ({ ...answer, questions: [{ name, type: 'A', class: 'IN' }] }),
  })
  assert.equal((await resolver().lookup(name, 'A', { signal })).kind, 'found')
  assert.deepEqual(
    server.asked.map(({ over }) => over),
    ['udp', 'tcp'],
  )
})

test('records of names that were not asked for are not used', async () => {
  server.odd = () => ({
    packet: (answer) => ({
      ...answer,
      answers: [{ name: 'evil.test', type: 'A', ttl: 300, data: '192.0.2.66' }],
    }),
  })
  assert.deepEqual((await resolver().lookup('mail.test', 'A', { signal })).kind, 'no-data')
})

test('a chain of aliases that has no end is no data', async () => {
  server.odd = () => ({
    packet: (answer) => ({
      ...answer,
      answers: [{ name: 'mail.test', type: 'CNAME', ttl: 300, data: 'mail.test' }],
    }),
  })
  assert.equal((await resolver().lookup('mail.test', 'A', { signal })).kind, 'no-data')
})

test('a server that does not know EDNS is asked without, from then on at once', async () => {
  server.odd = () => {
    const hadEdns = (server.packets.at(-1)?.additionals ?? []).length > 0
    return hadEdns ? { rcode: 1 } : undefined
  }
  const dns = resolver()
  assert.equal((await dns.lookup('mail.test', 'A', { signal })).kind, 'found')
  await dns.lookup('mail.test', 'AAAA', { signal })
  assert.equal(server.asked.length, 3)
})

test('a server that fails or is silent is passed over, and the one that answered is asked first next time', async () => {
  const broken = await TestDnsServer.start()
  try {
    broken.odd = () => ({ rcode: 2 })
    const dns = resolver({ servers: fixedServers([broken.address, server.address]) })
    assert.equal((await dns.lookup('mail.test', 'A', { signal })).kind, 'found')
    await dns.lookup('mail.test', 'AAAA', { signal })
    assert.equal(broken.asked.length, 1)
    broken.odd = () => ({ silent: true })
    const other = resolver({ servers: fixedServers([broken.address, server.address]) })
    assert.equal((await other.lookup('mail.test', 'A', { signal })).kind, 'found')
  } finally {
    await broken.close()
  }
})

test('a question that nobody answers fails in time, and its failure is remembered for a few seconds', async () => {
  server.odd = () => ({ silent: true })
  const dns = resolver({ rounds: 2 })
  await assert.rejects(dns.lookup('mail.test', 'A', { signal }), { name: 'DnsError', message: /TIMEOUT/ })
  assert.equal(server.asked.length, 2)
  await assert.rejects(dns.lookup('mail.test', 'A', { signal }), /TIMEOUT/)
  assert.equal(server.asked.length, 2)
  now += 5000
  server.odd = () => undefined
  assert.equal((await dns.lookup('mail.test', 'A', { signal })).kind, 'found')
})

test('a port on which nobody answers is an error at once', async () => {
  const gone = await TestDnsServer.start()
  const { address } = gone
  await gone.close()
  const dns = resolver({ servers: fixedServers([address]), timeout: 5000 })
  await assert.rejects(dns.lookup('mail.test', 'A', { signal }), /ECONNREFUSED/)
})

test('only so many questions are open at once; the others wait', async () => {
  const names = Array.from({ length: 30 }, (_, n) => `host${n}.test`)
  server.zone = Object.fromEntries(names.map((name) => [`A ${name}`, ['192.0.2.9']]))
  const dns = resolver({ concurrency: 2, timeout: 2000 })
  const answers = await Promise.all(names.map((name) => dns.lookup(name, 'A', { signal })))
  assert.ok(answers.every(({ kind }) => kind === 'found'))
})

test('a name that cannot be asked for is refused without asking', async () => {
  for (const name of ['', 'a b.test', `${'x'.repeat(64)}.test`, 'a..test', 'ü.test', '[192.0.2.1]']) {
    await assert.rejects(resolver().lookup(name, 'A', { signal }), { name: 'DnsError' })
  }
  assert.equal(server.asked.length, 0)
})
