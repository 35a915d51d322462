import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { PassThrough, Readable } from 'node:stream'
import { after, describe, test } from 'node:test'
import { FileStore } from '../smtp/auth/file-store.ts'
import { HashQueue } from '../smtp/auth/hash-queue.ts'
import { type PasswdOptions, runPasswd } from './passwd.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'postern-passwd-'))
after(() => rmSync(folder, { recursive: true, force: true }))
const bin = path.join(import.meta.dirname, '..', '..', 'bin', 'postern')

const text = (stream: PassThrough): string => String((stream.read() as Buffer | null) ?? '')

async function passwd(
  user: string,
  password: string,
  options: PasswdOptions = {},
): Promise<{ code: number; out: string; err: string }> {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()]
  const input = Readable.from([Buffer.from(password)])
  const code = await runPasswd(user, options, { stdout, stderr, terminal: false }, input)
  return { code, out: text(stdout), err: text(stderr) }
}

describe('postern passwd', () => {
  test('makes lines that the store takes, changes one, and leaves the others as they are', async () => {
    const file = path.join(folder, 'users')
    writeFileSync(file, '# ours\r\nold:se cret\r\nann:gone\r\nann:again\r\n', { mode: 0o644 })
    assert.equal((await passwd('ann', 'n\u00e4w\r\nmore\n', { file })).code, 0)
    assert.equal((await passwd('bob', 'two', { file, hash: 'scrypt' })).code, 0)
    assert.equal((await passwd('cy', 'three\n', { file, hash: 'none' })).code, 0)
    const text = readFileSync(file, 'utf8')
    assert.match(
      text,
      /^# ours\r\nold:se cret\r\nann:\$argon2id\$v=19\$m=19456,t=2,p=1\$\S+\r\nbob:\$scrypt\$ln=15,r=8,p=1\$\S+\r\ncy:three\r\n$/,
    )
    assert.equal(statSync(file).mode & 0o777, 0o640)
    const store = new FileStore(file, new HashQueue())
    const good = [
      ['ann', Buffer.from('n\u00e4w').toString('latin1')],
      ['bob', 'two'],
      ['cy', 'three'],
      ['old', 'se cret'],
    ] as const
    for (const [user, password] of good) {
      assert.equal(await store.verify({ user, password, client: '' }), true, user)
    }
  })

  test('a new file is for its owner only; a link stays one', async () => {
    const file = path.join(folder, 'new')
    const link = path.join(folder, 'link')
    symlinkSync(file, link)
    assert.equal((await passwd('ann', 'one', { file })).code, 0)
    assert.equal(statSync(file).mode & 0o777, 0o600)
    assert.equal((await passwd('bob', 'two', { file: link })).code, 0)
    assert.equal(readFileSync(file, 'utf8').split('\n').length, 3)
  })

  test('prints the line where no file is named, and htdigest lines in a realm', async () => {
    assert.match((await passwd('ann', 'one')).out, /^ann:\$argon2id\$\S+\n$/)
    const line = (await passwd('chris', 'secret', { realm: 'elwood.innosoft.com' })).out
    assert.equal(line, 'chris:elwood.innosoft.com:eb5a750053e4d2c34aa84bbc9b0b6ee7\n')
  })

  test('refuses what no line can hold, and a file that somebody else is changing', async () => {
    const file = path.join(folder, 'refused')
    const cases = [
      ['a:b', 'x', {}],
      ['', 'x', {}],
      ['#a', 'x', {}],
      ['a\nb', 'x', {}],
      ['a', '', {}],
      ['a', '\n', {}],
      ['a', 'x\0y', {}],
      ['a', 'y'.repeat(5000), {}],
      ['a', '$6$x$y', { hash: 'none' }],
      ['a', 'x', { realm: 'a:b' }],
    ] as const
    for (const [user, password, options] of cases) {
      const { code, err } = await passwd(user, password, { ...options, file })
      assert.equal(code, 1, user)
      assert.match(err, /^postern passwd: .*\n$/)
    }
    assert.throws(() => statSync(file), /ENOENT/)
    writeFileSync(`${file}.new`, '')
    assert.match((await passwd('a', 'x', { file })).err, /refused\.new is there/)
    assert.match((await passwd('a', 'x', { file: folder })).err, /is not a regular file/)
    assert.match((await passwd('a', 'x', { file: path.join(folder, 'none', 'users') })).err, /ENOENT/)
  })

  const python = spawnSync('python3', ['--version']).status === 0
  test('on a terminal it asks twice and shows nothing', {
    skip: !python && 'python3 is not installed',
  }, () => {
    const file = path.join(folder, 'typed')
    const script = `
import os, pty, sys
pid, fd = pty.fork()
if pid == 0: os.execv(sys.argv[1], [sys.argv[1], 'passwd', '-f', sys.argv[2], '--hash', 'none', 'ann'])
out = b''
def until(word):
    global out
    while word not in out:
        try: data = os.read(fd, 1000)
        except OSError: data = b''
        if data == b'': break
        out += data
until(b'Password: '); os.write(fd, b'geheim\\r')
until(b'Again: '); os.write(fd, sys.argv[3].encode() + b'\\r')
until(b'never')
print(out.decode(), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
`
    const type = (again: string): string => {
      const run = spawnSync('python3', ['-c', script, bin, file, again], {
        encoding: 'utf8',
        timeout: 20_000,
      })
      return run.stdout
    }
    assert.match(type('gehiem'), /not typed the same twice\r\n 1\n$/)
    const shown = type('geheim')
    assert.match(shown, /added ann\r\n 0\n$/)
    assert.ok(!shown.includes('geheim'))
    assert.equal(readFileSync(file, 'utf8'), 'ann:geheim\n')
  })

  test('the password cannot be given on the command line', () => {
    const run = spawnSync(bin, ['passwd', 'ann', 'secret'], { encoding: 'utf8', input: '' })
    assert.equal(run.status, 64)
  })
})
