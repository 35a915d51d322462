/** Without TLS_Client_CA nothing verifies, whatever roots Node or the system trust. */

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { pkiDirectory } from '../support/test-ca.ts'

test('a CA that Node trusts by NODE_EXTRA_CA_CERTS verifies nobody', async () => {
  await using directory = await pkiDirectory()
  const ca = directory.file('ca.pem')
  const child = fileURLToPath(new URL('roots-child.ts', import.meta.url))
  const trusting = { ...process.env, NODE_EXTRA_CA_CERTS: ca, SSL_CERT_FILE: ca }
  const proof = `fetch; process.stdout.write(String(require('node:tls').getCACertificates('default').length >
    require('node:tls').getCACertificates('bundled').length))`
  const run = promisify(execFile)
  const { stdout: trusted } = await run(process.execPath, ['-e', proof], { env: trusting })
  assert.equal(trusted, 'true', 'the child does trust the CA')
  const { stdout } = await run(process.execPath, [child, directory.path], { env: trusting })
  const unknown = 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'
  assert.equal(stdout, `unverified untrusted, ${unknown}, ${unknown}`)
})
