import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { MAX_V1, MAX_V2_REST, type ProxyResult, parseProxyHeader } from './proxy-header.ts'

const SIGNATURE = '0d0a0d0a000d0a515549540a'

/** A version 2 header from its parts in hexadecimal. */
function v2(commandAndFamily: string, rest = '', length = rest.length / 2): Buffer {
  return Buffer.from(SIGNATURE + commandAndFamily + length.toString(16).padStart(4, '0') + rest, 'hex')
}

const ip4 = 'c0000201c633640230390019'
const ip6 = '20010db800000000000000000000000120010db8000000000000000000000002ffff01d1'

describe('a header is read whole and octet by octet', () => {
  const cases: readonly (readonly [
    name: string,
    bytes: Buffer | string,
    source: string | undefined,
    destination?: string,
  ])[] = [
    ['v1 TCP4', 'PROXY TCP4 192.0.2.1 198.51.100.2 12345 25\r\n', '192.0.2.1 12345', '198.51.100.2 25'],
    ['v1 TCP6', 'PROXY TCP6 2001:db8::1 ::1 0 65535\r\n', '2001:db8::1 0', '::1 65535'],
    ['v1 UNKNOWN', 'PROXY UNKNOWN\r\n', undefined],
    ['v1 UNKNOWN with anything after it', 'PROXY UNKNOWN ff:: x \0 99999\r\n', undefined],
    ['v2 TCP over IPv4', v2('2111', ip4), '192.0.2.1 12345', '198.51.100.2 25'],
    ['v2 TCP over IPv6', v2('2121', ip6), '2001:db8:0:0:0:0:0:1 65535', '2001:db8:0:0:0:0:0:2 465'],
    ['v2 TLVs', v2('2111', `${ip4}0100026832`), '192.0.2.1 12345', '198.51.100.2 25'],
    ['v2 UNSPEC', v2('2100'), undefined],
    ['v2 UNIX', v2('2131', '2f'.repeat(216)), undefined],
    ['v2 LOCAL', v2('2000'), undefined],
    ['v2 LOCAL, whatever family it names', v2('20ff', 'aabb'), undefined],
    ['v2 LOCAL that carries an address', v2('2011', ip4), undefined],
    [
      'v2 as long as it may be',
      v2('2111', `${ip4}040ff1${'00'.repeat(MAX_V2_REST - 15)}`),
      '192.0.2.1 12345',
    ],
  ]
  for (const [name, bytes, source, destination] of cases) {
    test(name, () => {
      const header = Buffer.from(bytes)
      const after = Buffer.concat([header, Buffer.from('\r\nEHLO x\r\n')])
      for (let end = 0; end < header.length; end += 1) {
        assert.deepEqual(parseProxyHeader(header.subarray(0, end)), { kind: 'incomplete' }, `${end} octets`)
      }
      for (const octets of [header, after]) {
        const result = parseProxyHeader(octets)
        assert.ok(result.kind === 'header')
        assert.equal(result.length, header.length)
        assert.equal(described(result.endpoints?.source), source)
        if (destination !== undefined) assert.equal(described(result.endpoints?.destination), destination)
      }
    })
  }
})

function described(endpoint: { address: string; port: number } | undefined): string | undefined {
  return endpoint && `${endpoint.address} ${endpoint.port}`
}

describe('what is no header is refused at the first octet that shows it', () => {
  const address = 'PROXY TCP4 192.0.2.1 198.51.100.2'
  const cases: readonly (readonly [bytes: Buffer | string, problem: string, at?: number])[] = [
    ['EHLO client.example\r\n', 'missing', 1],
    ['\x16\x03\x01', 'missing', 1],
    ['PROXYTCP4', 'missing', 6],
    ['proxy TCP4', 'missing', 1],
    ['\r\n\r\n\0\r\nQUIT\r', 'missing', 12],
    [`${address} 1 2\n`, 'line not ended by CR LF', 38],
    [`${address} 1 2\rx`, 'line not ended by CR LF', 39],
    ['PROXY UNKNOWN\nEHLO x\r\n', 'line not ended by CR LF', 14],
    ['PROXY \r\n', 'unknown protocol'],
    ['PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n', 'unknown protocol'],
    ['PROXY tcp4 192.0.2.1 192.0.2.2 1 2\r\n', 'unknown protocol'],
    ['PROXY TCP4\r\n', 'wrong number of fields'],
    [`${address} 1\r\n`, 'wrong number of fields'],
    [`${address} 1 2 3\r\n`, 'wrong number of fields'],
    [`${address}  1 2\r\n`, 'wrong number of fields'],
    [`${address} 1 2 \r\n`, 'wrong number of fields'],
    ['PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n', 'bad address'],
    ['PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n', 'bad address'],
    ['PROXY TCP6 fe80::1%eth0 fe80::2 1 2\r\n', 'bad address'],
    ['PROXY TCP4 192.0.2.01 192.0.2.2 1 2\r\n', 'bad address'],
    ['PROXY TCP4 192.0.2.256 192.0.2.2 1 2\r\n', 'bad address'],
    ['PROXY TCP4 client.example 192.0.2.2 1 2\r\n', 'bad address'],
    [`${address} 65536 2\r\n`, 'bad port'],
    [`${address} -1 2\r\n`, 'bad port'],
    [`${address} 01 2\r\n`, 'bad port'],
    [`${address} 1e3 2\r\n`, 'bad port'],
    [`PROXY UNKNOWN ${'x'.repeat(200)}\r\n`, 'line too long', MAX_V1],
    [v2('1111', ip4), 'unknown version', 13],
    [v2('3111', ip4), 'unknown version', 13],
    [v2('2211', ip4), 'unknown command', 13],
    [v2('2112', ip4), 'unknown address family or protocol', 16],
    [v2('2110', ip4), 'unknown address family or protocol', 16],
    [v2('2141', ip4), 'unknown address family or protocol', 16],
    [v2('2111', ip4.slice(2)), 'addresses cut short', 16],
    [v2('2121', ip4), 'addresses cut short', 16],
    [v2('2131', ip6), 'addresses cut short', 16],
    [v2('2111', '', MAX_V2_REST + 1), 'header too long', 16],
    [v2('2000', '', 65_535), 'header too long', 16],
  ]
  for (const [bytes, problem, at] of cases) {
    const octets = Buffer.from(bytes)
    test(`${JSON.stringify(octets.toString('latin1').slice(0, 50))}: ${problem}`, () => {
      assert.deepEqual(parseProxyHeader(octets), { kind: 'malformed', problem })
      assert.equal(firstRefusal(octets), at ?? octets.length)
    })
  }
})

/** How many octets it takes until the parser says no. */
function firstRefusal(octets: Buffer): number {
  for (let end = 1; end <= octets.length; end += 1) {
    const result: ProxyResult = parseProxyHeader(octets.subarray(0, end))
    if (result.kind === 'malformed') return end
    assert.equal(result.kind, 'incomplete')
  }
  return Number.NaN
}

test('a version 1 header of exactly 107 octets is read, one more is too long', () => {
  const longest = `PROXY UNKNOWN ${'x'.repeat(MAX_V1 - 16)}\r\n`
  assert.equal(longest.length, MAX_V1)
  assert.equal(parseProxyHeader(Buffer.from(longest)).kind, 'header')
  assert.equal(parseProxyHeader(Buffer.from(longest.replace('x', 'xx'))).kind, 'malformed')
})
