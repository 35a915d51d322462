import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { test } from 'node:test'
import { testPki } from '../../../test/support/test-ca.ts'
import { judgeHost, type Verification } from './host-verdict.ts'

const { server } = await testPki()
const leaf = new X509Certificate(server.cert)
const evidence = { leaf, sent: [], failure: undefined, resumed: false }
const asked: readonly Verification[] = [
  { kind: 'none' },
  { kind: 'ca' },
  { kind: 'name', by: 'host', names: ['localhost'], commonName: true },
  { kind: 'name', by: 'sts', names: ['localhost'], commonName: false },
  { kind: 'dane', records: [], base: 'localhost', names: ['localhost'] },
]

test('“no error” verifies nobody where there is no certificate, or where nothing was shown anew', async () => {
  for (const each of asked) {
    const none = await judgeHost({ ...evidence, leaf: undefined }, each)
    assert.deepEqual([none.kind, none.kind === 'encrypted' && none.cause], ['encrypted', 'no-certificate'])
    assert.equal((await judgeHost({ ...evidence, resumed: true }, each)).kind, 'encrypted')
  }
})

test('nobody is verified who was not asked to be, nor by TLSA records that are not there', async () => {
  const kinds = await Promise.all(asked.map(async (each) => (await judgeHost(evidence, each)).kind))
  assert.deepEqual(kinds, ['encrypted', 'verified', 'verified', 'verified', 'encrypted'])
})
