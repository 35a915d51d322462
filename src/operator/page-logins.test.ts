/** Logins of the page: a failure costs time, too many turn an address away, and few wait at once. */

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, test } from 'node:test'
import type { ServerEvent } from '../events/events.ts'
import { QuietAlarms } from '../events/quiet-alarms.ts'
import { CredentialStores } from '../smtp/auth/stores.ts'
import { PageLogins } from './page-logins.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'postern-logins-'))
after(() => rmSync(folder, { recursive: true, force: true }))
writeFileSync(path.join(folder, 'users'), 'ann:secret\n')

const uri = `file://${folder}/users`
const events: ServerEvent[] = []
const stores = new CredentialStores()
const sink = { events: { emit: (event: ServerEvent) => void events.push(event) }, stores: () => stores }
const login = (user: string, password: string, client = '192.0.2.1') => ({ uri, user, password, client })

test('after so many failures a right password is wrong too, until the window is over; other addresses are not concerned', async () => {
  let now = 0
  const logins = new PageLogins(sink, { failures: 3, window: 900, longest: 0 }, () => now)
  assert.equal((await logins.attempt(login('ann', 'secret'))).kind, 'right')
  for (let count = 0; count < 3; count++)
    assert.equal((await logins.attempt(login('ann', 'wrong'))).kind, 'wrong')
  assert.equal((await logins.attempt(login('ann', 'secret'))).kind, 'wrong')
  assert.equal((await logins.attempt(login('ann', 'secret', '192.0.2.2'))).kind, 'right')
  now += 901_000
  assert.equal((await logins.attempt(login('ann', 'secret'))).kind, 'right')
})

test('an address that guesses has few attempts under way, and leaves room for others', async () => {
  const logins = new PageLogins(sink, { longest: 0.05, perAddress: 2 })
  const outcomes = await Promise.all([
    ...[1, 2, 3, 4].map(() => logins.attempt(login('ann', 'wrong'))),
    logins.attempt(login('ann', 'secret', '192.0.2.2')),
    logins.attempt(login('ann', 'secret', '192.0.2.3')),
  ])
  assert.deepEqual(
    outcomes.map(({ kind }) => kind),
    ['wrong', 'wrong', 'busy', 'busy', 'right', 'right'],
  )
})

test('those who wait for the answer to a wrong password take no place from others', async () => {
  const logins = new PageLogins(sink, { longest: 60, perAddress: 2 })
  let answered = false
  const guesses = [1, 2].map(() => logins.attempt(login('ann', 'wrong')))
  const first = Promise.race(guesses).then(() => {
    answered = true
  })
  assert.equal((await logins.attempt(login('ann', 'secret', '192.0.2.2'))).kind, 'right')
  assert.equal(answered, false)
  await first
  await Promise.all(guesses)
})

test('a file of users that is not there lets nobody in, and says so where an operator looks', async () => {
  const logins = new PageLogins(sink)
  const attempt = { ...login('ann', 'secret'), uri: `file://${folder}/none` }
  for (let count = 0; count < 5; count++) assert.equal((await logins.attempt(attempt)).kind, 'busy')
  const told = events.filter((event) => event.kind === 'panic')
  assert.equal(told.length, 1)
  assert.match(told[0]?.text ?? '', /none/)
})

test('alarms that take turns are told once each in a while; too many different ones are told to be left out', () => {
  let now = 1_000_000
  const told: string[] = []
  const alarms = new QuietAlarms({
    events: { emit: (event) => void told.push(event.kind === 'panic' ? event.text : '') },
    module: 'console',
    clock: () => now,
    interval: 10_000,
    most: 3,
  })
  for (let n = 0; n < 6; n++, now += 1000) alarms.tell(n % 2 === 0 ? 'even' : 'odd')
  assert.deepEqual(told.splice(0), ['even', 'odd'])
  for (let n = 0; n < 4; n++) alarms.tell(`another ${n}`)
  assert.deepEqual(told.splice(0), ['another 0', 'there are more alarms of other kinds, which are left out'])
  now += 4000
  for (const text of ['even', 'odd', 'even']) alarms.tell(text)
  assert.deepEqual(told.splice(0), ['even'])
  // the clock is set right
  now -= 3_600_000
  for (const text of ['odd', 'even', 'odd']) alarms.tell(text)
  assert.deepEqual(told, ['odd', 'even'])
})

test('a password that is changed while it is looked at gives a session that is over', async () => {
  let password = 'old'
  const slow = {
    // as long as a hash takes
    verify: () => {
      password = 'new'
      return Promise.resolve(true)
    },
    password: () => Promise.resolve(undefined),
    digest: () => Promise.resolve(undefined),
    stamp: () => Promise.resolve(`stamp of ${password}`),
  }
  const logins = new PageLogins({
    events: sink.events,
    stores: () => ({ open: () => slow, identities: (of) => stores.identities(of) }),
  })
  assert.deepEqual(await logins.attempt(login('ann', 'old')), { kind: 'right', stamp: 'stamp of old' })
  assert.equal(await logins.stamp(login('ann', 'old')), 'stamp of new')
})
