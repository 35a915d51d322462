/** What a script keeps in `self` is of the client that it met: STARTTLS and a proxy that names another one empty it. */

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { makePki, type Pki } from '../../src/tls/pki.ts'
import { SmtpClient } from '../support/smtp-client.ts'
import { MAILDIR, startTestGate, type TestGate } from '../support/test-gate.ts'

const conf = `
ESMTP_Listener {
  SMTP_Extensions = ( "STARTTLS" "XDUMPCONTEXT" "XCLIENT" "XREMOTEIP" )
  TLS_Certificate = "pki/server.pem"
  TLS_Key = "pki/server.key"
  Listen "127.0.0.1:0" { }
}
scriptlet "scriptlet" { script "gate" { source = "gate.lua" } }
${MAILDIR}`

/** Trusts whoever it has met, and says at EHLO whom that was. */
const script = `
local core = require("msys.core")
local gate = {}
function gate:validate_connect(ac, vctx)
  self.met = (self.met or "") .. "c"
  return core.VALIDATE_CONT
end
function gate:validate_ehlo(str, ac, vctx)
  self.met = (self.met or "") .. "e"
  vctx:set(core.VCTX_CONN, "met", self.met)
  return core.VALIDATE_CONT
end
function gate:validate_dealloc() print("over after " .. tostring(self.met)) end
msys.registerModule("gate", gate)
`

let pki: Pki
let gate: TestGate

before(async () => {
  pki = await makePki()
  gate = await startTestGate({ conf, pki, files: { 'gate.lua': script } })
})
after(() => gate.stop())

async function met(client: SmtpClient): Promise<string | undefined> {
  await client.ehlo()
  return (await client.context()).get('connection.met')
}

async function connect(): Promise<SmtpClient> {
  const client = await SmtpClient.connect(gate.address())
  assert.match(await client.reply(), /^220 /)
  assert.equal(await met(client), 'ce')
  assert.equal(await met(client), 'cee')
  return client
}

for (const [command, code] of [
  ['XCLIENT ADDR=198.51.100.9', /^220 /],
  ['XREMOTEIP 198.51.100.9', /^250 /],
] as const) {
  test(`${command}: the client that is named gets nothing of what was kept for the one before`, async () => {
    const client = await connect()
    assert.match(await client.command(command), code)
    assert.equal(await met(client), 'ce')
    client.destroy()
    await gate.event('panic', ({ text }) => text === 'over after ce')
  })
}

test('STARTTLS: what was kept in clear text is gone, and the session ends once', async () => {
  const client = await connect()
  assert.match(await client.command('STARTTLS'), /^220 /)
  await client.secure({})
  const before = gate.events.length
  assert.equal(await met(client), 'e')
  assert.match(await client.command('QUIT'), /^221 /)
  await gate.event('panic', ({ text }) => text === 'over after e')
  const told = gate.events.slice(before).filter((event) => event.kind === 'panic')
  assert.equal(told.length, 1)
})
