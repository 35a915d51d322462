import assert from 'node:assert/strict'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, describe, test } from 'node:test'
import { loadSettingsFromText } from '../../config/load.ts'
import { auditAuth } from './audit.ts'
import { HtdigestStore } from './htdigest-store.ts'
import { CredentialStores } from './stores.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'postern-audit-'))
after(() => rmSync(folder, { recursive: true, force: true }))

const HASH = '$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaA'

function file(name: string, text: string, mode = 0o600): string {
  const made = path.join(folder, name)
  writeFileSync(made, text)
  chmodSync(made, mode)
  return made
}

/** `severity LINE: message` of each finding, FOLDER for the folder's path. */
async function findings(options: string, stores = new CredentialStores()): Promise<string[]> {
  const text = `ESMTP_Listener {\n  SMTP_Extensions = ( "AUTH PLAIN" "AUTH LOGIN" "AUTH CRAM-MD5" "AUTH DIGEST-MD5" "AUTH EXTERNAL" )\n${options}\n  Listen ":25" { Peer 10.0.0.0/8 { Idle_Time = 3 } } }\n`
  const { settings, diagnostics } = await loadSettingsFromText(text, 'gate.conf')
  assert.ok(settings !== undefined, JSON.stringify(diagnostics))
  const found = await auditAuth(settings, stores)
  return found.map(
    ({ severity, message, at }) => `${severity} ${at?.line}: ${message.replaceAll(folder, 'FOLDER')}`,
  )
}

describe('what check says of the files of authentication', () => {
  test('nothing of files that are in order, each of which is looked at once', async () => {
    const users = file('good', `# users\nann:${HASH}\nbob:clear\n`)
    const clear = file('clear', 'ann:secret\n')
    const digest = file('digest', `ann:r:${'0'.repeat(32)}\n`)
    const list = file('list', 'ann@partner.example\nbob:bob@partner.example\n')
    assert.deepEqual(
      await findings(`  AuthPlainParameters = [ uri = "file://${users}" ]
        AuthLoginParameters = [ uri = "digest://${digest}" ]
        AuthCramMD5Parameters = [ uri = "file://${clear}" ]
        AuthDigestMD5Parameters = [ uri = "digest://${digest}" ]
        AuthExternalParameters = [ identity = san_email uri = "file://${list}" ]`),
      [],
    )
  })

  test('hashes where clear text is needed: an error at the option, with the line of the file', async () => {
    const users = file('hashed', `# users\nann:secret\nbob:${HASH}\ncy:${HASH}\n`)
    assert.deepEqual(
      await findings(`  AuthCramMD5Parameters = [ uri = "file://${users}" ]
  AuthDigestMD5Parameters = [ uri = "file://${users}" stored_cleartext = true ]`),
      [
        'error 3: AuthCramMD5Parameters: FOLDER/hashed:3 has a hashed password, as 1 more lines have, and CRAM-MD5 needs clear text',
        'error 4: AuthDigestMD5Parameters: FOLDER/hashed:3 has a hashed password, as 1 more lines have, and DIGEST-MD5 needs clear text',
      ],
    )
  })

  test('hashes that nobody can use, lines that are none, files that others can read or that are not there', async () => {
    const odd = file('odd', 'ann:$6$salt$hash\nnonsense\n:x\n', 0o644)
    assert.deepEqual(await findings(`  AuthPlainParameters = [ uri = "file://${odd}" ]`), [
      'warning 3: AuthPlainParameters: FOLDER/odd:2 is not user:password (nor are 1 more)',
      'warning 3: AuthPlainParameters: FOLDER/odd:1: a hash "$6$" of a kind or cost that is not read; nobody can log in with it (postern passwd makes $argon2id$ and $scrypt$)',
      'warning 3: AuthPlainParameters: FOLDER/odd can be used by every user of this machine (chmod o= would keep them out)',
    ])
    assert.deepEqual(await findings(`  AuthPlainParameters = [ uri = "file://${folder}/none" ]`), [
      'warning 3: AuthPlainParameters: cannot read the user list FOLDER/none: ENOENT',
    ])
    const list = file('identities', '# nobody yet\n')
    const external = `  AuthExternalParameters = [ identity = fingerprint uri = "file://${list}" ]`
    assert.deepEqual(await findings(external), [
      'warning 3: AuthExternalParameters: FOLDER/identities names nobody: EXTERNAL lets nobody in',
    ])
    file('identities', 'ann:ab:cd\n')
    assert.deepEqual(await findings(external), [
      'warning 3: AuthExternalParameters: FOLDER/identities: "ab:cd" is no fingerprint',
    ])
  })

  test('schemes: those that are there, those that somebody brings, and those that are recognised', async () => {
    const radius = '  AuthPlainParameters = [ uri = "radius://" ]'
    assert.deepEqual(await findings(radius), [
      'error 3: AuthPlainParameters: radius:// is recognised, not implemented: nobody can log in with it',
    ])
    const brought = new CredentialStores({ schemes: new Map([['radius', () => new HtdigestStore('/none')]]) })
    assert.deepEqual(await findings(radius, brought), [])
    assert.deepEqual(await findings('  AuthPlainParameters = [ uri = "file://users" ]'), [
      'error 3: AuthPlainParameters: "file://users" must be file:///absolute/path',
    ])
  })
})
