import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, describe, test } from 'node:test'
import { cheapHash } from '../../../test/support/cheap-hash.ts'
import { type StoreUnderTest, storeContract } from '../../../test/support/store-contract.ts'
import { assertSameTime } from '../../../test/support/time.ts'
import { loadSettingsFromText } from '../../config/load.ts'
import { Datasources } from '../../policy/datasource/datasource.ts'
import { noPolicy } from '../../policy/phases.ts'
import { auditAuth } from './audit.ts'
import { HashQueue } from './hash-queue.ts'
import { findSchemes } from './schemes.ts'
import { AuthUnavailableError, type CredentialStore, UnfitPasswordError } from './store.ts'
import { readStored } from './stored-password.ts'
import { CredentialStores } from './stores.ts'
import { userDigest } from './user-digest.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'postern-ds-store-'))
const opened: Datasources[] = []
after(async () => {
  await Promise.all(opened.map((each) => each.close()))
  rmSync(folder, { recursive: true, force: true })
})

const people = { ann: 'one two', bob: 't:wo', jürgen: 'пароль' }
const octets = (text: string): string => Buffer.from(text, 'utf8').toString('latin1')
const hash = (algorithm: string, text: string, salt = ''): Buffer =>
  createHash(algorithm).update(text).update(salt).digest()

type Encode = (password: string, user: string) => string | Promise<string>

let made = 0
function makeDatabase(sql: string): string {
  made += 1
  const file = path.join(folder, `${made}.db`)
  const database = new DatabaseSync(file)
  database.exec(sql)
  database.close()
  chmodSync(file, 0o600)
  return file
}

async function usersWith(encode: Encode): Promise<string> {
  const rows = Object.entries(people).map(
    async ([user, password]) => `('${user}', '${await encode(password, user)}')`,
  )
  const values = (await Promise.all(rows)).join(',')
  return makeDatabase(
    `CREATE TABLE users (name TEXT, password TEXT, kind TEXT); INSERT INTO users (name, password) VALUES ${values}`,
  )
}

interface Made {
  readonly stores: CredentialStores
  readonly audit: () => Promise<string[]>
}

async function configure(file: string, authenticate: string, rest = ''): Promise<Made> {
  const text = `
    datasource "users" { uri = ( "sqlite:${file}" ) ${rest} }
    auth_ds { Scheme "db" { Authenticate { cache = "users" ${authenticate} } } }
    ESMTP_Listener {
      SMTP_Extensions = ( "AUTH PLAIN" "AUTH CRAM-MD5" "AUTH DIGEST-MD5" ) Allow_Plaintext_Auth = true
      AuthPlainParameters = [ uri = "db://" ] AuthCramMD5Parameters = [ uri = "db://" ] AuthDigestMD5Parameters = [ uri = "db://" ]
      Listen ":25" { }
    }`
  const { settings, diagnostics } = await loadSettingsFromText(text, 'gate.conf')
  assert.ok(settings !== undefined, JSON.stringify(diagnostics))
  const datasources = new Datasources(settings.datasources)
  opened.push(datasources)
  const { schemes } = findSchemes({ settings, datasources, policy: noPolicy, hashes: new HashQueue() })
  const stores = new CredentialStores({ schemes })
  return {
    stores,
    audit: async () =>
      (await auditAuth(settings, stores)).map(({ severity, message }) =>
        `${severity}: ${message.replaceAll(folder, 'FOLDER')}`.replace(/\/\d+\.db/, '/N.db'),
      ),
  }
}

async function storeOf(file: string, authenticate: string, rest = ''): Promise<CredentialStore> {
  return (await configure(file, authenticate, rest)).stores.open('db://')
}

const RETURNS = `query = "SELECT password, kind FROM users WHERE name = :user" map = [ user = "%{username}" ] returns_password = true`

const encodings: readonly (readonly [string, Encode, { clear: boolean; digest: boolean }])[] = [
  ['', (password) => password, { clear: true, digest: true }],
  ['type = "clear"', (password) => password, { clear: true, digest: true }],
  ['type = "md5"', (password) => hash('md5', password).toString('hex'), { clear: false, digest: false }],
  ['type = "md5"', (password) => hash('md5', password).toString('base64'), { clear: false, digest: false }],
  [
    'type = "sha1_hex"',
    (password) => hash('sha1', password).toString('hex').toUpperCase(),
    { clear: false, digest: false },
  ],
  [
    'type = "ssha1"',
    (password, user) => Buffer.concat([hash('sha1', password, user), Buffer.from(user)]).toString('base64'),
    { clear: false, digest: false },
  ],
  [
    'type = "rfc2307"',
    (password, user) =>
      `{SMD5}${Buffer.concat([hash('md5', password, user), Buffer.from(user)]).toString('base64')}`,
    { clear: false, digest: false },
  ],
  [
    'type = "phc"',
    (password, user) => cheapHash(user === 'bob' ? 'scrypt' : 'argon2id', octets(password)),
    { clear: false, digest: false },
  ],
]
for (const [options, encode, can] of encodings) {
  const make = async (): Promise<StoreUnderTest> => ({
    store: await storeOf(await usersWith(encode), `${RETURNS} ${options}`),
    broken: await storeOf(path.join(folder, 'none.db'), `${RETURNS} ${options}`),
    can,
  })
  let under: Promise<StoreUnderTest> | undefined
  storeContract(`auth_ds over SQLite with ${options || 'no type'}`, () => (under ??= make()))
}

const says = (store: CredentialStore, user: string, password: string): Promise<boolean> =>
  store.verify({ user, password, client: '192.0.2.1' })

describe('a query that judges the password itself', () => {
  const judging = `query = "SELECT %s FROM users WHERE name = :user AND password = $pass" map = [ user = "%{username}" pass = "%{password}" ]`

  test('lets in where the first column of the first row is not zero', async () => {
    const values = [
      ['1', true],
      ["'1'", true],
      ['-0.5', true],
      ['0', false],
      ["'0'", false],
      ["''", false],
      ['NULL', false],
      ["'yes'", false],
      ["x'01'", false],
    ] as const
    const rows = values.map(([value], index) => `('user${index}', 'one two', ${value})`)
    // a column without a type keeps each value as it is
    const file = makeDatabase(
      `CREATE TABLE users (name, password, verdict); INSERT INTO users VALUES ${rows.join()}`,
    )
    const store = await storeOf(file, judging.replace('%s', 'verdict'))
    for (const [index, [value, expected]] of values.entries()) {
      assert.equal(await says(store, `user${index}`, 'one two'), expected, value)
      assert.equal(await says(store, `user${index}`, 'wrong'), false, value)
    }
    assert.equal(await says(store, "user0' --", 'x'), false)
  })

  test('is of no use where the password itself is needed', async () => {
    const store = await storeOf(await usersWith((password) => password), judging.replace('%s', '1'))
    await assert.rejects(store.password('ann', 'c'), /does not return passwords/)
    await assert.rejects(store.digest('ann', 'r', 'c'), AuthUnavailableError)
  })
})

test('macros: the parts of the name, a default, the realm, the uri', async () => {
  const file = makeDatabase(
    "CREATE TABLE log (text TEXT); INSERT INTO log VALUES ('ann|example.com|ann@x|none|db://'), ('ann|x|ann@x|none|db://')",
  )
  const store = await storeOf(
    file,
    `query = "SELECT 1 FROM log WHERE text = :all AND :p <> ''"
     map = [ all = "%{username_localpart}|%{username_domain||example.com}|ann@x|%{realm||none}|%{uri}" p = "%{password}" ]`,
  )
  assert.equal(await says(store, 'ann', 'x'), true)
  assert.equal(await says(store, 'ann@x', 'x'), true)
  assert.equal(await says(store, 'ann@y', 'x'), false)
})

describe('types by row', () => {
  const types = `${RETURNS} password_column = "PASSWORD" type_column = "kind" type_map = [ C = clear H = sha1_hex U = ucrypt D = digest-md5 ]`
  const file =
    makeDatabase(`CREATE TABLE users (name TEXT, password TEXT, kind TEXT); INSERT INTO users VALUES
    ('clear', 'secret', 'C'), ('sha', '${hash('sha1', 'secret').toString('hex')}', 'H'), ('crypt', 'aaSomething', 'U'),
    ('other', 'secret', 'X'), ('null', NULL, 'C'), ('hash', '$6$salt$x', 'C'), ('ssha', '{SSHA}xxxx', 'C'),
    ('digest', '${userDigest('digest', 'r', 'secret')}', 'D'), ('empty', '', 'C')`)

  test('each is compared as it is kept, and nobody with one that is not known', async () => {
    const store = await storeOf(file, types)
    for (const user of ['clear', 'sha']) {
      assert.equal(await says(store, user, 'secret'), true, user)
      assert.equal(await says(store, user, 'Secret'), false, user)
    }
    assert.equal(await says(store, 'null', ''), false)
    for (const [user, password] of [
      ['crypt', 'aaSomething'],
      ['other', 'secret'],
      ['hash', '$6$salt$x'],
      ['ssha', '{SSHA}xxxx'],
      ['digest', 'secret'],
      ['empty', ''],
    ] as const) {
      await assert.rejects(says(store, user, password), UnfitPasswordError, user)
    }
    assert.equal(await store.digest('digest', 'r', 'c'), userDigest('digest', 'r', 'secret'))
    assert.equal(await store.digest('clear', 'r', 'c'), userDigest('clear', 'r', 'secret'))
    await assert.rejects(store.digest('sha', 'r', 'c'), UnfitPasswordError)
  })

  test('who asks for challenge and response waits among those of its own address, too', async () => {
    const store = await storeOf(await usersWith((password) => password), RETURNS)
    const flood = Array.from({ length: 100 }, (_, n) => store.password(`user${n}`, 'flood'))
    const refused = Promise.allSettled(flood)
    assert.equal(await store.password('nobody', 'other'), undefined)
    assert.equal(await store.digest('nobody', 'r', 'other'), undefined)
    assert.ok((await refused).some(({ status }) => status === 'rejected'))
  })

  test('who has logged in waits neither behind those who try passwords nor behind what another one asks', async () => {
    const store = await storeOf(await usersWith((password) => password), RETURNS)
    const asked = { mechanism: 'PLAIN', realm: '' } as const
    const floods = [
      ...Array.from({ length: 100 }, async () => await store.stamp?.('ann', { ...asked, client: 'flood' })),
      ...Array.from({ length: 100 }, async () => await store.stamp?.('ann', asked)),
    ]
    const refused = Promise.allSettled(floods)
    assert.match((await store.stamp?.('bob', asked)) ?? '', /^[0-9a-f]{64}$/)
    assert.ok((await refused).some(({ status }) => status === 'rejected'))
  })

  test('a column that is not there is nobody’s fault who logs in', async () => {
    const store = await storeOf(file, `${RETURNS} password_column = "pasword"`)
    await assert.rejects(says(store, 'clear', 'secret'), /the query returns no column "pasword"/)
  })
})

test('what is read of encodings that others made, and nothing that only looks like one', () => {
  // OpenLDAP's administrator's guide, and slappasswd
  assert.equal(readStored('rfc2307', '{SSHA}DkMTwBl+a/3DQTxCYEApdUtNXGgdUac3').kind, 'digest')
  assert.equal(readStored('rfc2307', '{CRYPT}aUihad99hmev6').kind, 'unusable')
  assert.equal(readStored('rfc2307', 'plain').kind, 'clear')
  for (const [type, text] of [
    ['md5', 'x'],
    ['md5_hex', 'a'.repeat(40)],
    ['sha1_base64', 'YQ=='],
    ['ssha1', hash('sha1', '').toString('base64')],
    ['phc', 'secret'],
    ['phc', '$2b$12$abc'],
    ['digest-md5', 'zz'],
    ['ucrypt', 'aa'],
    ['hmac_md5', 'aa'],
    ['clear', '{SHA}aa'],
  ] as const) {
    assert.equal(readStored(type, text).kind, 'unusable', `${type} ${text}`)
  }
})

test('a password that was changed counts at once; a success may be one of a while ago', async () => {
  const file = await usersWith((password) => password)
  const store = await storeOf(file, RETURNS)
  const change = (sql: string): void => {
    const database = new DatabaseSync(file)
    database.exec(sql)
    database.close()
  }
  assert.equal(await says(store, 'ann', 'one two'), true)
  assert.equal(await says(store, 'eve', 'new'), false)
  change(
    "UPDATE users SET password = 'changed' WHERE name = 'ann'; INSERT INTO users VALUES ('eve', 'new', NULL)",
  )
  assert.equal(await says(store, 'ann', 'one two'), true, 'from the cache')
  assert.equal(await says(store, 'ann', 'changed'), true)
  assert.equal(await says(store, 'ann', 'one two'), false)
  assert.equal(await says(store, 'eve', 'new'), true)
  const uncached = await storeOf(file, RETURNS, 'no_cache = true')
  change("UPDATE users SET password = 'again' WHERE name = 'ann'")
  assert.equal(await says(uncached, 'ann', 'changed'), false)
})

test('a user who does not exist costs what one with a hash costs', async () => {
  const store = await storeOf(
    await usersWith((password) => cheapHash('scrypt', octets(password), 13)),
    RETURNS,
  )
  assert.equal(await says(store, 'ann', 'one two'), true)
  const refused = (user: string) => async () => assert.equal(await says(store, user, 'wrong'), false)
  const known = await assertSameTime('nobody', refused('ann'), refused('nobody'))
  assert.ok(known > 5, `a hash takes ${known} ms`)
})

describe('what check says of a scheme', () => {
  test('nothing of one that is in order for the mechanism', async () => {
    const { audit } = await configure(await usersWith((password) => password), RETURNS)
    assert.deepEqual(await audit(), [])
  })

  test('types that are not implemented, mechanisms that need more, queries that make no sense, files that are not there', async () => {
    const file = await usersWith((password) => password)
    const hashes = await configure(file, `${RETURNS} type = "sha1_hex"`)
    assert.deepEqual(await hashes.audit(), [
      'error: AuthCramMD5Parameters: auth_ds Scheme "db": CRAM-MD5 needs clear text, and passwords are of type "sha1_hex"',
      'error: AuthDigestMD5Parameters: auth_ds Scheme "db": DIGEST-MD5 needs clear text, and passwords are of type "sha1_hex"',
    ])
    const crypt = await configure(file, `${RETURNS} type = "ucrypt"`)
    assert.match(
      (await crypt.audit())[0] ?? '',
      /error: .*type "ucrypt" is recognised, not implemented: nobody can log in/,
    )
    const some = await configure(file, `${RETURNS} type_column = "kind" type_map = [ U = "ucrypt" ]`)
    assert.match(
      (await some.audit())[0] ?? '',
      /warning: .*users of type "U" \(ucrypt: recognised, not implemented\) cannot log in/,
    )
    const judging = await configure(
      file,
      'query = "SELECT 1 FROM user WHERE name = :u AND p = :p" map = [ u = "%{username}" p = "%{password}" ]',
    )
    assert.deepEqual(await judging.audit(), [
      'error: AuthPlainParameters: auth_ds Scheme "db": datasource "users": FOLDER/N.db: no such table: user',
      'error: AuthCramMD5Parameters: auth_ds Scheme "db": CRAM-MD5 needs the password itself, and the query does not return it',
      'error: AuthCramMD5Parameters: auth_ds Scheme "db": datasource "users": FOLDER/N.db: no such table: user',
      'error: AuthDigestMD5Parameters: auth_ds Scheme "db": DIGEST-MD5 needs the password itself, and the query does not return it',
      'error: AuthDigestMD5Parameters: auth_ds Scheme "db": datasource "users": FOLDER/N.db: no such table: user',
    ])
    const none = await configure(path.join(folder, 'none.db'), RETURNS)
    assert.match((await none.audit())[0] ?? '', /warning: .*FOLDER\/none.db: ENOENT/)
  })

  test('a scheme that nobody has, and one of a driver that is not implemented', async () => {
    const { stores } = await configure(await usersWith((password) => password), RETURNS)
    assert.throws(() => stores.open('dbs://'), /recognised, not implemented: nobody can log in with it/)
    const text = `datasource "d" { uri = ( "ldap://x" ) } auth_ds { Scheme "l" { Authenticate { cache = "d" query = "ldap:///?x" } } }`
    const { settings } = await loadSettingsFromText(text, 'gate.conf')
    assert.ok(settings)
    const datasources = new Datasources(settings.datasources)
    const { schemes } = findSchemes({ settings, datasources, policy: noPolicy, hashes: new HashQueue() })
    assert.throws(
      () => new CredentialStores({ schemes }).open('l://'),
      /ldap: is recognised, not implemented/,
    )
  })
})
