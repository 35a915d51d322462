import assert from 'node:assert/strict'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { type PkiDirectory, pkiDirectory } from '../../../test/support/test-ca.ts'
import { loadSettingsFromText } from '../../config/load.ts'
import { auditPartners } from './audit-partners.ts'

const DAY = 86_400_000
let directory: PkiDirectory

before(async () => {
  directory = await pkiDirectory()
})
after(() => directory[Symbol.asyncDispose]())

const oneCa = 'ESMTP_Listener { TLS_Client_CA = "ca.pem" Listen ":25" { } }'
const twoCas =
  'ESMTP_Listener { TLS_Client_CA = "ca.pem" Listen ":25" { Peer "10.0.0.0/8" { TLS_Client_CA = "other-ca.pem" } } }'

async function said(partner: string, listener = oneCa, now = Date.now()): Promise<string[]> {
  const text = `Partner "acme" { ${partner} }\n${listener}\n`
  const { settings } = await loadSettingsFromText(text, path.join(directory.path, 'gate.conf'))
  assert.ok(settings)
  return (await auditPartners(settings, now)).map(
    ({ severity, message, at }) => `${severity} ${at?.line}: ${message}`,
  )
}

const pinned = 'Certificate_Pin = ( "file:client-valid.pem" "file:client-revoked.pem" )'

test('two pins of certificates that are good for long are nothing to speak of', async () => {
  assert.deepEqual(await said(pinned), [])
  assert.deepEqual(await said('SAN_DNS = "a.example"'), [])
})
test('a pin without a successor', async () => {
  assert.match(
    (await said('SPKI_Pin = "file:client-valid.pem"')).join('\n'),
    /^warning 1: SPKI_Pin has no successor: when the key/,
  )
})
test('a pinned certificate that has expired, or will soon', async () => {
  const found = await said(pinned, oneCa, Date.now() + 345 * DAY)
  assert.match(
    found[0] ?? '',
    /^warning 1: Certificate_Pin "client-valid.pem": the certificate expires on .* in \d+ days$/,
  )
  assert.equal(found.length, 2)
  const expired = await said('Certificate_Pin = ( "file:client-expired.pem" "file:client-valid.pem" )')
  assert.match(expired.join('\n'), /"client-expired.pem": the certificate expired on/)
})
test('a pinned certificate that the other selectors do not fit', async () => {
  assert.deepEqual(
    await said(
      `${pinned} SAN_DNS = ( "client-valid.example" "x.example" ) Subject = ( "CN=client-valid.example" "CN=client-revoked.example" )`,
    ),
    [
      'warning 1: Certificate_Pin "client-revoked.pem": the certificate does not fit SAN_DNS of the same partner',
    ],
  )
})
test('an end that is near, or past', async () => {
  const now = Date.parse('2026-06-01T12:00:00Z')
  const until = (date: string) => said(`SAN_DNS = "a.example" Valid_Until = "${date}"`, oneCa, now)
  assert.deepEqual(await until('2026-12-31'), [])
  assert.deepEqual(await until('2026-06-15'), ['warning 1: Partner "acme" ends on 2026-06-15'])
  assert.deepEqual(await until('2026-05-31'), ['warning 1: Partner "acme" is over since 2026-05-31'])
})
test('names that any of several CAs can give, and no CA at all', async () => {
  assert.match(
    (await said('SAN_DNS = "a.example"', twoCas)).join(),
    /known by names alone, and each of the 2 CAs/,
  )
  assert.deepEqual(await said('SAN_DNS = "a.example" Issuer_Certificate = "ca.pem"', twoCas), [])
  const none = 'ESMTP_Listener { Listen ":25" { } }'
  assert.match((await said('SAN_DNS = "a.example"', none)).join(), /no TLS_Client_CA in any scope/)
})
