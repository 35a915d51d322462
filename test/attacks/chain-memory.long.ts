/**
 * Node's getPeerX509Certificate keeps each certificate beyond the leaf in memory for ever, outside of the heap: a client
 * that sends sixty of them took half a megabyte with each handshake. The gate reads chains in another way.
 */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { pkiDirectory } from '../support/test-ca.ts'
import { factsOf, file, load, openGate, scopeOf, visit } from '../tls/gate-harness.ts'

const CERTIFICATES = 60
const HANDSHAKES = 100
/** MiB; what Node keeps would be 50 */
const ROOM = 25

test('clients that send long chains leave nothing in memory, verified or not', async () => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  await using directory = await pkiDirectory()
  let last = directory.pki.authority
  const chain: string[] = []
  for (let n = 0; n < CERTIFICATES; n += 1) {
    last = last.intermediate({ subject: `CA ${n}` })
    chain.unshift(last.cert)
  }
  const leaf = last.issue({ subject: 'leaf' })
  const credential = { cert: [leaf.cert, ...chain].join(''), key: leaf.key }
  const scope = scopeOf({
    tls_certificate: file(directory.file('server.pem')),
    tls_key: file(directory.file('server.key')),
    tls_client_ca: file(directory.file('ca.pem')),
  })
  await using gate = await openGate(await load([scope]), scope)
  const come = async (times: number): Promise<number> => {
    for (let n = 0; n < times; n += 1) {
      await visit(gate.port, { credential, version: 'TLSv1.2' })
      assert.equal((await factsOf(gate)).peer.kind, 'verified')
    }
    collect()
    await new Promise((resolve) => setImmediate(resolve))
    collect()
    return process.memoryUsage().rss / 1_048_576
  }
  const before = await come(60)
  const after = await come(HANDSHAKES)
  assert.ok(after - before < ROOM, `${before} MiB became ${after}`)
})
