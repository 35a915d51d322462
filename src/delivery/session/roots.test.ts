import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { outboundDefaults } from '../../../test/support/messages.ts'
import { pkiDirectory } from '../../../test/support/test-ca.ts'
import { SessionMaterial } from './material.ts'

test('a CA that Node trusts by NODE_EXTRA_CA_CERTS verifies no host', async () => {
  await using directory = await pkiDirectory()
  const ca = directory.file('ca.pem')
  const child = fileURLToPath(new URL('roots-child.fixture.ts', import.meta.url))
  const env = { ...process.env, NODE_EXTRA_CA_CERTS: ca, SSL_CERT_FILE: ca }
  const files = [directory.file('server.pem'), directory.file('server.key')]
  const { stdout } = await promisify(execFile)(process.execPath, [child, ...files], { env })
  assert.equal(stdout, 'transient, untrusted')
})

test('Node’s own roots are there for MTA-STS alone', async () => {
  const material = new SessionMaterial(undefined)
  const digestOf = async (roots: 'none' | 'configured' | 'web'): Promise<string> =>
    (await material.context(outboundDefaults, roots)).digest
  assert.equal(await digestOf('configured'), await digestOf('none'))
  assert.notEqual(await digestOf('web'), await digestOf('none'))
})
