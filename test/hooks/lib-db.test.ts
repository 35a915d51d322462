/** `msys.db` in scripts, over a real SQLite. */

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, before, test } from 'node:test'
import { loadSettingsFromText } from '../../src/config/load.ts'
import { Datasources } from '../../src/policy/datasource/datasource.ts'
import { prints } from './library.fixture.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'postern-lib-db-'))
let datasources: Datasources
before(async () => {
  const database = new DatabaseSync(path.join(folder, 'x.db'))
  database.exec(`CREATE TABLE names (firstname TEXT, lastname TEXT, age INTEGER, picture BLOB);
    INSERT INTO names VALUES ('Ann', 'Ärmel', 29, x'00ff'), ('Bob', NULL, 31, NULL), ('Cy', 'O''Hara', 12, NULL)`)
  database.close()
  const text = `datasource "mycache" { uri = ( "sqlite:${folder}/x.db" ) query_timeout = 20 }
    datasource "impatient" { uri = ( "sqlite:${folder}/x.db" ) query_timeout = 1 }
    datasource "none" { uri = ( "sqlite:${folder}/none.db" ) } datasource "ldap" { uri = ( "ldap://x" ) }`
  const { settings } = await loadSettingsFromText(text, 'gate.conf')
  datasources = new Datasources(settings?.datasources ?? [])
})
after(async () => {
  await datasources.close()
  rmSync(folder, { recursive: true, force: true })
})

const run = (body: string): Promise<string[]> =>
  prints(`require('msys.db') require('msys.datasource')\n${body}`, { library: { datasources } })

test('query gives rows one by one, as tables by column; NULL is nil, text and octets are Lua text', async () => {
  assert.deepEqual(
    await run(`
      for row in msys.db.query('mycache', 'select * from names where age < ? order by age', {30}) do
        print(row.firstname .. ' ' .. row.age, #row.lastname, row.picture and #row.picture)
      end
      local rows = msys.db.query('mycache', 'select lastname from names where firstname = :name', { name = 'Bob' })
      print(type(rows), rows().lastname, rows(), rows())`),
    ['Cy 12 6 nil', 'Ann 29 6 2', 'function nil nil nil'],
  )
})

test('fetch_row gives the first row, or nil; values are values', async () => {
  assert.deepEqual(
    await run(`
      local fetch = msys.db.fetch_row
      print(fetch('mycache', 'select age from names where lastname = $who', { who = "O'Hara" }).age)
      print(fetch('mycache', 'select age from names where lastname = :who', { who = "x' or 1=1 --" }))
      print(fetch('mycache', 'select :a is null as a, :b as b, :c as c', { b = true, c = 1.5 }).a)
      print(fetch('mycache', 'select count(*) as n from names').n)`),
    ['12', 'nil', '1', '3'],
  )
})

test('execute changes something; nocache asks the database itself', async () => {
  assert.deepEqual(
    await run(`
      local count = function(options) return msys.db.fetch_row('mycache', 'select count(*) as n from notes', nil, options).n end
      print(msys.db.execute('mycache', 'create table notes (text)'))
      print(count())
      print(msys.db.execute('mycache', 'insert into notes values (:text)', { text = 'x' }))
      print(count(), count({ nocache = true }), count())`),
    ['true', '0', 'true', '0 1 1'],
  )
})

test('an error is raised, or returned where raise_error is false', async () => {
  const said = await run(`
    print(pcall(msys.db.query, 'mycache', 'selec 1'))
    print(msys.db.query('mycache', 'selec 1', nil, { raise_error = false }))
    print(msys.db.execute('none', 'select 1', nil, { raise_error = false }))
    print(msys.db.fetch_row('nowhere', 'select 1', nil, { raise_error = false }))
    print(msys.db.fetch_row('ldap', 'select 1', nil, { raise_error = false }))
    print(pcall(msys.db.query, 'mycache', 'select 1', 'x'))
    print(pcall(msys.db.query, 'mycache', 'select ?', { {} }))`)
  const expected = [
    /^false msys\.db\.query: datasource "mycache": .*syntax error/,
    /^nil datasource "mycache": .*syntax error/,
    /^false datasource "none": cannot open .*ENOENT/,
    /^nil there is no datasource "nowhere"/,
    /^nil datasource "ldap": ldap: is recognised, not implemented/,
    /^false .*bad argument #3 to 'msys\.db\.query' \(table expected/,
    /^false .*bad argument #3 .*value 1 is text, a number, a boolean or nil/,
  ]
  assert.equal(said.length, expected.length, said.join('\n'))
  for (const [index, pattern] of expected.entries()) assert.match(said[index] ?? '', pattern)
})

test('a query that takes too long ends, and the script goes on', async () => {
  const slow =
    'with recursive c(x) as (select 1 union all select x + 1 from c where x < 1000000000) select count(*) from c'
  const said = await run(`print(msys.db.fetch_row('impatient', '${slow}', nil, { raise_error = false }))
    print(msys.db.fetch_row('impatient', 'select 1 as n').n)`)
  assert.match(said[0] ?? '', /no answer within 1 s/)
  assert.equal(said[1], '1')
})
