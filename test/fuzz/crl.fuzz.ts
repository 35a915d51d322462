/** Revocation lists: whatever lies in the file, it is a list that its CA has signed, or it is refused in plain words. */

import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { Authority } from '../../src/tls/authority.ts'
import { chainElement } from '../../src/tls/chain-element.ts'
import { crlStatus, type ParsedCrl, parseCrl } from '../../src/tls/crl.ts'
import { MalformedCertificate } from '../../src/tls/der.ts'
import { PemError, parsePem, toPem } from '../../src/tls/pem.ts'
import { readRevocationLists } from '../../src/tls/revocation.ts'
import { holds, holdsAsync } from '../support/properties.ts'
import { mutated } from './der-mutations.ts'

const ca = Authority.root({ subject: 'CA' })
const issuer = chainElement(new X509Certificate(ca.cert))
const client = ca.issue({ subject: 'client' })
const facts = chainElement(new X509Certificate(client.cert)).facts
const now = Date.now()

const seeds = [
  ca.crl(),
  ca.crl({ revoked: [client.serial] }),
  ca.crl({ revoked: Array.from({ length: 50 }, (_, n) => BigInt(n) ** 9n) }),
  ca.crl({ nextUpdate: 'never', revoked: [1n] }),
  ca.cert,
].flatMap((pem) => parsePem(pem).flatMap(({ der }) => (der === undefined ? [] : [der])))
const genuine = new Set(seeds.map(signedPart))

/** All but the signature: with ECDSA some octets around it may differ without making it wrong. */
function signedPart(der: Buffer): string {
  return der.subarray(4, -80).toString('hex')
}

function parse(der: Buffer): ParsedCrl | undefined {
  try {
    return parseCrl(der)
  } catch (error) {
    assert.ok(error instanceof MalformedCertificate, String(error))
    return undefined
  }
}

test('nothing that the CA has not signed says that a certificate is good', () => {
  holds(
    fc.property(mutated(seeds), (der) => {
      const began = performance.now()
      const list = parse(der)
      if (list?.isSignedBy(issuer) === true) assert.ok(genuine.has(signedPart(der)))
      else if (list !== undefined && list.isSignedBy(issuer) === false) {
        assert.notEqual(crlStatus(facts, issuer, [list], now), 'good')
      }
      assert.ok(performance.now() - began < 1000)
    }),
  )
})

test('octets that were never DER are refused too', () => {
  holds(
    fc.property(fc.uint8Array({ maxLength: 200 }), (octets) => {
      assert.equal(parse(Buffer.from(octets)), undefined)
      assert.equal(
        parse(Buffer.concat([Buffer.of(0x30, 0x82, octets.length >> 8, octets.length & 255), octets])),
        undefined,
      )
    }),
  )
})

test('a file is lists or a fault in words, whatever it holds', async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'postern-fuzz-'))
  const file = path.join(folder, 'list.pem')
  const text = fc.oneof(
    mutated(seeds).map((der) => toPem('X509 CRL', der)),
    mutated(seeds),
    mutated(seeds.map((der) => Buffer.from(toPem('X509 CRL', der)))),
    fc.tuple(mutated(seeds), mutated(seeds)).map((all) => all.map((der) => toPem('X509 CRL', der)).join('')),
  )
  try {
    await holdsAsync(
      fc.asyncProperty(text, async (content) => {
        await writeFile(file, content)
        const { entries, faults } = await readRevocationLists(file)
        assert.ok(entries.length === 0 || faults.length === 0)
        for (const { reason } of faults) assert.match(reason, /^[\x20-\x7e]+$/)
        for (const { parsed } of entries) assert.ok(parsed.facts.entries >= 0)
      }),
    )
  } catch (error) {
    assert.ok(!(error instanceof PemError), String(error))
    throw error
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})
