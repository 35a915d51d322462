/** `ac_auth://`: a script judges each login with the session before its eyes, and has words of its own for failures. */

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { makePki } from '../../src/tls/pki.ts'
import { loginByNodemailer } from '../support/nodemailer-login.ts'
import { startTestGate, type TestGate } from '../support/test-gate.ts'

let gate: TestGate

/** Where a client comes from says how often it may fail. */
const PATIENT = '127.0.73.1'

const SCRIPT = `
local msys = require 'msys'
local mod = {}
function mod:ac_auth_perform_auth(username, password, ac, response)
  if username == 'abstain' then return nil end
  if username == 'broken' then error('no such luck') end
  if username == 'odd' then return true end
  if username == 'error' then return msys.core.EC_AUTH_ERROR end
  if username == 'slow' then msys.sleep(0.3) end
  local mc, vctx
  if ac.protocol == msys.core.P_ESMTP then
    mc = msys.core.accept_construct_get_message_construct(ac)
  end
  if mc then
    vctx = mc.ctx
    vctx:set(msys.core.VCTX_CONN, 'seen', username)
  end
  if username ~= 'Test User' or password ~= 'test2006' then
    if password == 'testx' then
      local res = '531 Get out of town\\r\\n250 welcome'
      response:write(res, #res)
    end
    if password == 'test2' then response:write('235 come in', 11) end
    return msys.core.EC_AUTH_FAIL
  end
  return msys.core.EC_AUTH_OK
end
function mod:ac_auth_log_auth_failure(username, ac, response)
  print('auth failure', username, tostring(response), #response, ac.remote_addr ~= nil)
end
msys.registerModule('test_ac_auth', mod)
`
/** is asked only where the first one does not say */
const SECOND = `
local mod = {}
function mod:ac_auth_perform_auth(username, password)
  if username == 'abstain' and password == 'second' then return msys.core.EC_AUTH_OK end
  if username == 'abstain' then return msys.core.EC_AUTH_FAIL end
end
msys.registerModule('second', mod)
`

before(async () => {
  gate = await startTestGate({
    pki: await makePki(),
    files: { 'first.lua': SCRIPT, 'second.lua': `require('msys.core')\n${SECOND}` },
    conf: `
ac_auth {}
scriptlet "scriptlet" { script "test_ac_auth" { source = "first.lua" } script "second" { source = "second.lua" } }
ESMTP_Listener {
  SMTP_Extensions = ( "STARTTLS" "AUTH LOGIN" "AUTH PLAIN" )
  AuthLoginParameters = [ uri = "ac_auth://" log_authentication = "true" ]
  AuthPlainParameters = [ uri = "ac_auth://" ]
  Auth_Failure_Delay = 0
  Auth_Failure_Limit = 0
  TLS_Certificate = "pki/server.pem"
  TLS_Key = "pki/server.key"
  Listen "127.0.0.1:0" { Peer "${PATIENT}" { Auth_Failure_Limit = 1 } }
}`,
  })
})
after(() => gate.stop())

/** 235, or the reply that nodemailer shows. */
async function login(user: string, pass: string, from = '127.0.0.1', method = 'LOGIN'): Promise<string> {
  return await loginByNodemailer({ port: gate.address().port, user, pass, method, from })
}

function panics(pattern: RegExp): number {
  return gate.events.filter((event) => event.kind === 'panic' && pattern.test(event.text)).length
}

test('a script says who may log in, with PLAIN and LOGIN', async () => {
  for (const method of ['PLAIN', 'LOGIN']) {
    assert.equal(await login('Test User', 'test2006', '127.0.0.1', method), '235')
    assert.match(await login('Test User', 'test2007', '127.0.0.1', method), /^535 5\.7\.8 /)
  }
  assert.ok(
    panics(/auth failure\s+Test User\s+535 5\.7\.8 Authentication credentials invalid\s+\d+\s+true/) >= 1,
  )
})

test('it may answer a failure in its own words, which stay one reply and a refusal', async () => {
  const said = await login('Test User', 'testx')
  assert.match(said, /^531[ -]Get out of town/)
  assert.doesNotMatch(said, /(?:^|\n)250/)
  assert.match(await login('Test User', 'test2'), /^535 5\.7\.8 /)
})

test('the first script that answers decides', async () => {
  assert.equal(await login('abstain', 'second'), '235')
  assert.match(await login('abstain', 'test2006'), /^535 /)
})

test('what goes wrong in a script is 454, and told with its place', async () => {
  for (const user of ['broken', 'odd', 'error']) assert.match(await login(user, 'test2006'), /^454 4\.7\.0 /)
  assert.ok(panics(/ac_auth_perform_auth error: .*first\.lua:6: no such luck/) > 0)
  assert.ok(panics(/ac_auth_perform_auth error: returned/) > 0)
  assert.equal(panics(/test2006/), 0)
})

test('it may wait, and failures count as everywhere', async () => {
  assert.match(await login('slow', 'x', PATIENT), /^535 /)
  assert.match(await login('Test User', 'test2006', PATIENT), /^421 4\.7\.0 /)
  const fifteen = async (user: string): Promise<number> => {
    const began = performance.now()
    const all = await Promise.all(Array.from({ length: 15 }, () => login(user, 'x')))
    assert.ok(all.every((said) => said.startsWith('535')))
    return performance.now() - began
  }
  // one after the other they would wait for four and a half seconds
  const [waiting, not] = [await fifteen('slow'), await fifteen('quick')]
  assert.ok(waiting < 2500 + 2 * not, `${waiting} ms, and ${not} ms without a wait`)
})

function conf(mechanism: string, parameters: string): string {
  return `ESMTP_Listener {
    SMTP_Extensions = ( "AUTH ${mechanism}" ) Allow_Plaintext_Auth = true ${parameters} = [ uri = "ac_auth://" ]
    Listen "127.0.0.1:0" { } }`
}

test('without such a script, and for mechanisms that send no password, it is an error', async () => {
  await assert.rejects(
    startTestGate({ conf: conf('PLAIN', 'AuthPlainParameters') }),
    /ac_auth:\/\/ asks a script, and none has ac_auth_perform_auth/,
  )
  const files = { 'first.lua': SCRIPT }
  const script = 'scriptlet "scriptlet" { script "test_ac_auth" { source = "first.lua" } }\n'
  await assert.rejects(
    startTestGate({ files, conf: script + conf('CRAM-MD5', 'AuthCramMD5Parameters') }),
    /judges passwords and gives none/,
  )
})
