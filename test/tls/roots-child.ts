/** Run by roots.test.ts with NODE_EXTRA_CA_CERTS set: who does a gate without TLS_Client_CA take a client for? */

import { verifyWithoutKey } from '../../src/tls/verify-without-key.ts'
import { pkiDirectory } from '../support/test-ca.ts'
import { factsOf, file, load, openGate, scopeOf, visit } from './gate-harness.ts'

const [directory = ''] = process.argv.slice(2)
const { readFile } = await import('node:fs/promises')
const read = (name: string) => readFile(`${directory}/${name}`, 'utf8')
await using own = await pkiDirectory()
const scope = scopeOf({
  tls_certificate: file(own.file('server.pem')),
  tls_key: file(own.file('server.key')),
})
await using gate = await openGate(await load([scope]), scope)
const credential = { cert: await read('client-valid.pem'), key: await read('client-valid.key') }
await visit(gate.port, { credential })
const { peer } = await factsOf(gate)
const offline = await Promise.all([
  verifyWithoutKey(credential.cert, { ca: [], purpose: 'clientAuth' }),
  verifyWithoutKey(await read('server.pem'), { ca: [], purpose: 'serverAuth' }),
])
const verdicts = [
  peer.kind === 'unverified' ? `${peer.kind} ${peer.cause}` : peer.kind,
  ...offline.map((failure) => failure?.code ?? 'good'),
]
process.stdout.write(verdicts.join(', '))
