import assert from 'node:assert/strict'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, test } from 'node:test'
import { isProofFolder, proofFolder, provenUser, userName } from './system-user.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'postern-user-'))
after(() => rmSync(folder, { recursive: true, force: true }))

test('the owner of a folder of its own is who made it; a link, a file and a folder for others prove nothing', async () => {
  const own = path.join(folder, 'own')
  assert.equal(await provenUser(own), undefined)
  mkdirSync(own, { mode: 0o700 })
  assert.equal(await provenUser(own), process.getuid?.())
  const link = path.join(folder, 'link')
  symlinkSync(own, link)
  assert.equal(await provenUser(link), undefined)
  const file = path.join(folder, 'file')
  writeFileSync(file, '', { mode: 0o700 })
  assert.equal(await provenUser(file), undefined)
  chmodSync(own, 0o777)
  assert.equal(await provenUser(own), undefined)
})

test('names cannot be guessed, and a client makes nothing elsewhere', () => {
  // only below a sticky folder of root's
  const socket = '/run/postern/console'
  assert.equal(proofFolder(socket, folder), undefined)
  assert.equal(proofFolder(socket, path.join(folder, 'none')), undefined)
  const [one, two] = [proofFolder(socket) ?? '', proofFolder(socket) ?? '']
  assert.notEqual(one, two)
  assert.ok(isProofFolder(one, socket))
  for (const bad of ['/etc/cron.d/x', `${one}/../x`, `/tmp/${path.basename(one)}`, `${one}x`, ''])
    assert.ok(!isProofFolder(bad, socket), bad)
  assert.ok(!isProofFolder(one, '/tmp/console'), 'nor for another socket')
})

test('a user has a name, or a number', async () => {
  const passwd = path.join(folder, 'passwd')
  writeFileSync(passwd, 'root:x:0:0::/:/bin/sh\nann:x:1000:1000::/:/bin/sh\nbad name:x:7:7::/:/x\n')
  assert.deepEqual(
    [await userName(1000, passwd), await userName(7, passwd), await userName(12, passwd)],
    ['ann', 'uid 7', 'uid 12'],
  )
  assert.equal(await userName(0, path.join(folder, 'none')), 'uid 0')
})
