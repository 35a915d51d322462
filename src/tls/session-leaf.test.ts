import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { after, before, suite, test } from 'node:test'
import {
  type ConnectionOptions,
  connect,
  createServer,
  type SecureVersion,
  type Server,
  type TLSSocket,
} from 'node:tls'
import { testPki } from '../../test/support/test-ca.ts'
import { leafIn, sessionLeaf } from './session-leaf.ts'

const VERSIONS: readonly SecureVersion[] = ['TLSv1.2', 'TLSv1.3']

/** What the server's side of a handshake finds. */
interface Found {
  readonly leaf: Buffer | undefined
  readonly node: Buffer | undefined
  readonly resumed: boolean
  readonly record: Buffer
}

suite('the leaf of a session', () => {
  let server: Server
  let found: ((seen: Found) => void) | undefined

  before(async () => {
    const { server: ours, files } = await testPki()
    const options = { cert: ours.cert, key: ours.key, ca: files.get('ca.pem'), requestCert: true }
    server = createServer({ ...options, rejectUnauthorized: false }, (socket) => {
      const node = socket.getPeerCertificate().raw as Buffer | undefined
      const record = Buffer.from(socket.getSession() ?? [])
      found?.({ leaf: sessionLeaf(socket), node, resumed: socket.isSessionReused(), record })
      socket.on('error', () => undefined).end('hello')
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
  })
  after(() => server.close())

  async function shake(options: ConnectionOptions): Promise<{ seen: Found; session: Buffer | undefined }> {
    const seen = new Promise<Found>((resolve) => {
      found = resolve
    })
    const { port } = server.address() as AddressInfo
    const client: TLSSocket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ...options })
    let session: Buffer | undefined
    client.on('session', (one: Buffer) => {
      session = one
    })
    client.resume()
    await once(client, 'close')
    return { seen: await seen, session }
  }

  for (const version of VERSIONS) {
    test(`${version}: is the one that Node tells, in a full handshake and a resumed one`, async () => {
      const { clients } = await testPki()
      for (const { cert, key, der } of [clients.valid, clients.untrusted]) {
        const options = { cert, key, minVersion: version, maxVersion: version }
        const first = await shake(options)
        assert.deepEqual(first.seen.leaf, der)
        assert.deepEqual(first.seen.node, der)
        const second = await shake({ ...options, session: first.session })
        assert.equal(second.seen.resumed, true)
        assert.deepEqual(second.seen.leaf, der)
      }
    })

    test(`${version}: is none where the client had none`, async () => {
      const { seen } = await shake({ minVersion: version, maxVersion: version })
      assert.equal(seen.leaf, undefined)
      assert.ok(seen.record.length > 0)
    })
  }

  test('a record that is cut off, or no record, tells nothing', async () => {
    const { clients } = await testPki()
    const { seen } = await shake({ cert: clients.valid.cert, key: clients.valid.key })
    assert.deepEqual(leafIn(seen.record), clients.valid.der)
    for (let length = 0; length < seen.record.length; length += 7)
      assert.equal(leafIn(seen.record.subarray(0, length)), undefined)
    assert.equal(leafIn(Buffer.concat([seen.record, Buffer.of(0)])), undefined)
    assert.equal(leafIn(Buffer.from('no record')), undefined)
  })
})
