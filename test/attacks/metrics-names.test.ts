/**
 * What certificates say of themselves, in metrics: names with line ends, quotes and escapes, and names without number. Each
 * line of `/metrics` stays one sample, and nobody fills it.
 */

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Authority } from '../../src/tls/authority.ts'
import { ConnectionLost, SmtpClient } from '../support/smtp-client.ts'
import { hostileNames, testPki } from '../support/test-ca.ts'
import { startTestGate, type TestGate } from '../support/test-gate.ts'

const conf = `
ESMTP_Listener {
  TLS_Certificate = "pki/server.pem"
  TLS_Key = "pki/server.key"
  TLS_Client_CA = "pki/ca.pem"
  Listen "127.0.8.4:0" { Use_SSL = true TLS_Verify_Mode_Shadow = "require" }
}
HTTP_Listener { Listen "127.0.8.4:0" { } }
`
const CROWD = 60
/** name, labels, value: as a reader of the text format takes a line apart */
const SAMPLE =
  /^[a-z_:][a-z0-9_:]*(?:\{(?:[a-z_]+="(?:[^"\\\n]|\\[\\"n])*",?)*\})? (?:[-+.e0-9]+|\+Inf|NaN)$/i

let gate: TestGate
before(async () => {
  gate = await startTestGate({ conf, pki: await testPki() })
})
after(() => gate.stop())

async function come(authority: Authority): Promise<void> {
  const { cert, key } = authority.issue({ subject: 'client' })
  try {
    const client = await SmtpClient.connectTls(gate.address(), { cert: cert + authority.cert, key })
    assert.match(await client.reply(), /^220 /)
    client.destroy()
  } catch (error) {
    // a certificate that OpenSSL does not read, or one that is too large, ends the handshake
    if (!(error instanceof Error && (error instanceof ConnectionLost || 'code' in error))) throw error
  }
}

test('hostile issuers and issuers without number: one line is one sample, and there are few', async () => {
  for (const attribute of hostileNames.values()) await come(Authority.root({ subject: [attribute] }))
  for (let n = 0; n < CROWD; n += 1) await come(Authority.root({ subject: `crowd ${n}` }))
  const [url] = gate.server.serviceAddresses.http
  const text = await (await fetch(`http://${url}/metrics`)).text()
  assert.match(text, /^[ -~\n\u00a0-\uffff]*$/)
  const samples = text.split('\n').filter((line) => line !== '' && !/^# (?:HELP|TYPE) /.test(line))
  for (const sample of samples) assert.match(sample, SAMPLE)
  const issuers = samples.filter((sample) => sample.startsWith('postern_tls_issuers_total'))
  assert.ok(issuers.length > 5 && issuers.length <= CROWD / 2, `${issuers.length} issuers`)
  assert.ok(
    issuers.some((sample) => sample.includes('issuer="other"')),
    'the rest is counted together',
  )
})
