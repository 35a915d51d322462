import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { holds } from '../../test/support/properties.ts'
import { ownTime } from '../../test/support/time.ts'
import { parseAddressList } from './address-list.ts'

const list = (text: string): string[] =>
  parseAddressList(text).map(({ local, domain }) => `${local}@${domain}`)

test('mailboxes, groups, comments, quoted strings, literals, routes', () => {
  assert.deepEqual(list('a@b.c'), ['a@b.c'])
  assert.deepEqual(list('A B <a@b.c>, "x, y" <"q s"@[192.0.2.1]>'), ['a@b.c', '"q s"@[192.0.2.1]'])
  assert.deepEqual(list('Friends: a@b.c, <d@e.f>;, g@h.i'), ['a@b.c', 'd@e.f', 'g@h.i'])
  assert.deepEqual(list('Nobody: ;'), [])
  assert.deepEqual(list('(one (two)) a . b @ c . d (three)'), ['a.b@c.d'])
  assert.deepEqual(list('<@one,@two:a@b.c>, d@e.f'), ['a@b.c', 'd@e.f'])
  assert.deepEqual(list('"a\\"b"@c.d'), ['"a\\"b"@c.d'])
})

test('what cannot be read is left out, the rest is kept', () => {
  assert.deepEqual(list('a b@c.d, e@f.g, @h, i@, <>, j@k@l.m, n..o@p.q'), ['e@f.g'])
  assert.deepEqual(list('a@b.c, (never ends, d@e.f'), ['a@b.c'])
  assert.deepEqual(list('a@b.c, "never ends, d@e.f'), ['a@b.c', '"never ends, d@e.f@'])
  assert.deepEqual(list(`${'('.repeat(10_000)} a@b.c`), [])
})

test('any text is read in one pass', () => {
  holds(
    fc.property(fc.stringMatching(/^[a@.,;:<>()"\\[\] ]{0,60}$/), (text) => {
      for (const { local } of parseAddressList(text)) assert.ok(local !== '')
    }),
  )
  const pieces = ['<', '@', 'a,', '(', '"', ':', '<@a,'].map((piece) => ['', piece] as const)
  // a route that never ends
  for (const [lead, piece] of [
    ...pieces,
    ['<@', 'a,'],
    ['<@', ';'],
    [`${'<'.repeat(80_000)}@a`, ',b'],
  ] as const) {
    // caches that others fill make single measures long; a second pass would be seen in each
    const onePass = [1, 2, 3, 4, 5].some(() => growth(lead, piece) < 100)
    assert.ok(onePass, lead.slice(0, 2) + piece)
  }
})

/** How many times as long sixteen times the text takes; a second pass for each octet would make it 256. */
function growth(lead: string, piece: string): number {
  const small = Math.max(cost(lead, piece, 5000), cost(lead, piece, 5000), 0.5)
  return cost(lead, piece, 80_000) / small
}

/** milliseconds that a repeated piece takes behind a lead, without what the machine does besides */
function cost(lead: string, piece: string, times: number): number {
  const text = lead + piece.repeat(times)
  return Math.min(...[1, 2, 3].map(() => ownTime(() => parseAddressList(text))))
}
