import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { issueClient, testPki } from '../../test/support/test-ca.ts'
import { readCertificate } from './certificate.ts'
import { CertificateMemory } from './certificate-memory.ts'

suite('certificates that were read lately', () => {
  test('the same bytes are read once, other bytes are another certificate', async () => {
    const { clients } = await testPki()
    const memory = new CertificateMemory()
    const first = memory.certificateOf(clients.valid.der)
    assert.equal(memory.certificateOf(Buffer.from(clients.valid.der)), first)
    assert.equal(memory.read(first).facts, memory.read(first).facts)
    assert.deepEqual(memory.read(first), { facts: readCertificate(clients.valid.der), malformed: false })
    const other = memory.certificateOf(clients.untrusted.der)
    assert.deepEqual(other.raw, clients.untrusted.der)
    assert.deepEqual(memory.read(other).facts, readCertificate(clients.untrusted.der))
  })

  test('nobody can change what another session sees', async () => {
    const { clients } = await testPki()
    const memory = new CertificateMemory()
    const { facts } = memory.read(memory.certificateOf(clients.valid.der))
    assert.throws(() => Object.assign(facts, { subject: 'CN=root' }), TypeError)
    assert.throws(() => (facts.sanDns as string[]).push('root'), TypeError)
  })

  test('clients with large certificates cannot fill it: the least recently seen ones are forgotten', async () => {
    const memory = new CertificateMemory()
    const altNames = Array.from({ length: 4000 }, (_, index) => ({
      kind: 'dns' as const,
      value: `host-${index}.example`,
    }))
    const { der: often } = await issueClient({})
    const known = memory.certificateOf(often)
    for (let count = 0; count < 20; count += 1) {
      const { der } = await issueClient({ altNames })
      assert.ok(der.length > 64 * 1024)
      memory.certificateOf(der)
      assert.equal(memory.certificateOf(often), known)
    }
    assert.ok(memory.size < 18, `${memory.size} are kept`)
  })

  test('nor can clients with many', async () => {
    const memory = new CertificateMemory()
    const { der: first } = await issueClient({})
    const known = memory.certificateOf(first)
    for (let count = 0; count < 600; count += 1) memory.certificateOf((await issueClient({})).der)
    assert.equal(memory.size, 512)
    assert.notEqual(memory.certificateOf(first), known)
    assert.deepEqual(memory.certificateOf(first).raw, first)
  })

  test('what cannot be read is not kept, and read anew each time', async () => {
    const { der } = await issueClient({})
    // the time of notBefore as no RFC has it: OpenSSL parses it later, we do not
    const at = der.indexOf(Buffer.from([0x17, 0x0d]))
    const odd = Buffer.from(der)
    odd[at + 2 + 2] = 0x39
    const memory = new CertificateMemory()
    const certificate = memory.certificateOf(odd)
    assert.equal(memory.read(certificate).malformed, true)
    assert.equal(memory.size, 0)
    assert.throws(() => memory.certificateOf(Buffer.from('nothing')))
  })
})
