import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { PassThrough } from 'node:stream'
import { after, test } from 'node:test'
import { runPki } from './pki.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'postern-pki-'))
after(() => rmSync(folder, { recursive: true, force: true }))

async function run(...argv: string[]): Promise<{ code: number; out: string; err: string }> {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()]
  const code = await runPki(argv, { stdout, stderr, terminal: false })
  return { code, out: String(stdout.read() ?? ''), err: String(stderr.read() ?? '') }
}

test('a folder of certificates is written, keys for the owner alone, and each file is explained', async () => {
  const target = path.join(folder, 'new', 'pki')
  const { code, out, err } = await run(target)
  assert.deepEqual([code, err], [0, ''])
  const names = readdirSync(target).filter((name) => !name.startsWith('.'))
  for (const name of names) {
    const mode = statSync(path.join(target, name)).mode & 0o777
    if (name.endsWith('.key')) assert.equal(mode, 0o600, name)
    if (name.endsWith('.pem')) assert.match(out, new RegExp(`^  ${name.replaceAll('.', '\\.')} +\\S`, 'm'))
  }
  const certificate = (name: string) => new X509Certificate(readFileSync(path.join(target, name)))
  const ca = certificate('ca.pem')
  assert.ok(certificate('client-valid.pem').verify(ca.publicKey))
  assert.equal(certificate('client-untrusted.pem').verify(ca.publicKey), false)
  assert.ok(new Date(certificate('client-expired.pem').validTo) < new Date())
  assert.match(readFileSync(path.join(target, 'crl.pem'), 'utf8'), /BEGIN X509 CRL/)
  assert.match(out, /openssl s_client .*-starttls smtp/)
  assert.ok(out.includes(path.join(target, 'client-valid.key')))
  assert.ok(out.includes(`TLS_Client_CA = "${path.join(target, 'ca.pem')}"`))
})

test('a folder of its own is made anew, and gives no file the mode or the target that it had', async () => {
  const target = path.join(folder, 'again')
  await run(target)
  const key = path.join(target, 'server.key')
  const before = readFileSync(key, 'utf8')
  chmodSync(key, 0o666)
  const elsewhere = path.join(folder, 'elsewhere')
  writeFileSync(elsewhere, 'untouched')
  rmSync(path.join(target, 'ca.pem'))
  symlinkSync(elsewhere, path.join(target, 'ca.pem'))
  assert.equal((await run(target)).code, 0)
  assert.notEqual(readFileSync(key, 'utf8'), before)
  assert.equal(statSync(key).mode & 0o777, 0o600)
  assert.equal(readFileSync(elsewhere, 'utf8'), 'untouched')
})

test('an empty folder is taken', async () => {
  const target = path.join(folder, 'empty')
  mkdirSync(target)
  assert.equal((await run(target)).code, 0)
})

test('a folder with something else in it, or a file, is refused and left as it is', async () => {
  const target = path.join(folder, 'foreign')
  mkdirSync(target)
  writeFileSync(path.join(target, 'server.key'), 'precious')
  const { code, out, err } = await run(target)
  assert.deepEqual([code, out], [1, ''])
  assert.match(err, /^postern pki: .*foreign is not empty and was not made by this command/)
  assert.deepEqual(readdirSync(target), ['server.key'])
  assert.match((await run(path.join(target, 'server.key'))).err, /is not a folder/)
})

test('one folder has to be named', async () => {
  for (const argv of [[], [''], ['a', 'b']]) assert.equal((await run(...argv)).code, 1)
  assert.equal(existsSync('a'), false)
})

test('the line to paste survives a folder with a space in its name', async () => {
  const target = path.join(folder, "it's a folder")
  const { out } = await run(target)
  assert.ok(out.includes(`-CAfile '${path.join(folder, `it'\\''s a folder`, 'ca.pem')}'`))
})
