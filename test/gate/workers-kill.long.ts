/**
 * kill -9 of a worker, of all workers, of the supervisor, and other numbers of workers after it: nothing that was
 * answered 250 is lost, and no two nodes are ever on one spool.
 */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { bin, type GateProcess, pauseProcess, startGateProcess } from '../support/gate-process.ts'
import { SmtpClient } from '../support/smtp-client.ts'
import { SmtpSink } from '../support/smtp-sink.ts'

const SENDERS = 6

let folder: string
let conf: string
const accepted = new Set<string>()
const counter = { next: 0 }

const gates: GateProcess[] = []

before(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'postern-workers-'))
  conf = path.join(folder, 'gate.conf')
  // when all workers are gone at once their sockets are made anew, and port 0 would then be another port
  write(`127.0.0.1:${await freePort()}`)
})
after(() => {
  for (const { child } of gates) child.kill('SIGKILL')
  rmSync(folder, { recursive: true, force: true })
})

async function freePort(): Promise<number> {
  const server = createServer()
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

function write(listen: string, more = '', listener = ''): void {
  writeFileSync(
    conf,
    `Hostname = "gate.example"
     Spoolbase = "spool"
     Spool_Min_Free = 1M
     DNS_Servers = ( "127.0.0.1:9" )
     ESMTP_Listener { ${listener} Listen "${listen}" { } }
     maildir "m" { basedir = "mail" domains = ( "gate.example" ) create_users = true }
     ${more}`,
  )
}

async function serve(workers: number, wrapper: readonly string[] = []): Promise<GateProcess> {
  const gate = await startGateProcess(conf, wrapper, ['--workers', String(workers)])
  gates.push(gate)
  return gate
}

/**
 * What to put before a command so that any user can read the program: nothing, or a mount namespace in which it also lies
 * in the test's folder, when the checkout is in somebody's private one.
 */
function forAnybody(): readonly string[] {
  const root = path.dirname(path.dirname(bin))
  const asNobody = ['--reuid', '65534', '--regid', '65534', '--clear-groups', 'test', '-r', bin]
  if (spawnSync('setpriv', asNobody).status === 0) return []
  const program = path.join(folder, 'program')
  const parts = ['bin', 'src', 'node_modules']
  for (const part of parts) mkdirSync(path.join(program, part), { recursive: true })
  copyFileSync(path.join(root, 'package.json'), path.join(program, 'package.json'))
  const mounts = parts.map((part) => `mount --bind '${root}/${part}' '${program}/${part}'`)
  const script = `${mounts.join(' && ')} && shift && exec '${program}/bin/postern' "$@"`
  return ['unshare', '--mount', 'sh', '-c', script, 'sh']
}

/** process ids of a gate's workers */
function workersOf({ child: { pid } }: GateProcess): number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').trim()
  return text.split(' ').flatMap((each) => (isWorker(Number(each)) ? [Number(each)] : []))
}

function isWorker(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes('workers')
  } catch {
    return false
  }
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

async function until(what: () => boolean): Promise<void> {
  const end = Date.now() + 30_000
  while (!what()) {
    assert.ok(Date.now() < end, `in time: ${what.toString()}`)
    await delay(20)
  }
}

function policy(text: string): void {
  writeFileSync(path.join(folder, 'policy.ts'), text)
}

/** A second node, which must not come up. */
function second(): { readonly status: number | null; readonly stderr: string } {
  return spawnSync(bin, ['serve', '-c', conf, '--workers', '1'], { encoding: 'utf8', timeout: 30_000 })
}

/** Sends until it is told to end; a connection that is cut off is made anew. */
async function send(gate: GateProcess, ended: AbortSignal): Promise<void> {
  const [address] = gate.addresses
  assert.ok(address)
  while (!ended.aborted) {
    try {
      const client = await SmtpClient.connect(address)
      await client.reply()
      await client.ehlo()
      while (!ended.aborted) {
        const subject = `m${++counter.next}`
        const reply = await client.deliver(
          'a@b.example',
          'box@gate.example',
          `Subject: ${subject}\n\nThe end.\n`,
        )
        // one that is left alone lets its sessions go
        if (reply.startsWith('421')) throw new Error(reply)
        assert.match(reply, /^250/)
        accepted.add(subject)
      }
      client.destroy()
    } catch (error) {
      if (error instanceof assert.AssertionError) throw error
      await delay(20)
    }
  }
}

async function underLoad(gate: GateProcess, work: () => Promise<void>): Promise<void> {
  const ended = new AbortController()
  const senders = Array.from({ length: SENDERS }, () => send(gate, ended.signal))
  const more = async (): Promise<void> => {
    const enough = accepted.size + SENDERS * 3
    await until(() => accepted.size >= enough)
  }
  await more()
  await work()
  if (alive(gate.child.pid ?? 0)) await more()
  ended.abort()
  await Promise.all(senders)
}

/** how often each subject is in the mailbox */
function copies(): Map<string, number> {
  const inbox = path.join(folder, 'mail', 'box', 'new')
  const found = new Map<string, number>()
  for (const name of readdirSync(inbox)) {
    const subject = /^Subject: (.*)$/m.exec(readFileSync(path.join(inbox, name), 'latin1'))?.[1] ?? ''
    found.set(subject, (found.get(subject) ?? 0) + 1)
  }
  return found
}

describe('kill -9 under load', () => {
  test('of one worker, of all, of the supervisor: everything accepted arrives, with any number of workers', async () => {
    const gate = await serve(2)
    await underLoad(gate, async () => {
      const [first = 0] = workersOf(gate)
      process.kill(first, 'SIGKILL')
      await until(() => workersOf(gate).length === 2 && !workersOf(gate).includes(first))
    })
    await underLoad(gate, async () => {
      const all = workersOf(gate)
      for (const pid of all) process.kill(pid, 'SIGKILL')
      await until(() => workersOf(gate).length === 2 && all.every((pid) => !alive(pid)))
    })
    const workers = workersOf(gate)
    await underLoad(gate, async () => {
      await gate.end('SIGKILL')
    })
    await until(() => workers.every((pid) => !alive(pid)))

    const one = await serve(0)
    assert.deepEqual(
      readdirSync(path.join(folder, 'spool')).filter((name) => /^\d+$/.test(name)),
      ['0', '1'],
    )
    await underLoad(one, () => Promise.resolve())
    assert.equal(await one.end('SIGKILL'), 'SIGKILL')
    const other = await serve(1)
    await underLoad(other, () => Promise.resolve())
    await until(() => [...accepted].every((subject) => copies().has(subject)))
    assert.equal(await other.end('SIGTERM'), 0)
    for (const [subject, count] of copies()) assert.equal(count, 1, `${subject} is there once`)
  })

  test('a second serve refuses to start, also while workers of a killed supervisor have not ended', async () => {
    const gate = await serve(1)
    const refused = second()
    assert.equal(refused.status, 1)
    assert.match(refused.stderr, new RegExp(`spool .* is in use by process ${gate.child.pid}`))
    const workers = workersOf(gate)
    const [stuck = 0] = workers
    await pauseProcess(stuck)
    await gate.end('SIGKILL')
    const again = second()
    assert.equal(again.status, 1)
    assert.match(again.stderr, /is in use by process \d+/)
    process.kill(stuck, 'SIGCONT')
    await until(() => workers.every((pid) => !alive(pid)))
    const last = await serve(1)
    assert.equal(await last.end('SIGTERM'), 0)
  })

  test('what a worker had that cannot be replaced is delivered by another one', async () => {
    const hop = { open: false, refused: 0 }
    const rcpt = (): string => (hop.open ? '250 2.1.5 ok' : `451 4.3.2 not yet: ${(hop.refused += 1)}`)
    const sink = await SmtpSink.start({ rcpt })
    policy('export const policy = { connect: () => undefined }\n')
    write(
      '127.0.0.1:0',
      `Domain "hop.example" { Gateway = "127.0.0.1:${sink.port}" }
       scriptlet "scriptlet" { script "p" { source = "policy.ts" } }`,
      'Open_Relay = true',
    )
    const gate = await serve(2)
    const [victim = 0, other = 0] = workersOf(gate)
    const [address] = gate.addresses
    assert.ok(address)
    await pauseProcess(other)
    const client = await SmtpClient.connect(address)
    await client.reply()
    await client.ehlo()
    assert.match(await client.deliver('a@b.example', 'x@hop.example', 'Subject: inherited\n\nhi\n'), /^250/)
    process.kill(other, 'SIGCONT')
    policy('throw new Error("not any more")\n')
    await until(() => hop.refused > 0)
    hop.open = true
    process.kill(victim, 'SIGKILL')
    await until(() => sink.received.length === 1)
    assert.match(gate.complaints(), /has taken over partition \d of the spool/)
    assert.equal(await gate.end('SIGTERM'), 0)
    await sink.close()
  })

  test('started as root, workers that were all killed come back on a port below 1024', {
    skip: process.getuid?.() === 0 ? false : 'it needs root',
  }, async () => {
    write('127.0.0.1:925', 'Security { User = "nobody" Group = "nogroup" }')
    chmodSync(folder, 0o777)
    rmSync(path.join(folder, 'spool'), { recursive: true, force: true })
    rmSync(path.join(folder, 'mail'), { recursive: true, force: true })
    const gate = await serve(2, forAnybody())
    const all = workersOf(gate)
    for (const pid of all) {
      assert.match(readFileSync(`/proc/${pid}/status`, 'latin1'), /^CapEff:\s*0000000000000400$/m)
      process.kill(pid, 'SIGKILL')
    }
    await underLoad(gate, () => Promise.resolve())
    assert.ok(workersOf(gate).every((pid) => !all.includes(pid)))
    assert.equal(await gate.end('SIGTERM'), 0)
  })
})
