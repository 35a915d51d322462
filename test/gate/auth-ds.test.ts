/**
 * Users in a database, and users that a script knows, with clients that others wrote: nodemailer and Python's smtplib,
 * against a real PostgreSQL and a real SQLite.
 */

import assert from 'node:assert/strict'
import { execFile, spawnSync } from 'node:child_process'
import path from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { createTransport } from 'nodemailer'
import { loadSettingsFromText } from '../../src/config/load.ts'
import { Datasources } from '../../src/policy/datasource/datasource.ts'
import { noPolicy } from '../../src/policy/phases.ts'
import { HashQueue } from '../../src/smtp/auth/hash-queue.ts'
import { makeHash } from '../../src/smtp/auth/password-hash.ts'
import { findSchemes } from '../../src/smtp/auth/schemes.ts'
import { PageClient } from '../support/page-client.ts'
import { noPostgres } from '../support/postgres.ts'
import { storeContract } from '../support/store-contract.ts'
import {
  answers,
  DENIED,
  folder,
  gate,
  JUDGED,
  login,
  operator,
  panics,
  postgres,
  SCRIPT,
  SQLITE,
  scheme,
  UNTOLD,
} from './auth-ds.fixture.ts'

describe('PostgreSQL', { skip: noPostgres }, () => {
  for (const method of ['PLAIN', 'LOGIN', 'CRAM-MD5']) {
    test(`nodemailer logs in with ${method}`, async () => {
      assert.equal(await login('ann', 'one two', method), 235)
      assert.equal(await login('ann@anywhere', 'one two', method), 235)
      assert.equal(await login('jürgen', 'пароль', method), 235)
      assert.equal(await login('ann', 'wrong', method), 535)
      assert.equal(await login("' OR 1=1 --", 'one two', method), 535)
      assert.equal(await login('sha', 'from postgres', method), method === 'CRAM-MD5' ? 535 : 235)
    })
  }

  test('nodemailer sends a message', async () => {
    const transport = createTransport({
      host: '127.0.0.1',
      port: gate.address().port,
      requireTLS: true,
      tls: { rejectUnauthorized: false },
      auth: { user: 'bob', pass: 't:wo' },
    })
    const message = { from: 'bob@client.example', to: 'box@gate.example', subject: 'hello', text: 'text' }
    await transport.sendMail(message)
    transport.close()
    await gate.event('reception', ({ envelope }) => envelope.recipient.local === 'box')
  })

  const python = spawnSync('python3', ['-c', 'import smtplib, ssl']).status === 0
  test('smtplib logs in', { skip: python ? false : 'no python3' }, async () => {
    const script = `
import smtplib, ssl
s = smtplib.SMTP('127.0.0.1', ${gate.address().port}, timeout=15)
s.starttls(context=ssl._create_unverified_context())
s.ehlo()
s.user, s.password = 'bob', 'wrong'
try: s.auth('PLAIN', s.auth_plain)
except smtplib.SMTPAuthenticationError as error: print(error.smtp_code)
print(s.login('bob', 't:wo')[0])
s.quit()`
    const said = await new Promise<string>((resolve) => {
      execFile('python3', ['-c', script], (_error, stdout, stderr) => resolve(stdout + stderr))
    })
    assert.deepEqual(said.trim().split('\n'), ['535', '235'])
  })

  test('the database judges the password itself; one that takes too long is 454, and only for who waits', async () => {
    assert.equal(await login('ann', 'one two', 'PLAIN', JUDGED), 235)
    assert.equal(await login('ann', 'wrong', 'PLAIN', JUDGED), 535)
    assert.equal(await login('nobody', 'wrong', 'PLAIN', JUDGED), 535)
    const [slow, quick] = await Promise.all([
      login('sleepy', 'x', 'PLAIN', JUDGED),
      delay(200)
        .then(() => login('ann', 'one two', 'PLAIN', JUDGED))
        .then((code) => [code, panics(/no answer within 2 s|statement timeout/)]),
    ])
    assert.deepEqual([slow, quick], [454, [235, 0]])
    assert.equal(panics(/datasource "pg": .*(?:no answer within 2 s|statement timeout)/), 1)
  })

  test('a database that is down is 454 and a line of the panic log, and never 535; back again, it counts', async () => {
    await postgres?.down()
    for (const method of ['PLAIN', 'CRAM-MD5']) assert.equal(await login('ann', 'one two', method), 454)
    assert.equal(await login('nobody', 'wrong', 'PLAIN'), 454)
    assert.ok(panics(/datasource "pg": cannot connect to database "postgres"/) >= 3)
    assert.equal(panics(/one two|wrong|of the database/), 0)
    await postgres?.up()
    assert.equal(await login('ann', 'one two', 'PLAIN'), 235)
  })

  test('what an operator may comes from his groups, as they are when he gives a command', async () => {
    for (const socket of ['pg', 'tcp'] as const) {
      const ann = await operator(socket, 'ann', 'one two')
      assert.deepEqual(await answers(ann, 'summary', 'pid'), ['ok', DENIED])
      assert.match(
        (await answers(ann, 'authz id'))[0] ?? '',
        /groups: watch, staff \([Pp]eople:\/\/\)\nroles: watch$/,
      )
      postgres?.run("INSERT INTO members VALUES ('ann', 'root')")
      assert.deepEqual(await answers(ann, 'pid'), ['ok'])
      postgres?.run("DELETE FROM members WHERE name = 'ann' AND role = 'root'")
      assert.deepEqual(await answers(ann, 'pid', 'summary'), [DENIED, 'ok'])
      ann.close()
    }
  })

  test('names are values: no SQL, no other case, and a role that comes too late is none', async () => {
    for (const [user, password] of [
      ['ANN', 'other'],
      ["x' OR 1=1 --", 'x'],
      ['many', 'x'],
    ] as const) {
      const connection = await operator('pg', user, password)
      assert.deepEqual(await answers(connection, 'summary', 'pid'), [DENIED, DENIED], user)
      connection.close()
    }
  })

  test('a database that is slow, dies over a question or is down gives no rights; back again, it counts', async () => {
    const [ann, slow] = [await operator('pg', 'ann', 'one two'), await operator('pg', 'slow', 'x')]
    const [late, meanwhile] = await Promise.all([answers(slow, 'summary'), answers(ann, 'summary')])
    assert.deepEqual([late, meanwhile], [[UNTOLD], ['ok']])
    const dying = answers(slow, 'summary')
    await delay(200)
    await postgres?.down()
    assert.deepEqual(await dying, [UNTOLD])
    // whoever logged in is asked about too
    const closed = 'this login is no longer good: log in again'
    assert.deepEqual(await answers(ann, 'summary'), [closed])
    await postgres?.up()
    const again = await operator('pg', 'ann', 'one two')
    assert.deepEqual(await answers(again, 'summary'), ['ok'])
    assert.ok(panics(/groups of auth_ds Scheme "people": datasource "pg": /) >= 2)
    assert.equal(panics(/one two|of the database|SELECT/), 0)
    for (const each of [slow, again]) each.close()
  })

  test('a login that the database alone can judge has to be repeated after a while', async (t) => {
    const ann = await operator('judged', 'ann', 'one two')
    assert.deepEqual(await answers(ann, 'pid'), ['ok'])
    t.mock.timers.enable({ apis: ['Date'], now: Date.now() + 901_000 })
    assert.deepEqual(await answers(ann, 'pid'), ['this login is no longer good: log in again'])
  })

  test('a trace ends when its group does', async () => {
    const ann = await operator('pg', 'ann', 'one two')
    const stop = new AbortController()
    const began = Promise.withResolvers<undefined>()
    const trace = ann.ask('trace smtp inbound *', {
      onMore: () => began.resolve(undefined),
      stop: stop.signal,
    })
    await login('ann', 'one two', 'PLAIN')
    await began.promise
    postgres?.run("DELETE FROM members WHERE name = 'ann'")
    await delay(1100)
    await login('ann', 'one two', 'PLAIN')
    assert.match((await trace).text, /trace/)
    assert.deepEqual(await answers(ann, 'summary'), [DENIED])
    ann.close()
  })

  storeContract('auth_ds over PostgreSQL', async () => {
    const { settings } = await loadSettingsFromText(
      `datasource "up" { uri = ( "${postgres?.uri}" ) } datasource "down" { uri = ( "pgsql:host=${folder};user=x" ) }
       auth_ds { ${scheme('up')} ${scheme('down')} }`,
      'gate.conf',
    )
    assert.ok(settings)
    const datasources = new Datasources(settings.datasources)
    after(() => datasources.close())
    const { schemes } = findSchemes({ settings, datasources, policy: noPolicy, hashes: new HashQueue() })
    const open = (name: string) => schemes.get(name)?.(`${name}://`, {}) ?? assert.fail()
    return { store: open('up'), broken: open('down'), can: { clear: true, digest: true } }
  })
})

test('SQLite: hashed passwords', async () => {
  assert.equal(await login('ann', 'from sqlite', 'PLAIN', SQLITE), 235)
  assert.equal(await login('ann', 'from sqlit', 'PLAIN', SQLITE), 535)
  assert.equal(await login('nobody', 'from sqlite', 'PLAIN', SQLITE), 535)
})

test('the page lets somebody see and do what his roles let him, as they are now', async () => {
  const database = new DatabaseSync(path.join(folder, 'users.db'))
  const page = new PageClient(gate.server.serviceAddresses.http[0] ?? '')
  assert.equal((await page.login('ann', 'wrong')).status, 401)
  assert.equal((await page.login('ann', 'from sqlite')).status, 200)
  const flush = async (): Promise<number> =>
    (await page.post('act/flush', { binding: 'default/default', domain: 'a.example' })).status
  const seen = async (): Promise<readonly number[]> =>
    await Promise.all(['summary', 'queue'].map(async (name) => (await page.view(name)).status))
  assert.deepEqual([await seen(), await flush()], [[200, 403], 403])
  assert.equal((await page.post('explain', {})).status, 403)
  database.exec("INSERT INTO members VALUES ('ann', 9, 'root')")
  assert.deepEqual(await seen(), [200, 200])
  assert.equal(await flush(), 200)
  database.exec('DELETE FROM members WHERE id = 9')
  assert.deepEqual([await seen(), await flush()], [[200, 403], 403])
  database.exec("UPDATE users SET password = 'clear' WHERE name = 'ann'")
  assert.deepEqual(await seen(), [401, 401])
  assert.equal((await page.login('ann', 'from sqlite')).status, 401)
  assert.equal((await page.login('ann', 'clear')).status, 200)
  const acts = gate.events.filter(
    (event) => event.kind === 'operator' && event.command.startsWith('binding flush'),
  )
  const told = acts.map(
    (event) => event.kind === 'operator' && `${event.act} ${event.user} ${event.good} ${event.role}`,
  )
  assert.deepEqual(told, [
    'command ann false ',
    'command ann true root',
    'end ann true ',
    'command ann false ',
  ])
  database
    .prepare('UPDATE users SET password = ? WHERE name = ?')
    .run(await makeHash('scrypt', 'from sqlite'), 'ann')
  database.close()
})

test('SQLite: an operator is who the database knows now; what it said before counts for nobody', async () => {
  const database = new DatabaseSync(path.join(folder, 'users.db'))
  const [ann, bob] = [await operator('lite', 'ann', 'from sqlite'), await operator('lite', 'bob', 'clear')]
  assert.deepEqual(await answers(ann, 'summary', 'pid'), ['ok', DENIED])
  assert.match((await answers(bob, 'authz id'))[0] ?? '', /groups: root, 7 \(lite:\/\/\)\nroles: root$/)
  // another user, whatever the database thinks of capitals elsewhere; and one with the name of a role
  const [other, root] = [await operator('lite', 'Bob', 'clear'), await operator('lite', 'root', 'clear')]
  assert.deepEqual(await answers(other, 'pid'), [DENIED])
  assert.deepEqual(await answers(root, 'pid'), ['ok'])
  database.exec("UPDATE users SET password = 'new' WHERE name = 'bob'; DELETE FROM users WHERE name = 'ann'")
  const closed = 'this login is no longer good: log in again'
  await assert.rejects(operator('lite', 'bob', 'clear'), /Authentication failed/)
  assert.deepEqual(await answers(bob, 'pid'), [closed])
  assert.deepEqual(await answers(ann, 'summary'), [closed])
  await assert.rejects(operator('lite', 'ann', 'from sqlite'), /Authentication failed/)
  database.exec('DROP TABLE members')
  assert.deepEqual(await answers(root, 'summary'), [UNTOLD])
  assert.match((await answers(root, 'authz id'))[0] ?? '', /groups: nobody can tell at the moment/)
  database.close()
  for (const each of [other, root]) each.close()
})

/** @returns how long twenty of them take at once, in milliseconds */
async function twenty(user: string): Promise<number> {
  const began = performance.now()
  const codes = await Promise.all(Array.from({ length: 20 }, () => login(user, 'x', 'PLAIN', SCRIPT)))
  assert.deepEqual(new Set(codes), new Set([535]))
  return performance.now() - began
}

describe('a scheme of a script', () => {
  test('gets the file, the parameters, the name and the password', async () => {
    assert.equal(await login('ann', 'from the script', 'PLAIN', SCRIPT), 235)
    assert.equal(await login('slow', 'from the script', 'PLAIN', SCRIPT), 235)
    assert.equal(await login('ann', 'wrong', 'PLAIN', SCRIPT), 535)
    assert.equal(await login('ann', 'from the script', 'LOGIN', SCRIPT), 535)
  })

  test('whatever goes wrong in it is 454 and told with its place; others do not notice', async () => {
    for (const user of ['broken', 'odd', 'unknown', 'loop']) {
      assert.equal(await login(user, 'from the script', 'PLAIN', SCRIPT), 454, user)
    }
    assert.ok(panics(/staff authenticate error: .*staff\.lua:5: no such luck/) > 0)
    assert.ok(panics(/staff authenticate error: returned 99/) > 0)
    assert.equal(await login('ann', 'from the script', 'PLAIN', SCRIPT), 235)
    assert.equal(panics(/from the script/), 0)
  })

  test('many that wait do not keep others waiting', async () => {
    // one after the other they would wait for six seconds
    const [waiting, not] = [await twenty('slow'), await twenty('quick')]
    assert.ok(waiting < 3000 + 2 * not, `${waiting} ms, and ${not} ms without a wait`)
  })
})
