/** Sessions, tables and JSON of the operators' page. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TableAnswer } from '../../console/answer.ts'
import { queueOf } from './acts.ts'
import { readAssets } from './assets.ts'
import { cookieLine, json } from './http.ts'
import { Looks } from './looks.ts'
import { rowsPage, rowsQuery } from './rows.ts'
import { PageSessions, sameSecret } from './sessions.ts'

const MINUTE = 60_000
const here = { place: ':1', certificate: '' }
const ann = { name: 'ann', known: 'password', stamp: 's' } as const

test('a session ends after half an hour without use, and after twelve hours in any case', () => {
  let now = 0
  const sessions = new PageSessions(() => now)
  const { token } = sessions.begin(ann, here)
  now += 29 * MINUTE
  assert.equal(sessions.find(token, here)?.user.name, 'ann')
  now += 29 * MINUTE
  // a page that refreshes itself is no use
  assert.ok(sessions.find(token, here, false))
  now += 2 * MINUTE
  assert.equal(sessions.find(token, here), undefined)
  assert.equal(sessions.size, 0)
  const second = sessions.begin(ann, here)
  for (let at = 0; at < 12 * 60 - 20; at += 20) {
    now += 20 * MINUTE
    assert.ok(sessions.find(second.token, here))
  }
  now += 20 * MINUTE
  assert.equal(sessions.find(second.token, here), undefined)
})

test('what a session looks at is new once in ten minutes, and where it looks at too much, each time', () => {
  let now = 0
  const sessions = new PageSessions(() => now)
  const looks = new Looks(() => now)
  const [first, second] = [sessions.begin(ann, here).session, sessions.begin(ann, here).session]
  const asked = (): readonly boolean[] => [looks.isNew(first, 'mailq'), looks.isNew(second, 'mailq')]
  assert.deepEqual(asked(), [true, true])
  now += 9 * MINUTE
  assert.deepEqual(asked(), [false, false])
  now += MINUTE
  assert.deepEqual(asked(), [true, true])
  for (let n = 0; n < 64; n++) assert.ok(looks.isNew(first, `tls why ${n}`))
  assert.deepEqual(asked(), [true, false])
})

test('a session is good in its place, with its certificate, and until it is ended', () => {
  const sessions = new PageSessions(() => 0)
  const { token, session } = sessions.begin(ann, { place: ':1', certificate: 'aa' })
  assert.equal(sessions.find(token, { place: ':2', certificate: 'aa' }), undefined)
  assert.equal(sessions.find(token, { place: ':1', certificate: 'bb' }), undefined)
  assert.equal(sessions.find(`${token}x`, { place: ':1', certificate: 'aa' }), undefined)
  assert.ok(sessions.find(token, { place: ':1', certificate: 'aa' }))
  assert.match(token, /^[\w-]{43}$/)
  assert.notEqual(session.csrf, token)
  sessions.endAll(':2')
  assert.equal(sessions.size, 1)
  sessions.end(token)
  assert.equal(sessions.size, 0)
  assert.ok(sameSecret('a', 'a') && !sameSecret('a', 'b') && !sameSecret('', 'a'))
})

test('nobody fills the memory with sessions: a user’s oldest goes first', () => {
  const sessions = new PageSessions(() => 0)
  const first = sessions.begin(ann, here)
  const other = sessions.begin({ name: 'bob', known: 'password', stamp: 's' }, here)
  for (let count = 0; count < 20; count++) sessions.begin(ann, here)
  assert.equal(sessions.find(first.token, here), undefined)
  assert.ok(sessions.find(other.token, here))
  for (let count = 0; count < 600; count++)
    sessions.begin({ name: `u${count}`, known: 'password', stamp: 's' }, here)
  assert.equal(sessions.size, 500)
})

const table: TableAnswer = {
  kind: 'table',
  columns: [
    { key: 'name', head: 'Name' },
    { key: 'size', head: 'Size' },
  ],
  rows: [
    { name: 'b', size: 10 },
    { name: 'A', size: 9 },
    { name: 'c', size: undefined },
    { name: '__proto__', size: 100 },
  ],
  empty: 'Nothing.',
}
const names = (query: string) =>
  rowsPage(table, rowsQuery(new URLSearchParams(query))).rows.map(({ name }) => name)

test('rows are found in any case, sorted as numbers or text with the silent ones last, and cut into pages', () => {
  assert.deepEqual(names(''), ['b', 'A', 'c', '__proto__'])
  assert.deepEqual(names('find=a'), ['A'])
  assert.deepEqual(names('only=size:9'), ['A'])
  assert.deepEqual(names('sort=size'), ['A', 'b', '__proto__', 'c'])
  assert.deepEqual(names('sort=size&order=down'), ['__proto__', 'b', 'A', 'c'])
  assert.deepEqual(names('size=2&page=1'), ['c', '__proto__'])
  assert.deepEqual(names('size=2&page=99'), ['c', '__proto__'])
  assert.deepEqual(names('size=0&page=-1&sort=constructor'), ['b'])
  assert.equal(
    rowsPage(table, rowsQuery(new URLSearchParams('find=zz'))).empty,
    'There is nothing like this.',
  )
})

test('a table of ten thousand rows is found, sorted and cut in little time', () => {
  const rows = Array.from({ length: 10_000 }, (_, at) => ({
    name: `client ${at}`,
    size: (at * 7919) % 10_000,
  }))
  const began = process.cpuUsage()
  const page = rowsPage({ ...table, rows }, rowsQuery(new URLSearchParams('find=client&sort=size')))
  const { user } = process.cpuUsage(began)
  assert.deepEqual([page.found, page.pages, page.rows[1]?.['size']], [10_000, 200, 1])
  assert.ok(user < 500_000, `${user} µs`)
})

test('in JSON of the page what could deceive is written out', () => {
  const { body } = json({ a: ['\u202egnp.exe', 'x\u0000\u001b[2J\n', 'bücher'] })
  assert.deepEqual(JSON.parse(String(body)), { a: ['\\u{202e}gnp.exe', 'x\\x00\\x1b[2J\\n', 'bücher'] })
})

test('a cookie over TLS is Secure, and one that ends has no value', () => {
  assert.equal(cookieLine('a', 'b', true), 'a=b; Path=/; HttpOnly; SameSite=Strict; Secure')
  assert.match(cookieLine('a', undefined, false), /^a=; .*Max-Age=0$/)
})

test('names of queues are one word each', () => {
  assert.deepEqual(queueOf({ binding: 'default/default', domain: 'bücher.example' }), [
    'default/default',
    'bücher.example',
  ])
  for (const domain of ['all', '-x', 'a b', '', 'a\u202e'])
    assert.throws(() => queueOf({ binding: 'a/b', domain }))
})

test('the page’s files ask nobody else for anything and make no markup of text', () => {
  const assets = readAssets()
  assert.ok(assets.has('') && assets.has('app.js') && assets.has('page.css'))
  for (const [name, { body }] of assets) {
    const text = body.toString('utf8').replaceAll('http://www.w3.org/2000/svg', '')
    assert.doesNotMatch(text, /https?:\/\/|url\(|@import "/, name)
    assert.doesNotMatch(
      text,
      /innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|\bFunction\(|style="|onclick="/,
      name,
    )
  }
})
