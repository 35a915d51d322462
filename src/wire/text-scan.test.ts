import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { holds } from '../../test/support/properties.ts'
import { CR, LF, MAX_SCAN, OTHER, PlainScan, textScan, VectorScan } from './text-scan.ts'

/** where each of them stops, after an octet of no meaning unless told */
function find(text: string, { from = 0, before = OTHER } = {}): number {
  const [vector, plain] = [new VectorScan(), new PlainScan()].map((scan) => {
    scan.load(Buffer.from(text, 'latin1'))
    return scan.find(from, before)
  })
  assert.equal(vector, plain)
  return plain ?? Number.NaN
}

test('lines that end as they should are passed, however many', () => {
  for (const text of ['', 'x', 'a.b\r\n\xff\t\x01\r\n\r\nlast', `${'x'.repeat(76)}\r\n`.repeat(500)])
    assert.equal(find(text), text.length, text)
})

test('a NUL, a lone CR or LF and a dot at the start of a line are found, wherever they stand', () => {
  for (const length of [0, 1, 13, 14, 15, 16, 17, 31, 32, 33, 1000]) {
    const clean = 'x'.repeat(length)
    assert.equal(find(`${clean}\0more`), length)
    assert.equal(find(`${clean}\nmore`), length)
    // the octet behind it is where a CR turns out to be alone
    assert.equal(find(`${clean}\rmore`), length + 1)
    assert.equal(find(`${clean}\r\r\n`), length + 1)
    assert.equal(find(`${clean}\r\n.more`), length + 2)
  }
})

test('what counts as the octet before the first is what it is told', () => {
  assert.equal(find('.x', { before: LF }), 0)
  assert.equal(find('.x', { before: CR }), 0)
  assert.equal(find('.x'), 2)
  assert.equal(find('\nx', { before: CR }), 2)
  assert.equal(find('\nx', { before: LF }), 0)
  // a LF that ended no line stands before the dot
  assert.equal(find('a\n.b', { from: 2 }), 4)
  assert.equal(find('a\r', { from: 2, before: CR }), 2)
})

test('as many octets as are allowed are looked at, and none of those before', () => {
  const scan = new VectorScan()
  scan.load(Buffer.alloc(MAX_SCAN, '\0'))
  scan.load(Buffer.alloc(MAX_SCAN, 'x'))
  assert.equal(scan.find(0, OTHER), MAX_SCAN)
  scan.load(Buffer.from('abc'))
  assert.equal(scan.find(0, OTHER), 3)
  assert.throws(() => scan.load(Buffer.alloc(2 * MAX_SCAN)), RangeError)
})

test('both ways of looking give the same answers', () => {
  const octet = fc.constantFrom('\0', '\r', '\n', '\r\n', '.', 'x', 'a line that is longer', '\xff')
  holds(
    fc.property(
      fc.array(octet, { maxLength: 60 }),
      fc.nat(),
      fc.constantFrom(CR, LF, OTHER),
      (pieces, n, before) => {
        const text = pieces.join('')
        find(text, { from: n % (text.length + 1), before })
      },
    ),
  )
})

test('the faster way is taken where the runtime has it', () => {
  assert.ok(textScan() instanceof VectorScan)
})
