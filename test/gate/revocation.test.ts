/** OCSP and warnings in time, on a whole gate: when the client hears of it, and what the server tells. */

import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { encodeResponse, scriptedResponder } from '../support/ocsp-responder.ts'
import { SmtpClient } from '../support/smtp-client.ts'
import { issueClient, testPki } from '../support/test-ca.ts'
import { MAILDIR, startTestGate } from '../support/test-gate.ts'

const DAY = 86_400_000
const TLS = `
  TLS_Certificate = "pki/server.pem"
  TLS_Key = "pki/server.key"
  TLS_Client_CA = "pki/ca.pem"
  SMTP_Extensions = ( "STARTTLS" "XDUMPCONTEXT" )
`

test('no SMTP reply comes before the answer of the responder, and policy reads what it says', async () => {
  const pki = await testPki()
  const { valid } = pki.clients
  const { promise: asked, resolve: wasAsked } = Promise.withResolvers<undefined>()
  const { promise: mayAnswer, resolve: goOn } = Promise.withResolvers<undefined>()
  await using responder = await scriptedResponder(({ certId, nonce }, response) => {
    const answer = {
      signer: pki.authority.credential,
      nonce,
      answers: [{ certId, status: 'revoked' as const }],
    }
    wasAsked(undefined)
    void mayAnswer.then(() => {
      response.writeHead(200, { 'content-type': 'application/ocsp-response' }).end(encodeResponse(answer))
    })
    return undefined
  })
  const gate = await startTestGate({
    pki,
    conf: `${MAILDIR}TLS_OCSP "own" { CA = "pki/ca.pem" Responder = "${responder.url}" }
      TLS_Client_OCSP = true
      ESMTP_Listener { ${TLS} Listen "127.0.0.1:0" { } Listen "127.0.0.2:0" { Use_SSL = true } }`,
  })
  try {
    const client = await SmtpClient.connect(gate.address())
    await client.reply()
    await client.command('EHLO client.example')
    await client.command('STARTTLS')
    await client.secure({ cert: valid.cert, key: valid.key })
    client.send('EHLO client.example')
    const secure = await SmtpClient.connectTls(gate.address(1), { cert: valid.cert, key: valid.key })
    await asked
    const replies = Promise.all([client.reply(), secure.reply()])
    const early = await Promise.race([replies, new Promise((resolve) => setTimeout(resolve, 100))])
    assert.equal(early, undefined)
    goOn(undefined)
    await replies
    assert.match(await client.command('XDUMPCONTEXT'), /tls_client_verify_error revoked/)
    assert.equal(responder.asked, 1)
    const told = await gate.event('tls')
    assert.deepEqual([told.outcome, told.cause, told.certificate], ['unverified', 'revoked', undefined])
    client.destroy()
    secure.destroy()
    const { ocsp } = await gate.event('decision')
    const [said] = ocsp?.asked ?? []
    assert.deepEqual(
      [said?.depth, said?.responder, said?.answer, said?.from],
      [0, 'own', 'revoked', 'responder'],
    )
    assert.equal(ocsp?.forgiven, false)
  } finally {
    goOn(undefined)
    await gate.stop()
  }
})

function confWith(days: string): string {
  return `${MAILDIR}TLS_Expiry_Warning = ${days}
    ESMTP_Listener { ${TLS} Listen "127.0.0.1:0" { TLS_Certificate = "old.pem" TLS_Key = "old.key"
      TLS_SNI "near.example" { TLS_Certificate = "near.pem" TLS_Key = "near.key" } } }`
}

test('what ends soon is told, can be read from the server, and follows a reload', async () => {
  const pki = await testPki()
  const soon = await issueClient({ subject: 'soon.example', notAfter: Date.now() + 5.5 * DAY })
  const old = pki.authority.issue({
    subject: 'old.example',
    usage: 'server',
    notAfter: Date.now() + 20.5 * DAY,
  })
  const near = pki.authority.issue({
    subject: 'near.example',
    usage: 'server',
    notAfter: Date.now() + 3.5 * DAY,
  })
  const gate = await startTestGate({
    pki,
    conf: confWith('( 7 )'),
    files: { 'old.pem': old.cert, 'old.key': old.key, 'near.pem': near.cert, 'near.key': near.key },
  })
  try {
    const client = await SmtpClient.connect(gate.address())
    await client.reply()
    await client.command('EHLO client.example')
    await client.command('STARTTLS')
    await client.secure({ cert: soon.cert, key: soon.key })
    const atStart = await gate.event('expiry')
    assert.deepEqual([atStart.what, atStart.name, atStart.days], ['server', 'CN=near.example', 3])
    const event = await gate.event('expiry', ({ what }) => what === 'client')
    assert.deepEqual(
      [event.what, event.name, event.days, event.threshold],
      ['client', 'CN=soon.example', 5, 7],
    )
    const line = await gate.event('panic', ({ text }) => text.includes('soon.example'))
    assert.match(
      line.text,
      /^the certificate of the client "CN=soon\.example" from "CN=Postern test CA" expires on/,
    )
    const [zeroth, first, second, third] = gate.server.expiring
    assert.equal(zeroth?.name, 'CN=near.example')
    assert.deepEqual([first?.what, first?.days, first?.threshold], ['client', 5, 7])
    assert.deepEqual(
      [second?.what, second?.source, second?.days],
      ['server', path.join(gate.folder, 'old.pem'), 20],
    )
    assert.equal(second?.threshold, undefined)
    assert.equal(third?.what, 'client-ca')
    const file = path.join(gate.folder, 'gate.conf')
    writeFileSync(
      file,
      `Hostname = "gate.example"\nSpoolbase = "spool"\nSpool_Min_Free = 1M\n${confWith('( 30 )')}`,
    )
    await gate.server.reload()
    const later = await gate.event('expiry', ({ name }) => name === 'CN=old.example')
    assert.deepEqual([later.name, later.days, later.threshold], ['CN=old.example', 20, 30])
    client.destroy()
  } finally {
    await gate.stop()
  }
})
