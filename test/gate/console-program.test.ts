/** `postern console` as a program, against gates that are programs. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { lstatSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { bin, type GateProcess, startGateProcess } from '../support/gate-process.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'postern-console-'))
const conf = path.join(folder, 'gate.conf')
const socket = path.join(folder, 'control')
let gate: GateProcess

before(async () => {
  writeFileSync(
    conf,
    `Hostname = "gate.example"\nSpoolbase = "spool"\nSpool_Min_Free = 1M\nControl_Listener "ops" { Listen "${socket}" { } }\n`,
  )
  gate = await startGateProcess(conf)
})
after(async () => {
  await gate.end('SIGTERM')
  rmSync(folder, { recursive: true, force: true })
})

interface Ran {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs `postern console …` with a pipe as its input. */
function run(args: readonly string[], input = ''): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const child = spawn(bin, ['console', ...args], { cwd: folder, stdio: 'pipe' })
    let [stdout, stderr] = ['', '']
    child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()))
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
    child.once('error', reject)
    child.once('close', (code) => resolve({ code, stdout, stderr }))
    child.stdin.end(input)
  })
}

test('a command on the command line, lines from a pipe, JSON for programs', async () => {
  const pid = `${gate.child.pid}\n`
  const [one, socketNamed, piped, json, wrong] = await Promise.all([
    run(['-c', conf, 'pid']),
    run(['-c', socket, 'config', 'eval', 'hostname']),
    run(['-c', conf], '# first\npid\nnonsense\n\npid\nquit\nversion\n'),
    run(['-c', conf, '--json', 'mailq', '-l', '5']),
    run(['-c', conf, '--json', 'nonsense']),
  ])
  // bin/postern becomes the server
  assert.deepEqual(one, { code: 0, stdout: pid, stderr: '' })
  assert.match(socketNamed.stdout, /^Hostname = "gate\.example"\n/)
  assert.equal(piped.code, 1)
  assert.equal(piped.stdout, pid + pid)
  assert.match(piped.stderr, /^there is no command "nonsense"/)
  assert.deepEqual(JSON.parse(json.stdout), { rows: [], leftOut: 0 })
  assert.equal(wrong.code, 1)
  assert.match(String((JSON.parse(wrong.stdout) as { error: unknown }).error), /there is no command/)
})

test('what is missing is named, with what to write', async () => {
  const bare = path.join(folder, 'bare.conf')
  const dead = path.join(folder, 'dead.conf')
  const broken = path.join(folder, 'broken.conf')
  writeFileSync(bare, 'Hostname = "x.example"\n')
  writeFileSync(dead, `Control_Listener { Listen "${folder}/nobody" { } }\n`)
  writeFileSync(broken, 'Nonsense = 1\n')
  const [none, nobody, unreadable] = await Promise.all([
    run(['-c', bare, 'pid']),
    run(['-c', dead, 'pid']),
    run(['-c', broken, 'pid']),
  ])
  assert.equal(none.code, 1)
  assert.match(
    none.stderr,
    /bare\.conf has no console; write for example: Control_Listener "console" \{ Listen/,
  )
  assert.equal(nobody.code, 1)
  assert.match(nobody.stderr, /nobody: nobody listens there: the gate is not running/)
  assert.equal(unreadable.code, 1)
  assert.match(unreadable.stderr, /unknown option "Nonsense"[^]*name the socket of the running gate/)
  assert.doesNotMatch(none.stderr + nobody.stderr + unreadable.stderr, /\n\s+at /)
})

test('a socket that a killed gate left behind is replaced by the next one', async () => {
  const other = mkdtempSync(path.join(tmpdir(), 'postern-console-'))
  const file = path.join(other, 'gate.conf')
  const path2 = path.join(other, 'control')
  writeFileSync(
    file,
    `Spoolbase = "spool"\nSpool_Min_Free = 1M\nControl_Listener { Listen "${path2}" { } }\n`,
  )
  const killed = await startGateProcess(file)
  await killed.end('SIGKILL')
  assert.ok(lstatSync(path2).isSocket())
  const next = await startGateProcess(file)
  const { stdout } = await run(['-c', path2, 'pid'])
  assert.equal(stdout, `${next.child.pid}\n`)
  await next.end('SIGTERM')
  rmSync(other, { recursive: true, force: true })
})
