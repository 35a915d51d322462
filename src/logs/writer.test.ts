/** A log file by itself: appended to in the background, whole lines only, and never in anybody's way. */

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  closeSync,
  constants,
  existsSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, describe, test } from 'node:test'
import { LogWriter } from './writer.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'postern-log-file-'))
after(() => rmSync(folder, { recursive: true, force: true }))

let names = 0
const fresh = (name = 'log'): string => path.join(folder, `${name}-${++names}`)
const read = (file: string): string => readFileSync(file, 'latin1')

/** The largest file that this process may write. */
const limitFiles = (octets: string): void => {
  execFileSync('prlimit', [`--fsize=${octets}:`, '--pid', String(process.pid)])
}

const writerOf = (file: string, options: { maxWaiting?: number; mode?: number } = {}) => {
  const reports: string[] = []
  const onReport = (message: string) => reports.push(message)
  const writer = new LogWriter({
    path: file,
    mode: 0o640,
    onReport,
    flushAfter: 1,
    retryAfter: 5,
    ...options,
  })
  return { writer, reports }
}

describe('a log file', () => {
  test('gets the configured mode when it is created, whatever the umask, and its folder one to match', async () => {
    const file = path.join(fresh('folder'), 'deep', 'panic.log')
    const { writer } = writerOf(file, { mode: 0o666 })
    await writer.close()
    assert.equal(statSync(file).mode & 0o777, 0o666)
    assert.equal(statSync(path.dirname(file)).mode & 0o700, 0o700)
  })

  test('keeps the mode and the content that it had', async () => {
    const file = fresh()
    writeFileSync(file, 'before\n')
    chmodSync(file, 0o600)
    const { writer } = writerOf(file)
    writer.write('after')
    await writer.close()
    assert.equal(read(file), 'before\nafter\n')
    assert.equal(statSync(file).mode & 0o777, 0o600)
  })

  test('is written without anybody asking for it', async () => {
    const file = fresh()
    const { writer } = writerOf(file)
    writer.write('line')
    const deadline = Date.now() + 5000
    while (!existsSync(file) || read(file) === '') {
      assert.ok(Date.now() < deadline, 'the line never came')
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
    assert.equal(read(file), 'line\n')
    await writer.close()
  })

  test('that cannot be written is reported once, keeps its lines, and gets them all later', async () => {
    const target = path.join(fresh('folder'), 'log')
    writeFileSync(path.dirname(target), 'a file where the folder should be')
    const { writer, reports } = writerOf(target)
    writer.write('one')
    await writer.flush()
    await writer.flush()
    writer.write('two')
    assert.equal(reports.length, 1)
    assert.match(reports[0] ?? '', /^cannot write .*\/log: /)
    rmSync(path.dirname(target))
    await writer.flush()
    assert.equal(read(target), 'one\ntwo\n')
    assert.match(reports[1] ?? '', /written again; 0 lines were lost/)
    assert.equal(writer.dropped, 0)
    await writer.close()
  })

  test('holds a bounded number of lines while it cannot be written, and counts the rest', async () => {
    const { writer, reports } = writerOf('/dev/full', { maxWaiting: 100 })
    for (let i = 0; i < 1000; i++) writer.write('0123456789')
    await writer.flush()
    for (let i = 0; i < 1000; i++) writer.write('0123456789')
    assert.equal(writer.dropped, 1991)
    await writer.close()
    assert.equal(writer.dropped, 2000)
    assert.match(reports.at(-1) ?? '', /9 lines are lost/)
  })

  test('never ends in half a line where there is no space for a whole one, whoever writes next', async (t) => {
    const file = fresh()
    const { writer, reports } = writerOf(file)
    await writer.flush()
    t.after(() => limitFiles('unlimited'))
    limitFiles('1000')
    for (let n = 10; n < 50; n++) writer.write(JSON.stringify({ n, text: 'x'.repeat(40) }))
    await writer.flush()
    const first = read(file)
    limitFiles('unlimited')
    assert.match(first, /"\}\n$/)
    assert.ok(first.length > 900 && first.length <= 1000)
    assert.match(reports.join(), /no space for a whole line/)
    writeFileSync(file, '{"n":"of another process"}\n', { flag: 'a' })
    await writer.close()
    const numbers = read(file)
      .trimEnd()
      .split('\n')
      .map((line) => (JSON.parse(line) as { n: unknown }).n)
    const own = numbers.filter((n) => typeof n === 'number')
    assert.deepEqual(
      own,
      Array.from({ length: 40 }, (_, n) => n + 10),
    )
    assert.equal(numbers.length, 41)
    assert.equal(writer.dropped, 0)
  })

  test('that is a pipe without a reader blocks nothing', async () => {
    const pipe = fresh('pipe')
    execFileSync('mkfifo', [pipe])
    const { writer, reports } = writerOf(pipe)
    writer.write('line')
    await writer.close()
    assert.match(reports[0] ?? '', /ENXIO/)
    assert.equal(writer.dropped, 1)
  })

  test('of whose lines a part was taken counts the others as lost, and none twice', async () => {
    const pipe = fresh('pipe')
    execFileSync('mkfifo', [pipe])
    // it reads nothing before it is told to
    const reader = openSync(pipe, constants.O_RDONLY | constants.O_NONBLOCK)
    const { writer, reports } = writerOf(pipe)
    for (let count = 0; count < 200; count++) writer.write('x'.repeat(1000))
    await writer.close()
    const taken = Buffer.alloc(200_000)
    let length = 0
    for (let some = -1; some !== 0; length += some) some = readSync(reader, taken, { offset: length })
    closeSync(reader)
    const whole = taken.subarray(0, length).filter((octet) => octet === 10).length
    assert.ok(whole > 0 && whole < 200, `${whole} lines`)
    assert.equal(writer.dropped, 200 - whole)
    assert.match(reports.at(-1) ?? '', new RegExp(`: ${200 - whole} lines are lost$`))
  })

  test('may be a symbolic link to a file that does not exist yet', async () => {
    const link = fresh('link')
    symlinkSync(`${link}.target`, link)
    const { writer, reports } = writerOf(link)
    writer.write('line')
    await writer.close()
    assert.deepEqual(reports, [])
    assert.equal(read(`${link}.target`), 'line\n')
  })

  test('a large burst arrives whole and in order', async () => {
    const file = fresh()
    const { writer } = writerOf(file)
    const lines = Array.from({ length: 20_000 }, (_, i) => `line ${i} ${'x'.repeat(i % 50)}`)
    for (const line of lines) writer.write(line)
    await writer.close()
    assert.equal(read(file), `${lines.join('\n')}\n`)
    assert.equal(writer.dropped, 0)
  })

  test('takes no line after it was closed, and says so in its count', async () => {
    const { writer } = writerOf(fresh())
    await writer.close()
    writer.write('late')
    assert.equal(writer.dropped, 1)
  })
})
