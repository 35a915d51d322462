/** The scripts of `examples/`, asked with the facts of every kind of client. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import type { Verdict } from '../../src/policy/verdict.ts'
import { askMail, load, session } from './scripts.fixture.ts'

type Keys = Readonly<Record<string, string>>

async function example(file: string) {
  const text = readFileSync(new URL(`../../examples/${file}.lua`, import.meta.url), 'latin1')
  const gate = await load({ [file.replaceAll('-', '_')]: text })
  assert.deepEqual(gate.diagnostics, [])
  return {
    gate,
    mail: (keys: Keys) => askMail(gate, session(keys)),
    auth: async (keys: Keys) => gate.policy.ask('auth', { session: session(keys), status: 'pass' }),
  }
}

const tls: Keys = { tls: 'on' }
const reply = (code: number, text: string): Verdict => ({ kind: 'reply', code, text, module: 'scriptlet' })
const close = (code: number, text: string): Verdict => ({
  kind: 'disconnect',
  code,
  text,
  module: 'scriptlet',
})

test('authenticated-tls-only: mail needs TLS and a successful authentication', async () => {
  const { mail } = await example('authenticated-tls-only')
  const needsTls = reply(530, '5.7.0 Must issue a STARTTLS command first')
  const needsAuth = reply(530, '5.7.0 Authentication required')
  assert.deepEqual(await mail({}), needsTls)
  assert.deepEqual(await mail({ auth_status: 'pass' }), needsTls)
  assert.deepEqual(await mail(tls), needsAuth)
  assert.deepEqual(await mail({ ...tls, auth_status: 'fail' }), needsAuth)
  assert.deepEqual(await mail({ ...tls, auth_status: 'pass' }), { kind: 'continue' })
})

test('authenticated-tls-only: a password in clear text closes the connection, whether it is right or not', async () => {
  const { auth } = await example('authenticated-tls-only')
  assert.deepEqual(await auth({ auth_status: 'pass' }), close(421, '4.7.0 authentication needs TLS'))
  assert.deepEqual(await auth({ auth_status: 'fail' }), close(421, '4.7.0 authentication needs TLS'))
  assert.deepEqual(await auth({ ...tls, auth_status: 'pass' }), { kind: 'continue' })
})

const certificate: Keys = {
  ...tls,
  tls_client_cert_subject: 'CN=partner.example',
  tls_client_cert_subject_cn: 'partner.example',
}

test('trusted-certificate-or-nothing: only a verified certificate that is listed may send', async () => {
  const { mail, auth, gate } = await example('trusted-certificate-or-nothing')
  for (const ask of [mail, auth]) {
    assert.deepEqual(await ask({}), reply(530, '5.7.0 Must issue a STARTTLS command first'))
    assert.deepEqual(await ask(tls), close(550, '5.7.1 client certificate not accepted'))
    const claimed = { ...certificate, tls_client_verify_error: 'untrusted' }
    assert.deepEqual(await ask(claimed), close(550, '5.7.1 client certificate not accepted'))
    assert.match(gate.panics.at(-1) ?? '', /refused certificate of CN=partner\.example untrusted/)
    const stranger = {
      ...certificate,
      tls_client_verified: 'yes',
      tls_client_cert_subject_cn: 'stranger.example',
    }
    assert.deepEqual(await ask(stranger), close(550, '5.7.1 client certificate not authorized'))
    assert.deepEqual(await ask({ ...certificate, tls_client_verified: 'yes' }), { kind: 'continue' })
  }
})

test('trusted-certificate-or-nothing: a partner may relay only where the list says so', async () => {
  const { gate } = await example('trusted-certificate-or-nothing')
  for (const [cn, expected] of [
    ['partner.example', 'true'],
    ['scanner.branch.example', ''],
  ] as const) {
    const facts = session({ ...certificate, tls_client_verified: 'yes', tls_client_cert_subject_cn: cn })
    assert.deepEqual(await askMail(gate, facts), { kind: 'continue' })
    assert.equal(facts.context.get('connection', 'can_relay'), expected)
  }
})
