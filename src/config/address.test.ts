import assert from 'node:assert/strict'
import { BlockList, isIP } from 'node:net'
import { describe, test } from 'node:test'
import * as fc from 'fast-check'
import { holds } from '../../test/support/properties.ts'
import { cidrContains, formatCidr, normaliseAddress, parseAddress, parseCidr } from './address.ts'
import { CidrTrie } from './cidr-trie.ts'
import { bindAddresses, listenKey, parseListenAddress } from './listen-address.ts'

const read = (text: string) => {
  const cidr = parseCidr(text)
  return cidr && `${formatCidr(cidr)}${cidr.beyond ? ' beyond' : ''}`
}

const inside = (cidr: string, address: string) => {
  const parsed = parseCidr(cidr)
  assert.ok(parsed)
  return cidrContains(parsed, address)
}

const bound = (...instances: string[]) => {
  const addresses = instances.map((each) => {
    const address = parseListenAddress(each)
    assert.ok(typeof address === 'object', each)
    return address
  })
  return bindAddresses(addresses).map((each) =>
    each.kind === 'unix' ? each.path : `${each.host ?? 'any'} ${each.port} ${each.family}`,
  )
}

const key = (text: string) => {
  const address = parseListenAddress(text)
  assert.ok(typeof address === 'object', text)
  return listenKey(address)
}

describe('addresses', () => {
  test('one spelling for each address', () => {
    const spellings: readonly (readonly [string, string])[] = [
      ['192.0.2.1', '192.0.2.1'],
      ['::FFFF:192.0.2.1', '192.0.2.1'],
      ['::ffff:c000:0201', '192.0.2.1'],
      ['0:0:0:0:0:ffff:192.0.2.1', '192.0.2.1'],
      ['2001:DB8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
      ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
      ['0:0:0:0:0:0:0:0', '::'],
      ['::1', '::1'],
      ['1::', '1::'],
      ['fe80::1%eth0', 'fe80::1'],
      ['::192.168.0.1', '::c0a8:1'],
      ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'],
    ]
    for (const [written, normal] of spellings) assert.equal(normaliseAddress(written), normal, written)
  })

  test('refuses what is not an address', () => {
    for (const text of [
      '',
      '1.2.3',
      '1.2.3.4.5',
      '256.1.1.1',
      '01.2.3.4',
      '1.2.3.4 ',
      ' ::1',
      ':',
      ':::',
      '1::2::3',
      '1:2:3:4:5:6:7:8:9',
      '1:2:3:4:5:6:7:8::',
      '12345::',
      'g::',
      '::1%',
      '[::1]',
      '::1.2.3',
      '::01.2.3.4',
      '1.2.3.4%eth0',
      '0x7f.1.1.1',
      '１.2.3.4',
    ]) {
      assert.equal(normaliseAddress(text), undefined, text)
    }
  })

  test("agrees with Node's own parser about what is an address, and is stable", () => {
    holds(
      fc.property(fc.oneof(fc.ipV6(), fc.ipV4(), fc.stringMatching(/^[0-9a-f:.]{0,24}$/)), (text) => {
        const normal = normaliseAddress(text)
        assert.equal(normal !== undefined, isIP(text) !== 0, text)
        if (normal !== undefined) assert.equal(normaliseAddress(normal), normal)
      }),
      { numRuns: 2000 },
    )
  })

  test('reads blocks and clears the bits beyond the prefix', () => {
    assert.equal(read('10.1.2.3'), '10.1.2.3/32')
    assert.equal(read('10.1.2.3/8'), '10.0.0.0/8 beyond')
    assert.equal(read('10.128.0.0/9'), '10.128.0.0/9')
    assert.equal(read('0.0.0.0/0'), '0.0.0.0/0')
    assert.equal(read('2001:DB8::/32'), '2001:db8::/32')
    assert.equal(read('::ffff:10.0.0.0/104'), '10.0.0.0/8')
    assert.equal(read('::ffff:0:0/96'), '0.0.0.0/0')
    assert.equal(read('::ffff:0:0/95'), '::fffe:0:0/95 beyond')
    for (const bad of [
      '10.0.0.0/33',
      '::/129',
      '10.0.0.0/',
      '10.0.0.0/08',
      '10.0.0.0/-1',
      '10.0.0.0/8/8',
      '/8',
      'localhost',
      'fe80::1%eth0/64',
    ]) {
      assert.equal(parseCidr(bad), undefined, bad)
    }
  })

  test('a UNIX client is in the blocks of loopback, and what is not an address is in none', () => {
    assert.ok(inside('127.0.0.0/8', ''))
    assert.ok(inside('::1', ''))
    assert.ok(!inside('10.0.0.0/8', ''))
    assert.ok(!inside('0.0.0.0/0', 'localhost'))
    assert.ok(inside('10.0.0.0/8', '::ffff:10.1.2.3'))
    assert.ok(!inside('::/0', '10.1.2.3'))
  })

  test('the trie finds what a search through all blocks finds, longest prefix first', () => {
    const cidr = fc.oneof(
      fc.tuple(fc.ipV4(), fc.integer({ min: 0, max: 32 })),
      // close together, so that they nest
      fc.tuple(
        fc.integer({ min: 0, max: 255 }).map((n) => `10.0.0.${n}`),
        fc.integer({ min: 20, max: 32 }),
      ),
      fc.tuple(fc.ipV6(), fc.integer({ min: 0, max: 128 })),
    )
    holds(
      fc.property(
        fc.array(cidr, { maxLength: 30 }),
        fc.array(fc.oneof(fc.ipV4(), fc.ipV6(), fc.constantFrom('10.0.0.1', '10.0.0.130')), {
          minLength: 1,
          maxLength: 10,
        }),
        (blocks, addresses) => {
          const trie = new CidrTrie<string>()
          const all = new Map<string, { prefix: number; family: number; block: BlockList }>()
          for (const [host, prefix] of blocks) {
            const parsed = parseCidr(`${host}/${prefix}`)
            assert.ok(parsed)
            const key = formatCidr(parsed)
            assert.equal(trie.add(parsed, key), all.has(key) ? key : undefined)
            const block = new BlockList()
            block.addSubnet(key.split('/')[0] ?? '', parsed.prefix, parsed.family === 4 ? 'ipv4' : 'ipv6')
            all.set(key, { prefix: parsed.prefix, family: parsed.family, block })
          }
          for (const text of addresses) {
            const address = parseAddress(text)
            const normal = normaliseAddress(text)
            assert.ok(address && normal)
            const expected = [...all]
              .filter(
                ([, each]) =>
                  each.family === address.family &&
                  each.block.check(normal, address.family === 4 ? 'ipv4' : 'ipv6'),
              )
              .toSorted(([, a], [, b]) => b.prefix - a.prefix)
              .map(([key]) => key)
            assert.deepEqual(trie.matches(address), expected)
          }
        },
      ),
      { numRuns: 200 },
    )
  })
})

describe('addresses to listen on', () => {
  test('alone, any address takes both families; 0.0.0.0 is IPv4 alone', () => {
    for (const each of [':25', '*:25', '[*]:25', '[::]:25', '[0:0::0]:25'])
      assert.deepEqual(bound(each), ['any 25 dual'])
    assert.deepEqual(bound('0.0.0.0:25'), ['any 25 4'])
  })

  test('two that would take the same port divide the families, on that port only', () => {
    assert.deepEqual(bound(':25', '[::]:25', ':587'), ['any 25 4', 'any 25 6', 'any 587 dual'])
    assert.deepEqual(bound('0.0.0.0:25', '[::]:25'), ['any 25 4', 'any 25 6'])
    assert.deepEqual(bound('0.0.0.0:25', ':25'), ['any 25 4', 'any 25 6'])
    assert.deepEqual(bound(':0', '[::]:0'), ['any 0 dual', 'any 0 dual'])
  })

  test('spellings of one address have one key', () => {
    assert.equal(key(':25'), key('*:25'))
    assert.equal(key('[*]:25'), key('[::]:25'))
    assert.equal(key('[2001:DB8::0:1]:25'), key('[2001:db8::1]:25'))
    assert.equal(key('[::ffff:127.0.0.1]:25'), key('127.0.0.1:25'))
    assert.equal(key('/run//x/../postern.sock'), key('/run/postern.sock'))
    assert.notEqual(key('[fe80::1%eth0]:25'), key('[fe80::1%eth1]:25'))
    assert.notEqual(key(':25'), key('0.0.0.0:25'))
  })

  test('a socket path that the system could not hold is refused', () => {
    assert.equal(typeof parseListenAddress(`/${'x'.repeat(106)}`), 'object')
    assert.equal(typeof parseListenAddress(`/${'x'.repeat(107)}`), 'string')
  })
})
