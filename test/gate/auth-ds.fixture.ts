/** A gate whose users are in PostgreSQL, in SQLite and in a script, with logins by nodemailer and by the console. */

import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { after, before } from 'node:test'
import { ConsoleConnection } from '../../src/cli/console/connection.ts'
import type { ConsoleEndpoint } from '../../src/cli/console/endpoint.ts'
import { credentialsFrom } from '../../src/cli/console/login.ts'
import { makeHash } from '../../src/smtp/auth/password-hash.ts'
import { makePki } from '../../src/tls/pki.ts'
import { loginByNodemailer } from '../support/nodemailer-login.ts'
import { noPostgres, TestPostgres } from '../support/postgres.ts'
import { MAILDIR, startTestGate, type TestGate } from '../support/test-gate.ts'

export const folder = mkdtempSync(path.join(tmpdir(), 'postern-auth-ds-'))
export let postgres: TestPostgres | undefined
export let gate: TestGate

/** Where a client comes from says what it meets. */
export const SQLITE = '127.0.72.1'
export const JUDGED = '127.0.72.2'
export const SCRIPT = '127.0.72.3'

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
  database.exec(`CREATE TABLE members (name TEXT, id, role); INSERT INTO users VALUES ('bob', 'clear'), ('Bob', 'clear'), ('root', 'clear');
    INSERT INTO members VALUES ('ann', 1, 'watch'), ('bob', 2, NULL), ('bob', 3, x'726f6f74'), ('bob', 4, x'ff'), ('bob', 5, 7), ('bob', 6, '${'x'.repeat(400)}')`)
  database.close()
  if (noPostgres === false) {
    postgres = await TestPostgres.start(`
      CREATE TABLE users (name TEXT, password TEXT, kind TEXT);
      INSERT INTO users VALUES ('ann', 'one two', 'C'), ('bob', 't:wo', 'C'), ('jürgen', 'пароль', 'C'),
        ('sha', '${createHash('sha1').update('from postgres').digest('hex')}', 'H'),
        ('ANN', 'other', 'C'), (E'x\\' OR 1=1 --', 'x', 'C'), ('many', 'x', 'C'), ('slow', 'x', 'C');
      CREATE TABLE members (name TEXT, role TEXT);
      INSERT INTO members VALUES ('ann', 'watch'), ('ann', 'staff'), ('nobody', 'root');
      INSERT INTO members SELECT 'many', CASE WHEN n = 150 THEN 'root' ELSE 'g' || n END FROM generate_series(1, 150) n;`)
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
    QueryGroups {
      query = "SELECT NULL AS other, role, pg_sleep(CASE WHEN :user = 'slow' THEN 30 ELSE 0 END) FROM members WHERE name = :user OR :user = 'slow'"
      cache = "pg" group_column = "ROLE" map = [ user = "%{username}" ]
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
    QueryGroups { query = "SELECT role FROM members WHERE name = $user ORDER BY id" cache = "lite" map = [ user = "%{username}" ] }
    EnumGroups { query = "SELECT DISTINCT role FROM members" cache = "lite" }
  }
}
Authorization {
  Role "watch" { allow = ( "^summary$" "^trace smtp inbound" ) }
  Role "root" { allow = ( ".*" ) }
}
Control_Listener "c" {
  Listen "FOLDER/pg" { AuthPlainParameters = [ uri = "people://" ] AuthorizationParameters = [ uri = "People://" ] }
  Listen "FOLDER/judged" { AuthPlainParameters = [ uri = "judged://" ] }
  Listen "FOLDER/lite" { AuthPlainParameters = [ uri = "lite://" ] AuthorizationParameters = [ uri = "lite://" ] }
  Listen "127.0.0.1:0" {
    AuthDigestMD5Parameters = [ uri = "people://" realm = "r" ]
    AuthorizationParameters = [ uri = "people://" ]
    Auth_Failure_Limit = 0
  }
}
HTTP_Listener "page" {
  Page = true
  AuthLoginParameters [ uri = "lite://" ]
  AuthorizationParameters [ uri = "lite://" ]
  Listen "127.0.0.1:0" { }
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
export async function login(user: string, pass: string, method: string, from = '127.0.0.1'): Promise<number> {
  const { port } = gate.address()
  return Number((await loginByNodemailer({ port, user, pass, method, from })).slice(0, 3))
}

/** A connection to the console on a UNIX socket, or the TCP one. */
export async function operator(
  socket: 'pg' | 'lite' | 'judged' | 'tcp',
  user: string,
  password: string,
): Promise<ConsoleConnection> {
  const sources = { user, passwordFile: undefined, environment: password, prompt: undefined }
  const file = path.join(gate.folder, socket)
  const port = Number(gate.server.serviceAddresses.console.find((each) => /:\d+$/.test(each))?.split(':')[1])
  const endpoint: ConsoleEndpoint =
    socket === 'tcp'
      ? { kind: 'tcp', host: '127.0.0.1', port, shown: 'tcp', user: undefined, tls: undefined }
      : { kind: 'unix', path: file, shown: socket, user: undefined }
  return await ConsoleConnection.open(endpoint, credentialsFrom(sources))
}

/** What each command of one operator is answered, at most so much of it. */
export async function answers(
  connection: ConsoleConnection,
  ...lines: readonly string[]
): Promise<readonly string[]> {
  const all: string[] = []
  for (const line of lines) {
    const { status, text } = await connection.ask(line)
    all.push(status === 'ok' && line !== 'authz id' ? 'ok' : text.trimEnd())
  }
  return all
}

export const DENIED = 'Not Authorized for this command'
export const UNTOLD = `${DENIED}: your groups cannot be told at the moment`

export function scheme(name: string): string {
  const query = 'query = "SELECT password FROM users WHERE name = :user" map = [ user = "%{username}" ]'
  return `Scheme "${name}" { Authenticate { cache = "${name}" ${query} returns_password = true } }`
}

export function panics(pattern: RegExp): number {
  return gate.events.filter((event) => event.kind === 'panic' && pattern.test(event.text)).length
}
