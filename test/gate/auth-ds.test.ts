/**
 * Users in a database, and users that a script knows, with clients that others wrote: nodemailer and Python's smtplib,
 * against a real PostgreSQL and a real SQLite.
 */

import assert from 'node:assert/strict'
import { execFile, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, before, describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { createTransport } from 'nodemailer'
import { loadSettingsFromText } from '../../src/config/load.ts'
import { Datasources } from '../../src/policy/datasource/datasource.ts'
import { noPolicy } from '../../src/policy/phases.ts'
import { HashQueue } from '../../src/smtp/auth/hash-queue.ts'
import { makeHash } from '../../src/smtp/auth/password-hash.ts'
import { findSchemes } from '../../src/smtp/auth/schemes.ts'
import { makePki } from '../../src/tls/pki.ts'
import { noPostgres, TestPostgres } from '../support/postgres.ts'
import { storeContract } from '../support/store-contract.ts'
import { MAILDIR, startTestGate, type TestGate } from '../support/test-gate.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'postern-auth-ds-'))
let postgres: TestPostgres | undefined
let gate: TestGate

/** Where a client comes from says what it meets. */
const SQLITE = '127.0.72.1'
const JUDGED = '127.0.72.2'
const SCRIPT = '127.0.72.3'

/** Answers at once, slowly, wrongly and not at all. */
const SCHEME = `
local auth = {}
function auth:authenticate(file, params, user, password)
  if user == "slow" then msys.sleep(0.3) end
  if user == "broken" then error("no such luck") end
  if user == "odd" then return 99 end
  if user == "loop" then while true do end end
  if user == "unknown" then return msys.core.EC_AUTH_ERROR end
  if file == "staff" and params.log_authentication == "true" and password == "from the script" then
    return msys.core.EC_AUTH_OK
  end
  return msys.core.EC_AUTH_FAIL
end
local mod = {}
function mod:init()
  msys.registerAuth("staff", auth)
  return true
end
msys.registerModule("staff", mod)
`

before(async () => {
  const database = new DatabaseSync(path.join(folder, 'users.db'))
  database.exec('CREATE TABLE users (name TEXT, password TEXT)')
  database.prepare('INSERT INTO users VALUES (?, ?)').run('ann', await makeHash('scrypt', 'from sqlite'))
  database.close()
  if (noPostgres === false) {
    postgres = await TestPostgres.start(`
      CREATE TABLE users (name TEXT, password TEXT, kind TEXT);
      INSERT INTO users VALUES ('ann', 'one two', 'C'), ('bob', 't:wo', 'C'), ('jürgen', 'пароль', 'C'),
        ('sha', '${createHash('sha1').update('from postgres').digest('hex')}', 'H');`)
  }
  gate = await startTestGate({
    pki: await makePki(),
    files: { 'staff.lua': SCHEME },
    conf: `
datasource "pg" { uri = ( "${postgres?.uri ?? 'pgsql:host=/nowhere;user=x'}" ) query_timeout = 2 no_cache = true }
datasource "lite" { uri = ( "sqlite:${folder}/users.db" ) }
auth_ds {
  Scheme "people" {
    Authenticate {
      query = "SELECT password, kind FROM users WHERE name = :user"
      cache = "pg"
      map = [ user = "%{username_localpart}" ]
      returns_password = "true"
      password_column = "password"
      type_column = "kind"
      type_map = [ C = "clear" H = "sha1_hex" ]
    }
  }
  Scheme "judged" {
    Authenticate {
      query = "SELECT name = :user AND password = :pass, pg_sleep(CASE WHEN :user = 'sleepy' THEN 30 ELSE 0 END) FROM users WHERE name = :user OR :user = 'sleepy' LIMIT 1"
      cache = "pg"
      map = [ user = "%{username}" pass = "%{password}" ]
    }
  }
  Scheme "lite" {
    Authenticate {
      query = "SELECT password FROM users WHERE name = :user" cache = "lite" map = [ user = "%{username}" ] returns_password = true
    }
  }
}
scriptlet "scriptlet" { script "staff" { source = "staff.lua" } }
ESMTP_Listener {
  SMTP_Extensions = ( "STARTTLS" "AUTH PLAIN" "AUTH LOGIN" "AUTH CRAM-MD5" )
  AuthPlainParameters = [ uri = "people://" ]
  AuthLoginParameters = [ uri = "people://" ]
  AuthCramMD5Parameters = [ uri = "people://" ]
  Auth_Failure_Delay = 0
  Auth_Failure_Limit = 0
  TLS_Certificate = "pki/server.pem"
  TLS_Key = "pki/server.key"
  Listen "127.0.0.1:0" {
    Peer "${SQLITE}" { SMTP_Extensions = ( "STARTTLS" "AUTH PLAIN" ) AuthPlainParameters = [ uri = "lite://" ] }
    Peer "${JUDGED}" { SMTP_Extensions = ( "STARTTLS" "AUTH PLAIN" ) AuthPlainParameters = [ uri = "judged://" ] }
    Peer "${SCRIPT}" {
      SMTP_Extensions = ( "STARTTLS" "AUTH PLAIN" "AUTH LOGIN" )
      AuthPlainParameters = [ uri = "staff://staff" log_authentication = "true" ]
      AuthLoginParameters = [ uri = "staff://others" log_authentication = "true" ]
    }
  }
}
${MAILDIR}`,
  })
})
after(async () => {
  await gate.stop()
  await postgres?.stop()
  rmSync(folder, { recursive: true, force: true })
})

/** Logs in with nodemailer; 235, or the code of the reply that it was refused with. */
async function login(user: string, pass: string, method: string, from = '127.0.0.1'): Promise<number> {
  const transport = createTransport({
    host: '127.0.0.1',
    port: gate.address().port,
    localAddress: from,
    requireTLS: true,
    tls: { rejectUnauthorized: false },
    authMethod: method,
    auth: { user, pass },
  })
  try {
    await transport.verify()
    return 235
  } catch (error) {
    return (error as { responseCode?: number }).responseCode ?? 0
  } finally {
    transport.close()
  }
}

function scheme(name: string): string {
  const query = 'query = "SELECT password FROM users WHERE name = :user" map = [ user = "%{username}" ]'
  return `Scheme "${name}" { Authenticate { cache = "${name}" ${query} returns_password = true } }`
}

function panics(pattern: RegExp): number {
  return gate.events.filter((event) => event.kind === 'panic' && pattern.test(event.text)).length
}

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
