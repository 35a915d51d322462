import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Answer, encode } from 'dns-packet'
import * as fc from 'fast-check'
import { holds } from '../../test/support/properties.ts'
import { ownTime } from '../../test/support/time.ts'
import { encodeQuery, isDnsName, mixCase, type Query, type QueryType, readReply } from './message.ts'
import { fixedServers, parseResolvConf, parseServer, systemServers } from './name-servers.ts'

const query: Query = { id: 4711, name: 'mAil.Test', type: 'MX', edns: true }
const types: readonly QueryType[] = ['A', 'AAAA', 'MX', 'TXT', 'PTR', 'NS', 'TLSA']

function reply(answers: Answer[], flags = 0x180): Buffer {
  return encode({
    type: 'response',
    id: query.id,
    flags,
    questions: [{ name: query.name, type: 'MX', class: 'IN' }],
    answers,
  })
}

const good = reply([
  { name: 'mail.test', type: 'MX', ttl: 60, data: { preference: 5, exchange: 'a.test' } },
  { name: 'mail.test', type: 'MX', ttl: 30, data: { preference: 1, exchange: 'b.test' } },
])

test('an answer lives as long as the shortest of its TTLs', () => {
  const read = readReply(good, query, 'udp')
  assert.ok(read.kind === 'answer')
  assert.equal(read.answer.ttl, 30)
})

test('an exchange that is no host name is not used', () => {
  const bad = reply([
    { name: 'mail.test', type: 'MX', ttl: 60, data: { preference: 5, exchange: 'a b\n.test' } },
  ])
  const read = readReply(bad, query, 'udp')
  assert.ok(read.kind === 'answer')
  assert.equal(read.answer.kind, 'no-data')
})

test('a TTL with its highest bit set is not kept', () => {
  const read = readReply(
    reply([{ name: 'mail.test', type: 'MX', ttl: 2 ** 31, data: { preference: 5, exchange: 'a.test' } }]),
    query,
    'udp',
  )
  assert.ok(read.kind === 'answer')
  assert.equal(read.answer.ttl, 0)
})

test('whatever octets come in, reading them ends and throws nothing', () => {
  holds(
    fc.property(
      fc.oneof(
        fc.uint8Array({ maxLength: 200 }),
        // a good answer with some octets changed, cut or doubled: reaches the record parsers
        fc
          .tuple(
            fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { maxLength: 12 }),
            fc.nat(good.length),
          )
          .map(([changes, end]) => {
            const bytes = Buffer.from(good)
            for (const [at, octet] of changes) bytes[at] = octet
            return Buffer.concat([bytes.subarray(0, end), bytes.subarray(0, 2)])
          }),
      ),
      fc.constantFrom(...types),
      fc.constantFrom('udp' as const, 'tcp' as const),
      (bytes, type, over) => {
        const read = readReply(Buffer.from(bytes), { ...query, type }, over)
        if (read.kind !== 'answer') return
        assert.equal(read.answer.kind === 'found', read.answer.records.length > 0)
        assert.ok(read.answer.ttl >= 0 && read.answer.ttl <= 86_400)
      },
    ),
    { numRuns: 10_000 },
  )
})

test('an answer that is as large as it can be is read in no time', () => {
  // 5000 records, each of which points to a name of many labels
  const records = Array.from(
    { length: 5000 },
    (): Answer => ({ name: 'x', type: 'CNAME', ttl: 1, data: 'x' }),
  )
  const bytes = reply(records).subarray(0, 65_535)
  assert.ok(ownTime(() => readReply(bytes, query, 'tcp')) < 2000)
})

test('names that are asked for are short enough and have no other octets', () => {
  assert.ok(isDnsName('_25._tcp.mail.example.com'))
  for (const name of ['', '.', 'a..b', 'a b', 'a\nb', `${'a'.repeat(64)}.x`, 'a.'.repeat(127) + 'aa']) {
    assert.ok(!isDnsName(name), name)
  }
  assert.equal(mixCase('ab-1.c', Buffer.from([1, 0, 1, 1, 1, 1])), 'Ab-1.C')
})

test('a question asks for recursion and fits into one datagram', () => {
  const bytes = encodeQuery({ ...query, name: `${`${'a'.repeat(60)}.`.repeat(4)}test` })
  assert.ok(bytes.length < 512)
  assert.equal(bytes.readUInt16BE(2) & 0x100, 0x100)
})

test('servers come from the configuration or from resolv.conf', async () => {
  assert.deepEqual(parseServer('192.0.2.1'), { address: '192.0.2.1', port: 53 })
  assert.deepEqual(parseServer('192.0.2.1:5353'), { address: '192.0.2.1', port: 5353 })
  assert.deepEqual(parseServer('2001:db8::1'), { address: '2001:db8::1', port: 53 })
  assert.deepEqual(parseServer('[2001:db8::1]:5353'), { address: '2001:db8::1', port: 5353 })
  for (const text of ['ns.example.com', '192.0.2.1:0', '192.0.2.1:70000', '[192.0.2.1]:53', '', '1.2.3']) {
    assert.equal(parseServer(text), undefined, text)
  }
  const text = '# c\nnameserver 192.0.2.1\n nameserver\t2001:db8::1 # x\nsearch x\nnameserver nonsense\n'
  assert.deepEqual(
    parseResolvConf(text).map(({ address }) => address),
    ['192.0.2.1', '2001:db8::1'],
  )
  assert.deepEqual(parseResolvConf(''), [{ address: '127.0.0.1', port: 53 }])
  assert.deepEqual(await systemServers(Date.now, '/nonexistent')(), [{ address: '127.0.0.1', port: 53 }])
  assert.deepEqual(await fixedServers([])(), [])
})
