/** A gate behind a proxy that tells in SMTP who its clients are, and what it thinks of them. */

import assert from 'node:assert/strict'
import { after, before } from 'node:test'
import { makePki, type Pki } from '../../src/tls/pki.ts'
import { SmtpClient } from '../support/smtp-client.ts'
import { MAILDIR, startTestGate, type TestGate } from '../support/test-gate.ts'

export const PROXY = '127.0.70.1'
/** trusted by the Listen that trusts everybody */
export const OPEN = 1

const conf = `
ESMTP_Listener {
  SMTP_Extensions = ( "STARTTLS" "XDUMPCONTEXT" "AUTH PLAIN" )
  TLS_Certificate = "pki/server.pem"
  TLS_Key = "pki/server.key"
  TLS_Client_CA = "pki/ca.pem"
  TLS_Verified_Peer_Can_Relay = true
  AuthPlainParameters = [ uri = "file://FOLDER/users" ]
  Allow_Plaintext_Auth = true
  Context = [ from = "listener" ]

  Peer "${PROXY}" {
    SMTP_Extensions = ( "STARTTLS" "XDUMPCONTEXT" "AUTH PLAIN" "XCLIENT" "XREMOTEIP" "XSETCONTEXT" )
    Relay_Hosts = ( ${PROXY} )
    Context = [ from = "proxy" only_proxy = "yes" ]
    Pathway = "inner"
  }
  Peer "127.0.70.3" { SMTP_Extensions = ( "XREMOTEIP" ) }
  Peer "192.0.2.0/24" { TLS_Verify_Mode = require Context = [ from = "strict" ] }
  Peer "198.51.100.7" { Relay_Hosts = ( 198.51.100.7 ) Banner_Hostname = "friend.example" }
  Peer "198.51.100.8" { Pathway = "outer" }
  Peer "203.0.113.9" { Listener_Sessions = 1 }

  Listen "127.0.0.1:0" { }
  Listen "127.0.0.2:0" { SMTP_Extensions = ( "STARTTLS" "XDUMPCONTEXT" "XCLIENT" "XREMOTEIP" "XSETCONTEXT" ) }
}
Pathway "inner" { }
Pathway "outer" { }
scriptlet "scriptlet" { script "gate" { source = "gate.lua" } }
${MAILDIR}`

const script = `
require("msys.core")
local mod = {}
function mod:validate_connect(ac, vctx)
  vctx:set(msys.core.VCTX_CONN, "met", tostring(ac.remote_addr))
  vctx:set(msys.core.VCTX_CONN, "saw", vctx:get(msys.core.VCTX_CONN, "xclient_login") .. "/" .. vctx:get(msys.core.VCTX_CONN, "tenant"))
  if string.find(tostring(ac.remote_addr), "203.0.113.66", 1, true) then
    vctx:set_code(554, "5.7.1 no " .. tostring(ac.remote_addr))
    return msys.core.VALIDATE_DONE
  end
  return msys.core.VALIDATE_CONT
end
function mod:validate_ehlo(str, ac, vctx)
  vctx:set(msys.core.VCTX_CONN, "noted", "ehlo")
  return msys.core.VALIDATE_CONT
end
msys.registerModule("gate", mod)
`

export let pki: Pki
export let gate: TestGate

before(async () => {
  pki = await makePki()
  gate = await startTestGate({ conf, pki, files: { 'gate.lua': script, users: 'ann:secret\n' } })
})
after(() => gate.stop())

export async function proxy(listen = 0, from = PROXY): Promise<SmtpClient> {
  const client = await SmtpClient.connect({ ...gate.address(listen), from })
  assert.match(await client.reply(), /^220 /)
  await client.ehlo('proxy.example')
  return client
}

export async function starttls(client: SmtpClient, withCertificate = true): Promise<void> {
  assert.match(await client.command('STARTTLS'), /^220 /)
  const { cert, key } = pki.clients.valid
  await client.secure(withCertificate ? { cert, key } : {})
  await client.ehlo('proxy.example')
}

export async function relays(client: SmtpClient): Promise<boolean> {
  assert.match(await client.command('MAIL FROM:<a@client.example>'), /^250 /)
  const reply = await client.command('RCPT TO:<b@elsewhere.example>')
  await client.command('RSET')
  return reply.startsWith('250 ')
}

export async function seenAs(client: SmtpClient): Promise<string> {
  return /to (\S+)/.exec(await client.command('EHLO client.example'))?.[1] ?? ''
}

export const login = `AUTH PLAIN ${Buffer.from('\0ann\0secret').toString('base64')}`

/** Both ways of naming a client. */
export const ways = [
  { verb: 'XCLIENT', name: (address: string) => `XCLIENT ADDR=${address} PORT=1234`, code: /^220 / },
  { verb: 'XREMOTEIP', name: (address: string) => `XREMOTEIP ${address}`, code: /^250 / },
] as const
