import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { chmodSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, before, describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { noPostgres, TestPostgres } from '../../../test/support/postgres.ts'
import { loadSettingsFromText } from '../../config/load.ts'
import type { DatasourceSettings } from '../../config/settings.ts'
import { Datasource, Datasources } from './datasource.ts'
import { DatasourceBusyError, DatasourceError } from './driver.ts'
import { bind } from './statement.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'postern-ds-'))
const opened: Datasource[] = []
after(async () => {
  await Promise.all(opened.map((each) => each.close()))
  rmSync(folder, { recursive: true, force: true })
})

async function settingsOf(text: string): Promise<DatasourceSettings> {
  const { settings, diagnostics } = await loadSettingsFromText(`datasource "ds" { ${text} }`, 'gate.conf')
  const [first] = settings?.datasources ?? []
  assert.ok(first !== undefined, JSON.stringify(diagnostics))
  return first
}

async function open(text: string, now?: () => number): Promise<Datasource> {
  const datasource = new Datasource(await settingsOf(text), now)
  opened.push(datasource)
  return datasource
}

function makeSqlite(name: string, sql: string): string {
  const file = path.join(folder, name)
  const database = new DatabaseSync(file)
  database.exec(sql)
  database.close()
  chmodSync(file, 0o600)
  return file
}

const USERS = `
  CREATE TABLE users (name TEXT, password TEXT, n BIGINT, ok BOOLEAN);
  INSERT INTO users VALUES ('ann', 'one two', 1, true), ('bob', 't:wo', 9007199254740993, false), ('jürgen', NULL, 3, true);
`
/** takes its time */
const SLOW =
  'WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 100000000) SELECT count(*) FROM c'

let server: TestPostgres | undefined
before(async () => {
  if (noPostgres === false) server = await TestPostgres.start(USERS)
})
after(() => server?.stop())

interface Kind {
  readonly name: string
  readonly skip: string | false
  readonly uri: () => string
  readonly unreachable: string
  readonly slow: string
  readonly run: (sql: string) => void
}

const kinds: readonly Kind[] = [
  {
    name: 'SQLite',
    skip: false,
    uri: () => `sqlite:${path.join(folder, 'users.db')}`,
    unreachable: `sqlite:${path.join(folder, 'none.db')}`,
    slow: SLOW,
    run: (sql) => {
      const database = new DatabaseSync(path.join(folder, 'users.db'))
      database.exec(sql)
      database.close()
    },
  },
  {
    name: 'PostgreSQL',
    skip: noPostgres,
    uri: () => server?.uri ?? '',
    unreachable: `pgsql:host=${folder};user=gate`,
    slow: 'SELECT pg_sleep(60)',
    run: (sql) => server?.run(sql),
  },
]

before(() => makeSqlite('users.db', USERS))

for (const { name, skip, uri, unreachable, slow, run } of kinds) {
  describe(name, { skip }, () => {
    test('rows, columns and the types of values; the same name twice is one placeholder', async () => {
      const datasource = await open(`uri = ( "${uri()}" )`)
      const sql =
        'SELECT name, password, n, n = 3 AS three FROM users WHERE name = :user OR name = :user ORDER BY n'
      const ann = await datasource.query(sql, { user: 'ann' })
      assert.deepEqual(ann.columns, ['name', 'password', 'n', 'three'])
      assert.deepEqual(
        ann.rows.map((row) => row.slice(0, 3)),
        [['ann', 'one two', 1]],
      )
      const [row] = (await datasource.query(sql, { user: 'jürgen' })).rows
      assert.equal(row?.[1], null)
      assert.equal(Number(row?.[3]), 1)
      const [bob] = (await datasource.query(sql, { user: 'bob' })).rows
      assert.equal(bob?.[2], '9007199254740993')
      assert.deepEqual((await datasource.query(sql, { user: 'nobody' })).rows, [])
    })

    test('values are values, whatever is in them, and a query is one statement', async () => {
      const datasource = await open(`uri = ( "${uri()}" )`)
      const sql = "SELECT ':user' AS text, name FROM users WHERE name = $user -- :none"
      for (const user of [
        "' OR 1=1 --",
        "ann'; DROP TABLE users; --",
        '"ann"',
        '$1',
        ':user',
        '%',
        'ann\\',
      ]) {
        assert.deepEqual((await datasource.query(sql, { user })).rows, [], user)
      }
      assert.deepEqual((await datasource.query(sql, { user: 'ann' })).rows, [[':user', 'ann']])
      await datasource.query('SELECT 1; DELETE FROM users', {}).catch(() => undefined)
      assert.equal((await datasource.query('SELECT name FROM users', {}, { fresh: true })).rows.length, 3)
      await assert.rejects(datasource.query('SELECT :user', {}), /:user has no value/)
    })

    test('a list of values goes to the question marks', async () => {
      const datasource = await open(`uri = ( "${uri()}" ) max_rows = 2`)
      const { rows } = await datasource.query(
        'SELECT name FROM users WHERE n > ? AND name <> ? ORDER BY name',
        [0, 'bob'],
      )
      assert.deepEqual(rows, [['ann'], ['jürgen']])
      assert.equal((await datasource.query('SELECT name FROM users', [])).rows.length, 2)
    })

    test('results are kept for their time, errors never, and what must be fresh is asked for', async () => {
      let now = 0
      const datasource = await open(`uri = ( "${uri()}" ) cache_life = 10`, () => now)
      const count = async (fresh = false): Promise<unknown> => {
        const { rows, cached } = await datasource.query('SELECT n FROM changing', {}, { fresh })
        return [rows[0]?.[0], cached]
      }
      await assert.rejects(count(), DatasourceError)
      run('CREATE TABLE changing (n BIGINT); INSERT INTO changing VALUES (1)')
      assert.deepEqual(await count(), [1, false])
      run('UPDATE changing SET n = 2')
      now = 9999
      assert.deepEqual(await count(), [1, true])
      assert.deepEqual(await count(true), [2, false])
      assert.deepEqual(await count(), [2, true])
      run('UPDATE changing SET n = 3')
      now = 20_000
      assert.deepEqual(await count(), [3, false])
      const uncached = await open(`uri = ( "${uri()}" ) no_cache = true`)
      for (let n = 0; n < 2; n++) {
        assert.equal((await uncached.query('SELECT n FROM changing', {})).cached, false)
      }
    })

    test('a query that takes too long is stopped, and the next one has its place', async () => {
      const datasource = await open(`uri = ( "${uri()}" ) query_timeout = 1 max_connections = 1`)
      const began = performance.now()
      await assert.rejects(
        datasource.query(slow, {}),
        /datasource "ds": .*(?:no answer within 1 s|statement timeout)/,
      )
      assert.ok(performance.now() - began < 8000)
      assert.equal((await datasource.query('SELECT 1 AS n', {})).rows[0]?.[0], 1)
      const gone = new AbortController()
      const leaving = datasource.query(slow, {}, { signal: gone.signal })
      gone.abort()
      await assert.rejects(leaving, DatasourceError)
      assert.equal((await datasource.query('SELECT 2 AS n', {})).rows[0]?.[0], 2)
    })

    test('one that cannot be reached is passed over; when all are, it says which', async () => {
      const some = await open(`uri = ( "${unreachable}" "${uri()}" ) no_cache = true`)
      for (let n = 0; n < 4; n++) assert.equal((await some.query('SELECT 1 AS n', {})).rows.length, 1)
      const none = await open(`uri = ( "${unreachable}" )`)
      await assert.rejects(none.query('SELECT 1', {}), /datasource "ds": cannot (?:open|connect to) .*ENOENT/)
    })

    test('what changes something is executed, and asked for it is not', async () => {
      const datasource = await open(`uri = ( "${uri()}" )`)
      run('CREATE TABLE notes (text TEXT)')
      await datasource.execute('INSERT INTO notes VALUES (:text)', { text: 'x' })
      assert.deepEqual((await datasource.query('SELECT text FROM notes', {})).rows, [['x']])
      if (name === 'SQLite') {
        await assert.rejects(datasource.query('INSERT INTO notes VALUES (1)', {}), DatasourceError)
      }
    })

    test('many at once share few connections, and too many are told', async () => {
      const datasource = await open(`uri = ( "${uri()}" ) max_connections = 2 no_cache = true`)
      const all = Array.from({ length: 1000 }, (_, n) => datasource.query('SELECT :n AS n', { n: String(n) }))
      await assert.rejects(datasource.query('SELECT 1', {}), DatasourceBusyError)
      const answers = await Promise.all(all)
      assert.deepEqual(
        answers.map(({ rows }) => Number(rows[0]?.[0])),
        all.map((_, n) => n),
      )
    })

    test('no message holds a value', async () => {
      const datasource = await open(`uri = ( "${uri()}" )`)
      const sql = name === 'SQLite' ? "SELECT json_extract('{}', :p)" : 'SELECT CAST(:p AS INTEGER)'
      await assert.rejects(datasource.query(sql, { p: 'secret{' }), (error: Error) => {
        return error instanceof DatasourceError && !error.message.includes('secret')
      })
    })
  })
}

test('a program that waits for nothing but an answer gets it, and ends', { timeout: 20_000 }, async () => {
  const module = new URL('datasource.ts', import.meta.url).href
  const file = makeSqlite('alone.db', 'CREATE TABLE t (a)')
  const program = `
    import { Datasource } from '${module}'
    const settings = { name: 'x', uri: [{ kind: 'sqlite', file: { path: '${file}' } }], no_cache: true, query_timeout: 5 }
    const datasource = new Datasource(settings)
    await datasource.query('SELECT a FROM t', {})
    console.log((await datasource.query('SELECT count(*) FROM t', {})).rows[0][0])`
  const run = promisify(execFile)
  const { stdout } = await run(process.execPath, ['--input-type=module', '-e', program])
  assert.equal(stdout, '0\n')
})

describe('SQLite files', () => {
  test('another file in its place is the database from then on; one that is not there is never made', async () => {
    const file = makeSqlite('moved.db', "CREATE TABLE t (a); INSERT INTO t VALUES ('old')")
    const datasource = await open(`uri = ( "sqlite:${file}" ) no_cache = true`)
    assert.deepEqual((await datasource.query('SELECT a FROM t', {})).rows, [['old']])
    renameSync(makeSqlite('moved.new', "CREATE TABLE t (a); INSERT INTO t VALUES ('new')"), file)
    assert.deepEqual((await datasource.query('SELECT a FROM t', {})).rows, [['new']])
    rmSync(file)
    await assert.rejects(datasource.query('SELECT a FROM t', {}), /ENOENT/)
    await assert.rejects(datasource.execute('CREATE TABLE u (a)', {}), /ENOENT/)
  })

  test('a column is found by its name also where the table was made anew in between', async () => {
    const file = makeSqlite('anew.db', "CREATE TABLE m (role, note); INSERT INTO m VALUES ('watch', 'root')")
    const ds = await open(`uri = ( "sqlite:${file}" ) no_cache = true`)
    const role = async (): Promise<unknown> => {
      const { columns, rows } = await ds.query('SELECT * FROM m', {})
      return rows[0]?.[columns.indexOf('role')]
    }
    assert.equal(await role(), 'watch')
    const database = new DatabaseSync(file)
    database.exec("DROP TABLE m; CREATE TABLE m (x, note, role); INSERT INTO m VALUES (1, 'root', 'watch')")
    database.close()
    assert.equal(await role(), 'watch')
  })

  test('a lock is waited for, not longer than a query may take, and nobody else waits', async () => {
    const file = makeSqlite('locked.db', 'CREATE TABLE t (a)')
    const datasource = await open(`uri = ( "sqlite:${file}" ) query_timeout = 1`)
    const holder = new DatabaseSync(file)
    holder.exec('BEGIN EXCLUSIVE')
    let ticks = 0
    const ticking = setInterval(() => (ticks += 1), 20)
    await assert.rejects(datasource.query('SELECT a FROM t', {}), /locked|no answer within/)
    clearInterval(ticking)
    assert.ok(ticks > 10, `${ticks} ticks`)
    holder.exec('COMMIT')
    holder.close()
    // its process is another one by now, which may take longer to come than a query may
    for (let tries = 0; ; tries += 1) {
      try {
        assert.deepEqual((await datasource.query('SELECT a FROM t', {})).rows, [])
        break
      } catch (error) {
        if (tries === 10 || !(error instanceof Error) || !error.message.includes('no answer within'))
          throw error
      }
    }
  })

  test('what is wrong with a file or a query is seen without asking', async () => {
    const file = makeSqlite('looked.db', 'CREATE TABLE users (name)')
    const datasource = await open(`uri = ( "sqlite:${file}" )`)
    assert.deepEqual(await datasource.examine('SELECT name FROM users WHERE name = :user'), [])
    const say = async (sql: string): Promise<string> =>
      (await datasource.examine(sql))
        .map(({ severity, text }) => `${severity}: ${text.replaceAll(folder, 'F')}`)
        .join()
    assert.equal(await say('SELECT x FROM users'), 'error: datasource "ds": F/looked.db: no such column: x')
    assert.match(await say('SELEC 1'), /^error: .*syntax error/)
    chmodSync(file, 0o644)
    assert.match(await say('SELECT 1'), /^warning: .*every user of this machine/)
    const other = path.join(folder, 'other.db')
    writeFileSync(other, 'This is no database, however long it is. '.repeat(20), { mode: 0o600 })
    const [finding] = await (await open(`uri = ( "sqlite:${other}" )`)).examine('SELECT 1 FROM t')
    assert.deepEqual(finding, {
      severity: 'warning',
      text: `datasource "ds": ${other}: file is not a database`,
    })
    rmSync(file)
    assert.match(await say('SELECT 1'), /^warning: .*looked.db: ENOENT/)
  })
})

test('PostgreSQL that goes away is told, and is used again when it is back', {
  skip: noPostgres,
}, async () => {
  assert.ok(server)
  const datasource = await open(`uri = ( "${server.uri}" ) no_cache = true`)
  const ask = (): Promise<unknown> => datasource.query('SELECT 1 AS n', {})
  await ask()
  const slow = datasource.query('SELECT pg_sleep(8)', {})
  await Promise.all([assert.rejects(slow, DatasourceError), delay(200).then(() => server?.down())])
  await assert.rejects(ask(), /cannot connect to database "postgres" at/)
  await server.up()
  await ask()
  const wrong = await open(`uri = ( "${server.uri}x" )`)
  await assert.rejects(wrong.query('SELECT 1', {}), (error: Error) => {
    return /authentication failed/.test(error.message) && !error.message.includes('of the database')
  })
})

test('a datasource is found by its name, and one of another kind says so', async () => {
  const text = 'datasource "a" { uri = ( "sqlite:x" ) } datasource "b" { uri = ( "ldap://x" ) }'
  const { settings } = await loadSettingsFromText(text, 'gate.conf')
  const all = new Datasources(settings?.datasources ?? [])
  assert.equal(all.open('a'), all.open('a'))
  assert.throws(() => all.open('b'), /"b": ldap: is recognised, not implemented/)
  assert.throws(() => all.open('c'), /no datasource "c"/)
  await all.close()
})

test('placeholders are found where SQL has them', () => {
  const parameters = { a: 1, b: 2 }
  const cases: readonly (readonly [string, string])[] = [
    ['SELECT :a, $b, :a', 'SELECT $1, $2, $1'],
    ["SELECT ':a', 'it''s :a', \":a\", :a", "SELECT ':a', 'it''s :a', \":a\", $1"],
    ["SELECT E'\\':a', :b", "SELECT E'\\':a', $1"],
    ['SELECT 1 -- :a\n, :a /* :b */', 'SELECT 1 -- :a\n, $1 /* :b */'],
    ['SELECT $$ :a $$, $x$ :a $$ $x$, :b', 'SELECT $$ :a $$, $x$ :a $$ $x$, $1'],
    ['SELECT a::text, :a::int, x[1:2], tag$a', 'SELECT a::text, $1::int, x[1:2], tag$a'],
    ['SELECT data ? :a', 'SELECT data ? $1'],
  ]
  for (const [sql, expected] of cases) assert.equal(bind(sql, parameters, '$').text, expected)
  assert.deepEqual(bind('a = ? AND b = ?', ['x', 'y'], '?'), {
    text: 'a = ?1 AND b = ?2',
    values: ['x', 'y'],
  })
  assert.throws(() => bind('? ?', ['x'], '?'), /placeholder 2 has no value/)
  assert.throws(() => bind(':__proto__', {}, '?'), /no value/)
})
