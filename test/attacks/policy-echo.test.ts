/** A policy that repeats whatever a client says, everywhere it can: nothing that is repeated starts a line of its own. */

import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { SmtpClient } from '../support/smtp-client.ts'
import { hostileNames, testPki } from '../support/test-ca.ts'
import { MAILDIR, startTestGate, type TestGate } from '../support/test-gate.ts'

const SCRIPT = `
require("msys.core")
require("msys.extended.vctx")
require("msys.extended.message")

local echo = {}
local CONN, MESS = msys.core.VCTX_CONN, msys.core.VCTX_MESS

local function all(vctx)
  return table.concat({ vctx:get(CONN, "tls_client_cert_subject_cn"), vctx:get(CONN, "tls_client_cert_issuer"),
    vctx:get(CONN, "tls_client_cert_san_dns"), vctx:get(CONN, "ehlo_string"), vctx:get(MESS, "mailfrom_string"),
    vctx:get(MESS, "rcptto_localpart") }, "|")
end

function echo:validate_mailfrom(line, ac, vctx)
  if line:find("refuse", 1, true) then vctx:set_code(550, "5.7.1 no " .. line .. all(vctx)) end
  if line:find("error", 1, true) then error(line .. all(vctx)) end
  return msys.core.VALIDATE_CONT
end

function echo:validate_rcptto(msg, line, ac, vctx)
  vctx:set_code(250, "2.1.5 yes " .. all(vctx))
  return msys.core.VALIDATE_CONT
end

function echo:validate_data_spool(msg, ac, vctx)
  local subject = table.concat(msg:header("Subject"), "\\r\\nX-Forged: ")
  print(subject .. all(vctx))
  vctx:set(MESS, "subject", subject)
  vctx:set(CONN, "everything", subject .. all(vctx))
  msg:header("X-Subject", subject)
  msg:header("X-Everything", all(vctx), "prepend")
  vctx:set_code(250, "2.0.0 kept " .. subject .. all(vctx))
  return msys.core.VALIDATE_CONT
end

msys.registerModule("echo", echo)
`

const logs = mkdtempSync(path.join(tmpdir(), 'postern-echo-'))
let gate: TestGate
before(async () => {
  gate = await startTestGate({
    pki: await testPki(),
    files: { 'echo.lua': SCRIPT },
    conf: `
      ESMTP_Listener {
        SMTP_Extensions = ( "XDUMPCONTEXT" )
        TLS_Certificate = "pki/server.pem"
        TLS_Key = "pki/server.key"
        TLS_Client_CA = "pki/ca.pem"
        Listen "127.0.6.1:0" { Use_SSL = true }
      }
      ${MAILDIR}
      scriptlet "scriptlet" { script "echo" { source = "./echo.lua" } }
      ec_logger "l" { mainlog = "${logs}/main.ec" rejectlog = "${logs}/reject.ec" paniclog = "${logs}/panic.ec" }`,
  })
})
after(async () => {
  await gate.stop()
  assertLines('reject.ec', /^\d+: R="127/)
  assertLines('panic.ec', /^\d+:[a-z]+: /)
  assertLines('main.ec', /^\d+@[^@]+@[^@]+@[^@]+@[RD]@/)
  rmSync(logs, { recursive: true })
})

function assertLines(name: string, start: RegExp): void {
  const lines = readFileSync(path.join(logs, name), 'latin1').split('\n').slice(0, -1)
  assert.ok(lines.length > 0, `${name} has lines`)
  for (const line of lines) {
    assert.match(line, start)
    assert.match(line, /^[ -~\x80-\xff]*$/)
  }
}

const QUOTED = '"> 250 x\\" (y) <"'

for (const [index, what] of ['CR LF', 'ESC', 'NUL', 'bidi', 'BMPString', 'Lua', 'quotes'].entries()) {
  test(`${what} in the certificate, folded and repeated fields, addresses full of syntax`, async () => {
    const { authority } = await testPki()
    const name = hostileNames.get(what)
    assert.ok(name !== undefined)
    const { cert, key } = authority.issue({ subject: [name], altNames: [{ kind: 'dns', value: name.value }] })
    const client = await SmtpClient.connectTls(gate.address(), { cert, key })
    const say = async (line: string, code: string): Promise<void> => {
      client.sendRaw(`${line}\r\n`)
      const reply = await client.reply()
      for (const text of reply.split('\n')) assert.match(text, new RegExp(`^${code}[ -][ -~]*$`))
      assert.equal(client.pending, '', 'one reply')
    }
    assert.match(await client.reply(), /^220 /)
    await say('EHLO [1.2.3.4]', '250')
    await say(`MAIL FROM:<refuse${index}@b.example>`, '550')
    await say(`MAIL FROM:<${QUOTED}@b.example>`, '250')
    await say(`RCPT TO:<box${index}@gate.example>`, '250')
    await say('DATA', '354')
    await say(
      'Subject: one\r\n\ttwo\r\n  250 three\r\nSubject: \xff\u001b[2J\r\nX: y\r\n\r\nbody\r\n.',
      '250',
    )
    await client.context()
    assert.equal(client.pending, '')
    await say(`MAIL FROM:<error${index}@b.example>`, '421')
    await client.closed()
    await gate.event('delivery', ({ envelope }) => envelope.recipient.local === `box${index}`)
    const folder = path.join(gate.folder, 'mail', `box${index}`, 'new')
    const header =
      readFileSync(path.join(folder, readdirSync(folder)[0] ?? ''), 'latin1').split('\n\nbody\n')[0] ?? ''
    const fields = header.split('\n').filter((line) => !/^[ \t]/.test(line))
    assert.deepEqual(fields.map((line) => line.slice(0, line.indexOf(':'))).toSorted(), [
      'Received',
      'Return-Path',
      'Subject',
      'Subject',
      'X',
      'X-Everything',
      'X-Subject',
    ])
  })
}
