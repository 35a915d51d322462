import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { TestDnsServer, type Zone } from '../../test/support/dns-server.ts'
import { fixedServers } from '../dns/name-servers.ts'
import { StubResolver } from '../dns/stub-resolver.ts'
import { type Found, MxHosts, type MxQuestion } from './mx.ts'
import { OwnHosts } from './own-hosts.ts'

let server: TestDnsServer
let now = 0

before(async () => {
  server = await TestDnsServer.start()
})
after(() => server.close())
beforeEach(() => {
  server.odd = () => undefined
  server.asked.length = 0
  now = 1_700_000_000_000
})

const mx = (preference: number, exchange: string) => ({ preference, exchange })
const own = new OwnHosts({
  names: ['GATE.example'],
  listens: [{ kind: 'tcp', host: undefined, port: 25, family: 4 }],
  addresses: () => ['198.51.100.7'],
})

function finder(zone: Zone, random?: () => number): MxHosts {
  server.zone = zone
  const dns = new StubResolver({
    servers: fixedServers([server.address]),
    clock: () => now,
    timeout: 100,
    rounds: 1,
  })
  return new MxHosts({ dns, own, ...(random === undefined ? {} : { random }) })
}

async function find(hosts: MxHosts, changes: Partial<MxQuestion> = {}): Promise<Found> {
  return await hosts.find({
    domain: 'example.test',
    port: 25,
    useIpv6: false,
    preferIpv6: false,
    failuresToA: 3,
    signal: new AbortController().signal,
    ...changes,
  })
}

/** What is drawn, one after the other, then 0. */
function lots(...all: number[]): () => number {
  return () => all.shift() ?? 0
}

function addressesOf(found: Found): readonly string[] {
  assert.equal(found.kind, 'hosts', JSON.stringify(found))
  return found.kind === 'hosts' ? found.hosts.map(({ address }) => address) : []
}

test('hosts are tried by preference, those of equal preference by lot', async () => {
  const zone = {
    'MX example.test': [mx(20, 'late.test'), mx(10, 'a.test'), mx(10, 'b.test')],
    'A a.test': ['192.0.2.1'],
    'A b.test': ['192.0.2.2', '192.0.2.3'],
    'A late.test': ['192.0.2.9'],
  }
  assert.deepEqual(addressesOf(await find(finder(zone, lots(0, 0.1, 0.2)))), [
    '192.0.2.1',
    '192.0.2.2',
    '192.0.2.3',
    '192.0.2.9',
  ])
  assert.deepEqual(addressesOf(await find(finder(zone, lots(0, 0.2, 0.1)))), [
    '192.0.2.2',
    '192.0.2.3',
    '192.0.2.1',
    '192.0.2.9',
  ])
})

test('a domain without MX records is its own host', async () => {
  const hosts = finder({ 'A example.test': ['192.0.2.4'] })
  assert.deepEqual(addressesOf(await find(hosts)), ['192.0.2.4'])
})

test('a null MX takes no mail, a domain that does not exist neither', async () => {
  assert.deepEqual(await find(finder({ 'MX example.test': [mx(0, '.')] })), {
    kind: 'permanent',
    text: '550 5.4.4 [internal] NULL MX domain does not accept mail',
  })
  assert.deepEqual(await find(finder({})), {
    kind: 'permanent',
    text: '554 5.4.4 [internal] Domain Lookup Failed',
  })
})

test('a domain with nothing to send to is tried again', async () => {
  assert.deepEqual(await find(finder({ 'TXT example.test': [['x']] })), {
    kind: 'transient',
    text: '454 4.4.4 [internal] no MX or A for domain',
  })
  assert.deepEqual(await find(finder({ 'MX example.test': [mx(1, 'gone.test')] })), {
    kind: 'transient',
    text: '451 4.4.1 [internal] No valid hosts',
  })
})

test('a host that cannot be looked up costs itself only', async () => {
  const zone = {
    'MX example.test': [mx(1, 'a.test'), mx(2, 'b.test')],
    'A a.test': ['192.0.2.1'],
    'A b.test': ['192.0.2.2'],
  }
  const hosts = finder(zone)
  server.odd = ({ name }) => (name === 'a.test' ? { rcode: 2 } : undefined)
  assert.deepEqual(addressesOf(await find(hosts)), ['192.0.2.2'])
  server.odd = ({ name }) => (name === 'example.test' ? undefined : { rcode: 2 })
  assert.deepEqual(await find(finder(zone)), {
    kind: 'transient',
    text: '451 4.4.3 [internal] The name of the next hop could not be looked up',
  })
})

test('MX questions that stay unanswered lead to the domain’s own addresses after so many', async () => {
  const hosts = finder({ 'A example.test': ['192.0.2.4'], 'MX example.test': [mx(1, 'a.test')] })
  server.odd = ({ type }) => (type === 'MX' ? { rcode: 2 } : undefined)
  for (let n = 0; n < 2; n++) {
    assert.equal((await find(hosts)).kind, 'transient')
    now += 10_000
  }
  assert.deepEqual(addressesOf(await find(hosts)), ['192.0.2.4'])
  now += 10_000
  server.odd = () => undefined
  assert.equal((await find(hosts)).kind, 'transient', 'an answer counts again')
  now += 400_000
  server.odd = ({ type }) => (type === 'MX' ? { rcode: 2 } : undefined)
  assert.equal((await find(hosts)).kind, 'transient', 'and the count begins anew')
  now += 10_000
  assert.deepEqual(addressesOf(await find(hosts, { failuresToA: -1 })), ['192.0.2.4'])
})

test('… or to nothing, where whoever keeps them back must not choose the host', async () => {
  const hosts = finder({ 'A example.test': ['192.0.2.4'] })
  server.odd = ({ type }) => (type === 'MX' ? { rcode: 2 } : undefined)
  for (let n = 0; n < 20; n++) {
    assert.equal((await find(hosts, { failuresToA: Number.POSITIVE_INFINITY })).kind, 'transient')
    now += 10_000
  }
})

test('this server and whatever is not preferred to it are cut off', async () => {
  const zone = (name: string) => ({
    'MX example.test': [mx(10, 'a.test'), mx(20, name), mx(20, 'b.test'), mx(30, 'c.test')],
    'A a.test': ['192.0.2.1'],
    'A b.test': ['192.0.2.2'],
    'A c.test': ['192.0.2.3'],
    'A us.test': ['198.51.100.7'],
    'A gate.example': ['203.0.113.1'],
  })
  assert.deepEqual(addressesOf(await find(finder(zone('us.test')))), ['192.0.2.1'])
  assert.deepEqual(addressesOf(await find(finder(zone('gate.example')))), ['192.0.2.1'])
  // another server on this machine
  assert.equal(addressesOf(await find(finder(zone('us.test')), { port: 26 })).length, 4)
  assert.deepEqual(await find(finder({ 'MX example.test': [mx(5, 'gate.example'), mx(9, 'b.test')] })), {
    kind: 'permanent',
    text: '554 5.4.6 [internal] The best host for the domain is this server itself',
  })
})

test('where hosts go in steps, a slow one that is not preferred holds nothing up, and none that is preferred is left out', async () => {
  const zone = {
    'MX example.test': [mx(10, 'a.test'), mx(10, 'b.test'), mx(20, 'none.test'), mx(30, 'late.test')],
    'A a.test': ['192.0.2.1'],
    'A b.test': ['192.0.2.2'],
    'A late.test': ['192.0.2.9'],
  }
  const hosts = finder(zone)
  const slow = Promise.withResolvers<void>()
  let isHeld = true
  server.odd = ({ name }) => {
    if (name !== 'late.test' || !isHeld) return undefined
    slow.resolve()
    return { silent: true }
  }
  const found = await find(hosts, { stepwise: true })
  assert.deepEqual(addressesOf(found).toSorted(), ['192.0.2.1', '192.0.2.2'])
  await slow.promise
  const others = found.kind === 'hosts' ? await found.others?.() : undefined
  // none.test has no address, and late.test was not answered for
  assert.equal(others?.kind, 'transient')
  isHeld = false
  const again = await find(finder(zone), { stepwise: true })
  const rest = again.kind === 'hosts' ? await again.others?.() : undefined
  assert.ok(rest !== undefined)
  assert.deepEqual(addressesOf(rest), ['192.0.2.9'])
  assert.equal(rest.kind === 'hosts' ? rest.others : 'none', undefined)
})

test('steps end before this server, and it is no way out by steps either', async () => {
  const zone = {
    'MX example.test': [mx(10, 'a.test'), mx(20, 'us.test'), mx(30, 'late.test')],
    'A a.test': ['192.0.2.1'],
    'A us.test': ['198.51.100.7'],
    'A late.test': ['192.0.2.9'],
    'MX ours.test': [mx(10, 'us.test'), mx(20, 'late.test')],
  }
  const hosts = finder(zone)
  const found = await find(hosts, { stepwise: true })
  assert.deepEqual(addressesOf(found), ['192.0.2.1'])
  const others = found.kind === 'hosts' ? await found.others?.() : undefined
  assert.equal(others?.kind, 'transient')
  assert.equal((await find(hosts, { domain: 'ours.test', stepwise: true })).kind, 'permanent')
})

test('only hosts of the best preference count where nothing else is wanted', async () => {
  const zone = {
    'MX example.test': [mx(20, 'late.test'), mx(10, 'a.test'), mx(10, 'b.test')],
    'A b.test': ['192.0.2.2'],
    'A late.test': ['192.0.2.9'],
  }
  assert.deepEqual(addressesOf(await find(finder(zone), { bestOnly: true })), ['192.0.2.2'])
  assert.deepEqual(addressesOf(await find(finder(zone))), ['192.0.2.2', '192.0.2.9'])
})

test('IPv6 is looked up where it is used, and comes first where it is preferred', async () => {
  const zone = {
    'MX example.test': [mx(1, 'four.test'), mx(1, 'both.test'), mx(2, 'six.test')],
    'A four.test': ['192.0.2.1'],
    'A both.test': ['192.0.2.2'],
    'AAAA both.test': ['2001:db8::2'],
    'AAAA six.test': ['2001:db8::3'],
  }
  assert.deepEqual(addressesOf(await find(finder(zone, lots()))), ['192.0.2.1', '192.0.2.2'])
  assert.equal(server.count('AAAA both.test'), 0)
  assert.deepEqual(addressesOf(await find(finder(zone, lots()), { useIpv6: true })), [
    '192.0.2.1',
    '192.0.2.2',
    '2001:db8::2',
    '2001:db8::3',
  ])
  assert.deepEqual(addressesOf(await find(finder(zone, lots()), { useIpv6: true, preferIpv6: true })), [
    '2001:db8::2',
    '192.0.2.2',
    '192.0.2.1',
    '2001:db8::3',
  ])
})

test('a domain with hundreds of hosts costs a bounded number of questions', async () => {
  const names = Array.from({ length: 60 }, (_, n) => `host${n}.test`)
  const hosts = finder({
    'MX example.test': names.map((name, n) => mx(n, name)),
    ...Object.fromEntries(names.map((name) => [`A ${name}`, ['192.0.2.1']])),
  })
  server.odd = ({ over, type }) => (over === 'udp' && type === 'MX' ? { truncated: true } : undefined)
  assert.equal(addressesOf(await find(hosts)).length, 20)
  assert.ok(server.asked.length < 30)
})

test('an address is ours where something listens on it', () => {
  const listens = [
    { kind: 'tcp', host: '198.51.100.8', port: 2525, family: 4 },
    { kind: 'tcp', host: '::', port: 587, family: 'dual' },
    { kind: 'unix', path: '/run/x.sock' },
  ] as const
  const hosts = new OwnHosts({ names: [], listens, addresses: () => ['2001:db8::7', '198.51.100.7'] })
  assert.ok(hosts.hasAddress('198.51.100.8', 2525))
  assert.ok(hosts.hasAddress('2001:db8::7', 587))
  assert.ok(hosts.hasAddress('127.0.0.2', 587))
  assert.ok(hosts.hasAddress('0.0.0.0', 587))
  assert.ok(!hosts.hasAddress('198.51.100.7', 2525))
  assert.ok(!hosts.hasAddress('198.51.100.9', 587))
  assert.ok(!hosts.hasAddress('198.51.100.8', 25))
})
