/** The commands of docs/getting-started.md, exactly as a user would type them, against a running gate. */

import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, test } from 'node:test'
import { makePki, writePki } from '../../src/tls/pki.ts'

const root = path.join(import.meta.dirname, '..', '..')
const page = readFileSync(path.join(root, 'docs', 'getting-started.md'), 'utf8')
const commands = [...page.matchAll(/<!-- client: (\w+) -->\n```sh\n([^]*?)```/g)].map(
  ([, name = '', text = '']) => ({
    name,
    text,
  }),
)
const programs: Readonly<Record<string, string>> = {
  openssl: 'openssl',
  swaks: 'swaks',
  curl: 'curl',
  python: 'python3',
  gnutls: 'gnutls-cli',
}

let folder: string
let stop: () => Promise<void>
let port: string

before(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'postern-clients-'))
  cpSync(path.join(root, 'examples'), path.join(folder, 'examples'), {
    recursive: true,
    filter: (source) => !/examples\/(run|pki)/.test(source),
  })
  await writePki(path.join(folder, 'examples', 'pki'), await makePki())
  const conf = path.join(folder, 'examples', 'gate.conf')
  writeFileSync(conf, readFileSync(conf, 'utf8').replace('127.0.0.1:2525', '127.0.0.1:0'))
  const child = spawn(path.join(root, 'bin', 'postern'), ['serve', '-c', conf], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const exit = once(child, 'exit') as Promise<[number | null]>
  stop = async () => {
    child.kill('SIGTERM')
    const [code] = await exit
    assert.equal(code, 0, 'SIGTERM ends the server with exit code 0')
  }
  for await (const line of createInterface({ input: child.stdout })) {
    port = /127\.0\.0\.1:(\d+)/.exec(line)?.[1] ?? ''
    if (line.startsWith('postern ready')) break
  }
})
after(async () => {
  await stop()
  rmSync(folder, { recursive: true, force: true })
})

test('the page has a command for each client', () => {
  assert.deepEqual(commands.map(({ name }) => name).toSorted(), Object.keys(programs).toSorted())
})

for (const { name, text } of commands) {
  const program = programs[name] ?? name
  const missing = spawnSync('sh', ['-c', `command -v ${program}`]).status !== 0
  test(`${name} delivers a message with a client certificate`, {
    skip: missing && `${program} is not installed`,
  }, () => {
    const script = text.replaceAll('2525', port)
    const run = spawnSync('bash', ['-c', script], { cwd: folder, encoding: 'utf8', timeout: 30_000 })
    assert.equal(run.error, undefined)
    const mail = waitForMail(path.join(folder, 'examples', 'run', 'mail', name, 'new'))
    assert.match(mail, new RegExp(`^Subject: by ${name}$`, 'm'), `${run.stdout}\n${run.stderr}`)
    assert.match(mail, /^Return-Path: <me@client\.example>$/m)
    assert.match(mail, /with ESMTPS/)
    assert.match(mail, /client-valid\.example/, 'Received states the certificate')
  })
}

function waitForMail(directory: string): string {
  const until = Date.now() + 5000
  const wait = new Int32Array(new SharedArrayBuffer(4))
  for (;;) {
    const files = list(directory)
    if (files[0] !== undefined) return readFileSync(path.join(directory, files[0]), 'latin1')
    if (Date.now() > until) return ''
    Atomics.wait(wait, 0, 0, 20)
  }
}

function list(directory: string): string[] {
  try {
    return readdirSync(directory)
  } catch {
    return []
  }
}
