/** `postern check`, as far as no other file tries it: what scripts do that nothing serves, and groups. */

import assert from 'node:assert/strict'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, test } from 'node:test'
import { runCheck } from './check.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'postern-check-'))
after(() => rmSync(folder, { recursive: true, force: true }))

writeFileSync(
  path.join(folder, 'mod.lua'),
  `require("msys.core") require("msys.httpsrv")
local mod = {}
function mod:rsrc_setup()
  msys.httpsrv.register("GET", "/status", function() end)
  msys.httpsrv.register("GET", "/queue/", function() end)
  return true
end
msys.registerModule("mod", mod)
`,
)

/** What it prints to stderr. @param code how it ends */
async function check(http: string, code = 0): Promise<string> {
  const file = path.join(folder, 'gate.conf')
  const script = 'scriptlet "scriptlet" { script "mod" { source = "mod.lua" } }'
  writeFileSync(file, `${script}\nESMTP_Listener { Listen "127.0.0.1:0" { } }\n${http}\n`)
  const printed: string[] = []
  const io = {
    stdout: { write: () => true },
    stderr: { write: (text: string) => printed.push(text) > 0 },
  } as unknown as Parameters<typeof runCheck>[1]
  assert.equal(await runCheck(file, io), code, printed.join(''))
  return printed.join('')
}

test('endpoints that scripts register and no HTTP_Listener serves are warned about', async () => {
  const warning =
    /warning: scripts register the endpoint \/status and 1 more, and no HTTP_Listener has Script_Endpoints = true/
  assert.match(await check(''), warning)
  assert.match(await check('HTTP_Listener { Listen "127.0.0.1:0" { } }'), warning)
  const off = 'HTTP_Listener { Script_Endpoints = true Listen "127.0.0.1:0" { Enable = false } }'
  assert.match(await check(off), warning)
  const on = 'HTTP_Listener { Listen "127.0.0.1:0" { Script_Endpoints = true } }'
  assert.doesNotMatch(await check(on), /endpoint/)
})

test('roles that nobody can have, and queries for groups that make no sense', async () => {
  const file = path.join(folder, 'users.db')
  const database = new DatabaseSync(file)
  database.exec(`CREATE TABLE users (name, password); CREATE TABLE groups (name);
    INSERT INTO users VALUES ('carol', 'x'); INSERT INTO groups VALUES ('watch'), ('Admin')`)
  database.close()
  chmodSync(file, 0o600)
  writeFileSync(path.join(folder, 'roles'), '# who\nstaff:ann\n')
  const roles = ['watch', 'admin', 'carol', 'staff', 'root', 'nobody-at-all'].map(
    (name) => `Role "${name}" { allow = ( "^pid$" ) }`,
  )
  const user = 'map = [ user = "%{username}" ]'
  const conf = (
    groups: string,
    enumerate = 'EnumGroups { query = "SELECT name FROM groups" cache = "u" }',
  ) => `
    datasource "u" { uri = ( "sqlite:${file}" ) }
    auth_ds { Scheme "db" {
      Authenticate { query = "SELECT password FROM users WHERE name = :user" cache = "u" ${user} returns_password = true }
      QueryGroups { query = "SELECT name FROM ${groups} WHERE :user = ''" cache = "u" ${user} }
      ${enumerate}
    } }
    Authorization { ${roles.join('\n')} }
    Control_Listener "c" {
      Listen "${folder}/a" { AuthPlainParameters = [ uri = "db://" ] AuthorizationParameters = [ uri = "db://" ] }
      Listen "${folder}/b" { AuthorizationParameters = [ uri = "groups://${folder}/roles" ] }
    }`
  const warned = [...(await check(conf('groups'))).matchAll(/warning: Role "([^"]+)" is for nobody/g)]
  // there is a user root on this machine
  assert.deepEqual(
    warned.map(([, name]) => name),
    ['admin', 'nobody-at-all'],
  )
  // nobody says which groups there are
  assert.doesNotMatch(await check(conf('groups', '')), /for nobody/)
  assert.match(await check(conf('group_s'), 1), /error: QueryGroups of Scheme "db": .*no such table: group_s/)
})
