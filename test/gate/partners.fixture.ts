/** A gate with partners, and clients with the certificates of some, of others and of nobody. */

import assert from 'node:assert/strict'
import { after, before } from 'node:test'
import type { ConnectionOptions } from 'node:tls'
import { Authority, type Credential } from '../../src/tls/authority.ts'
import { readCertificate } from '../../src/tls/certificate.ts'
import { makePki, type Pki } from '../../src/tls/pki.ts'
import { SmtpClient } from '../support/smtp-client.ts'
import { MAILDIR, startTestGate, type TestGate } from '../support/test-gate.ts'

export const PROXY = '127.0.80.1'
const spki = ({ der }: Credential): string => `sha256:${readCertificate(der).spki}`

/** of the CA that is trusted */
interface Clients {
  readonly acme: Credential
  readonly next: Credential
  readonly branch: Credential
  readonly both: Credential
  readonly other: Credential
  /** names and issuer as acme's, from a CA of the same name that nobody trusts */
  readonly fake: Credential
}

export let pki: Pki
export let clients: Clients
export let gate: TestGate

export const named = (...names: string[]) => ({
  subject: names[0] ?? '',
  altNames: names.map((value) => ({ kind: 'dns' as const, value })),
})

function makeClients({ authority }: Pki): Clients {
  const impostor = Authority.root({ subject: 'Postern test CA' })
  return {
    acme: authority.issue(named('mx.acme.example')),
    next: authority.issue(named('mx.acme.example')),
    branch: authority.issue(named('branch.example')),
    both: authority.issue(named('branch.example', 'device.example')),
    other: authority.issue(named('other.example')),
    fake: impostor.issue(named('mx.acme.example')),
  }
}

export const acmePartner = ({ acme, next }: Clients): string => `
Partner "acme" {
  SAN_DNS = "mx.acme.example"
  Issuer_Certificate = "pki/ca.pem"
  SPKI_Pin = ( "${spki(acme)}" "${spki(next)}" )
  Sender_Domains = ( "acme.example" ".acme.example" "bücher.example" )
  Sender_Domains_Exclusive = true
  Pathway = "partners"
  Relay = true
}`

export const conf = (partners: string): string => `
Pathway "partners" { Max_Message_Size = 4242 Context = [ tier = "gold" ] }
Pathway "lifted" { Max_Message_Size = 77 }
Pathway "foreign" { TLS_Client_CA = "pki/other-ca.pem" }
${partners}
Partner "branch" { SAN_DNS = "branch.example" Sender_Domains = ( "branch.example" ) }
Partner "device" { SAN_DNS = "device.example" Relay = true Valid_Until = "2199-12-31" }
Partner "late" { SAN_DNS = "client-expired.example" Relay = true }
Partner "stranger" { Certificate_Pin = "file:pki/client-untrusted.pem" Relay = true }
Partner "gone" { SAN_DNS = "other.example" Relay = true Valid_Until = "2020-12-31" }
HTTP_Listener { Listen "127.0.0.1:0" { } }
ESMTP_Listener {
  SMTP_Extensions = ( "STARTTLS" "XDUMPCONTEXT" "AUTH PLAIN" )
  TLS_Certificate = "pki/server.pem"
  TLS_Key = "pki/server.key"
  TLS_Client_CA = "pki/ca.pem"
  AuthPlainParameters = [ uri = "file://FOLDER/users" ]
  Allow_Plaintext_Auth = true
  Peer "${PROXY}" { SMTP_Extensions = ( "STARTTLS" "XDUMPCONTEXT" "XCLIENT" "XREMOTEIP" "XSETCONTEXT" ) }
  Listen "127.0.0.1:0" { }
}
scriptlet "scriptlet" {
  script "gate" { source = "gate.lua" }
  script "typed" { source = "typed.ts" }
}
${MAILDIR}`

const script = `
require("msys.core")
local mod = {}
function mod:validate_ehlo(str, ac, vctx)
  vctx:set(msys.core.VCTX_CONN, "lua_saw", vctx:get(msys.core.VCTX_CONN, "tls_partner") .. "/" .. vctx:get(msys.core.VCTX_CONN, "pathway"))
  local wanted = string.match(str, "to%-(%a+)")
  if wanted then vctx:set(msys.core.VCTX_CONN, "pathway", wanted) end
  if string.find(str, "forge", 1, true) then vctx:set(msys.core.VCTX_CONN, "tls_partner", "acme") end
  return msys.core.VALIDATE_CONT
end
msys.registerModule("gate", mod)
`

const typed = `
export const policy = {
  name: 'typed',
  tls(session) {
    const { partner } = session
    session.context.set('connection', 'ts_saw', partner === undefined ? 'nobody' : partner.name + '/' + partner.pins.map((pin) => pin.place).join())
  },
}
`

before(async () => {
  pki = await makePki()
  clients = makeClients(pki)
  gate = await startTestGate({
    conf: conf(acmePartner(clients)),
    pki,
    files: { 'gate.lua': script, 'typed.ts': typed, users: 'ann:secret\n' },
  })
})
after(() => gate.stop())

export async function clear(from = '127.0.80.9'): Promise<SmtpClient> {
  const client = await SmtpClient.connect({ ...gate.address(), from })
  assert.match(await client.reply(), /^220 /)
  await client.ehlo()
  return client
}

export async function starttls(
  client: SmtpClient,
  credential?: Credential,
  more: ConnectionOptions = {},
): Promise<void> {
  assert.match(await client.command('STARTTLS'), /^220 /)
  await client.secure({ ...(credential && { cert: credential.cert, key: credential.key }), ...more })
  await client.ehlo()
}

export async function connected(credential?: Credential, more?: ConnectionOptions): Promise<SmtpClient> {
  const client = await clear()
  await starttls(client, credential, more)
  return client
}

export async function key(client: SmtpClient, name: string): Promise<string | undefined> {
  return (await client.context()).get(`connection.${name}`)
}

export async function mail(client: SmtpClient, path: string): Promise<string> {
  const reply = await client.command(`MAIL FROM:${path}`)
  await client.command('RSET')
  return reply
}

export async function relays(client: SmtpClient, sender = '<x@acme.example>'): Promise<boolean> {
  assert.match(await client.command(`MAIL FROM:${sender}`), /^250 /)
  const reply = await client.command('RCPT TO:<b@elsewhere.example>')
  await client.command('RSET')
  return reply.startsWith('250 ')
}

export const REFUSED = /^550 5\.7\.1 sender address is not permitted for this client$/
