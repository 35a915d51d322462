import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  chownSync,
  linkSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { keepFile, makeFile, NotKeptError, refusalOf } from './keep-file.ts'

let folder: string
let file: string
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'postern-keep-'))
  file = path.join(folder, 'gate.conf')
  writeFileSync(file, 'old\n')
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const keep = (before: string | undefined, name = file): Promise<void> =>
  keepFile(name, { before, after: 'new\n', mode: 0o640 })

test('the new text has the mode and the owner of the old one, and nothing is left beside it', async () => {
  chmodSync(file, 0o604)
  const root = process.getuid?.() === 0
  if (root) chownSync(file, 4711, 4712)
  await keep('old\n')
  const { mode, uid, gid } = statSync(file)
  assert.equal(readFileSync(file, 'utf8'), 'new\n')
  assert.equal(mode & 0o7777, 0o604)
  if (root) assert.deepEqual([uid, gid], [4711, 4712])
  assert.deepEqual(readdirSync(folder), ['gate.conf'])
})

test('a link stays a link, and what it leads to is replaced', async () => {
  const name = path.join(folder, 'link.conf')
  symlinkSync('gate.conf', name)
  await keep('old\n', name)
  assert.equal(readlinkSync(name), 'gate.conf')
  assert.equal(readFileSync(file, 'utf8'), 'new\n')
})

test('a file that is not what was read, has a second name or holds other octets stays as it is', async () => {
  await assert.rejects(keep('older\n'), /has changed since it was read/)
  await assert.rejects(keep(undefined), /has changed since it was read/)
  await assert.rejects(keep('x', path.join(folder, 'none.conf')), /has changed since it was read/)
  assert.equal(readFileSync(file, 'utf8'), 'old\n')
  linkSync(file, path.join(folder, 'second'))
  await assert.rejects(keep('old\n'), /several names/)
  const latin = path.join(folder, 'latin.conf')
  writeFileSync(latin, Buffer.from([0x23, 0xe4, 0x0a]))
  await assert.rejects(keep('#\ufffd\n', latin), /not UTF-8/)
  assert.deepEqual(readdirSync(folder).toSorted(), ['gate.conf', 'latin.conf', 'second'])
})

test('a new file is made with its mode, and never in the place of another one', async () => {
  const made = path.join(folder, 'local.conf')
  await keep(undefined, made)
  assert.equal(statSync(made).mode & 0o7777, 0o640)
  await assert.rejects(makeFile(made, 'other', 0o600), NotKeptError)
  assert.equal(readFileSync(made, 'utf8'), 'new\n')
  assert.match((await refusalOf(path.join(folder, 'no/such/folder.conf'))) ?? '', /cannot be written/)
  assert.equal(await refusalOf(made), undefined)
})

/** Replaces a file by turns, until it is killed. */
const byTurns = `
import { keepFile } from ${JSON.stringify(path.join(import.meta.dirname, 'keep-file.ts'))}
const [, file, size] = process.argv
const texts = ['a', 'b'].map((octet) => octet.repeat(Number(size)))
console.log('begun')
for (let turn = 0; ; turn++)
  await keepFile(file, { before: texts[turn % 2], after: texts[1 - (turn % 2)], mode: 0o600 })
`

test('kill -9 leaves the old text or the new one, whole, and the next write clears up', async () => {
  const size = 3_000_000
  let left = 0
  for (let round = 0; round < 5; round++) {
    writeFileSync(file, 'a'.repeat(size))
    const child = spawn(process.execPath, ['--input-type=module', '-e', byTurns, file, String(size)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    await once(child.stdout, 'data')
    // somewhere in the midst of it: each turn takes a few milliseconds
    await delay(15 + 3 * round)
    child.kill('SIGKILL')
    await once(child, 'close')
    const text = readFileSync(file, 'latin1')
    assert.ok(
      text === 'a'.repeat(size) || text === 'b'.repeat(size),
      `${text.length} octets, ${text.slice(0, 1)}…`,
    )
    left += readdirSync(folder).length - 1
  }
  assert.ok(left > 0, 'it was killed while it wrote')
  const whole = readFileSync(file, 'utf8')
  await keepFile(file, { before: whole, after: 'new\n', mode: 0o600 })
  assert.deepEqual(readdirSync(folder), ['gate.conf'])
})
