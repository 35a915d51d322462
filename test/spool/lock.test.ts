import assert from 'node:assert/strict'
import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { openSpool } from '../../src/spool/lmdb-spool.ts'
import { SpoolLockedError } from '../../src/spool/lock.ts'

let path = ''
before(async () => {
  path = await mkdtemp(join(tmpdir(), 'postern-lock-'))
})
after(async () => await rm(path, { recursive: true }))

const open = async () =>
  await openSpool({
    path,
    mode: 0o600,
    minFree: 0,
    receptionMemory: 1_000_000,
    clock: () => Date.now(),
    events: { emit: (event) => assert.fail(JSON.stringify(event)) },
  })

/** Starts a process that opens the spool; its first line. */
async function start(): Promise<{ readonly child: ChildProcess; readonly said: string }> {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'lock-holder.ts'), path], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const [said] = (await once(child.stdout, 'data')) as [Buffer]
  return { child, said: said.toString().trim() }
}

async function kill(child: ChildProcess): Promise<void> {
  child.kill('SIGKILL')
  await once(child, 'close')
}

test('a live holder keeps others out and is named; killed, it is in nobody’s way', async () => {
  const holder = await start()
  assert.equal(holder.said, 'open')
  await assert.rejects(open(), (error) => {
    assert.ok(error instanceof SpoolLockedError)
    assert.equal(error.pid, holder.child.pid)
    assert.match(error.message, new RegExp(`in use by process ${holder.child.pid}`))
    return true
  })
  const second = await start()
  assert.match(second.said, /^SpoolLockedError: .* is in use by process \d+$/)
  await kill(holder.child)
  const spool = await open()
  const third = await start()
  assert.match(third.said, new RegExp(`process ${process.pid}$`))
  await spool.close()
})

test('the same process cannot open it twice, and may open it again after closing', async () => {
  const spool = await open()
  await assert.rejects(open(), SpoolLockedError)
  await spool.close()
  await (await open()).close()
})

test('the pid file alone keeps nobody out', async () => {
  await writeFile(join(path, '0/owner'), `${process.ppid}\n`)
  await (await open()).close()
})

test('of several that start at the same time exactly one has it', async () => {
  const started = await Promise.all([start(), start(), start(), start()])
  const said = started.map((one) => one.said)
  assert.equal(said.filter((line) => line === 'open').length, 1, said.join('\n'))
  assert.equal(said.filter((line) => line.startsWith('SpoolLockedError')).length, 3, said.join('\n'))
  for (const { child } of started) if (child.exitCode === null) child.kill('SIGKILL')
})
