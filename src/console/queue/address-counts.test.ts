import assert from 'node:assert/strict'
import { test } from 'node:test'
import { countByAddress, parseSpan } from './address-counts.ts'

const addresses = [
  '192.0.2.7',
  '192.0.2.7',
  '192.0.9.1',
  '198.51.100.1',
  '2001:db8::1',
  '2001:db8::2',
  '',
  '/a',
]

function counted(text: string): readonly string[] {
  const span = parseSpan(text)
  assert.ok(span)
  return countByAddress(addresses, span).map(({ network, sessions }) => `${network} ${sessions}`)
}

test('connections are counted in a network, or by networks of so many bits with the narrow ones inside', () => {
  assert.deepEqual(counted('192.0.2.0/24'), ['192.0.2.0/24 2'])
  assert.deepEqual(counted('192.0.2.7'), ['192.0.2.7/32 2'])
  assert.equal(
    counted('16-32').join(', '),
    '192.0.0.0/16 3, 192.0.2.7/32 2, 192.0.9.1/32 1, 2001::/16 2, 2001:db8::/32 2, 198.51.0.0/16 1, 198.51.100.1/32 1',
  )
  // IPv4 has no more than 32
  assert.deepEqual(counted('64-128').slice(0, 3), ['192.0.2.7/32 2', '2001:db8::/64 2', '2001:db8::1/128 1'])
  for (const text of ['129', '32-16', '192.0.2.0/33', 'all', '', '-1'])
    assert.equal(parseSpan(text), undefined, text)
})
