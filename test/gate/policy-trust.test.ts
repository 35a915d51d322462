/** The hooks around trust in TypeScript, with real certificates: a policy can lower what a client is, never raise it. */

import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import { type ClientKind, makePki, type Pki } from '../../src/tls/pki.ts'
import { SmtpClient } from '../support/smtp-client.ts'
import { MAILDIR, startTestGate } from '../support/test-gate.ts'

let pki: Pki
before(async () => {
  pki = await makePki()
})

const conf = `
ESMTP_Listener {
  SMTP_Extensions = ( "STARTTLS" "XDUMPCONTEXT" "AUTH PLAIN" )
  TLS_Certificate = "pki/server.pem"
  TLS_Key = "pki/server.key"
  TLS_Client_CA = "pki/ca.pem"
  AuthPlainParameters = [ uri = "file://FOLDER/users" ]
  Allow_Plaintext_Auth = true
  Listen "127.0.0.1:0" { }
}
scriptlet "scriptlet" { script "gate" { source = "./gate.ts" } }
${MAILDIR}`

/** A gate whose policy has these methods, written without types. */
async function withPolicy(methods: string, work: (client: SmtpClient) => Promise<void>, kind?: ClientKind) {
  const policy = `import * as postern from 'postern'
const { accept, definePolicy, done, reject } = postern
void [accept, done, reject]
export const policy = definePolicy({ ${methods} } as never)`
  const gate = await startTestGate({ pki, conf, files: { 'gate.ts': policy, users: 'ann:secret\n' } })
  try {
    const client = await SmtpClient.connect(gate.address())
    await client.reply()
    await client.ehlo()
    if (kind !== undefined) {
      await client.command('STARTTLS')
      await client.secure(pki.clients[kind])
    }
    await work(client)
    client.destroy()
  } finally {
    await gate.stop()
  }
}

/** The verdict on the client's certificate; undefined: it is verified. */
function isJudged(cause: string | undefined): (client: SmtpClient) => Promise<void> {
  return async (client) => {
    await client.ehlo()
    const context = await client.context()
    assert.equal(context.get('connection.tls_client_verify_error'), cause)
    assert.equal(context.get('connection.tls_client_verified'), cause === undefined ? 'yes' : undefined)
  }
}

for (const [kind, body, cause] of [
  ['valid', '', undefined],
  ['valid', 'return done()', undefined],
  ['valid', "return reject(550, '5.7.1 no')", 'policy'],
  ['expired', "return reject(550, '5.7.1 no')", 'expired'],
  ['expired', 'return done()', 'expired'],
  ['expired', 'certificate.verified = true', 'expired'],
] as const) {
  test(`tlsVerify { ${body} } makes of the ${kind} certificate: ${cause ?? 'verified'}`, async () => {
    const methods = `tlsVerify(session, certificate) { ${body} }`
    await withPolicy(methods, isJudged(cause), kind)
  })
}

async function isTurnedAway(client: SmtpClient): Promise<void> {
  assert.match(await client.reply(), /^421 /)
}

for (const body of ["return accept(250, 'fine')", 'return true', "throw new Error('no')"]) {
  test(`tlsVerify { ${body} } is an error: nobody is served`, async () => {
    await withPolicy(`tlsVerify() { ${body} }`, isTurnedAway, 'expired')
  })
}

const wrong = `AUTH PLAIN ${Buffer.from('\0ann\0wrong').toString('base64')}`

function attempt(code: RegExp): (client: SmtpClient) => Promise<void> {
  return async (client) => {
    assert.match(await client.command(wrong), code)
  }
}

test('authBefore cannot let an attempt succeed', async () => {
  await withPolicy("authBefore: () => accept(235, '2.7.0 fine')", attempt(/^421 /))
  await withPolicy('authBefore: () => done()', attempt(/^535 /))
})
