/**
 * A worker that hangs, stopped by a signal or in a loop without end, is killed after the bound and replaced; what it had
 * accepted goes out. The supervisor is this process, so that the bound can be a short one.
 */

import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { Supervisor } from '../../src/workers/supervisor.ts'
import { ask, told } from '../support/console-client.ts'
import { pauseProcess } from '../support/gate-process.ts'
import { type Address, SmtpClient } from '../support/smtp-client.ts'
import { SmtpSink } from '../support/smtp-sink.ts'

const BOUND_MS = 3000

let folder: string
let control: string
let sink: SmtpSink
const hop = { open: false, refused: 0 }
let node: Supervisor
const panics: string[] = []

function rcpt(): string {
  if (hop.open) return '250 2.1.5 ok'
  hop.refused += 1
  return '451 4.3.2 not yet'
}

before(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'postern-hang-'))
  control = path.join(folder, 'control')
  sink = await SmtpSink.start({ rcpt })
  writeFileSync(
    path.join(folder, 'policy.ts'),
    `import { existsSync, rmSync } from 'node:fs'
     const trap = ${JSON.stringify(path.join(folder, 'trap'))}
     const connect = () => {
       if (!existsSync(trap)) return
       rmSync(trap)
       for (;;);
     }
     export const policy = { connect }`,
  )
  writeFileSync(
    path.join(folder, 'gate.conf'),
    `Hostname = "gate.example"
     Spoolbase = "spool"
     Spool_Min_Free = 1M
     DNS_Servers = ( "127.0.0.1:9" )
     ESMTP_Listener { Open_Relay = true Listen "127.0.0.1:0" { } }
     Control_Listener "ops" { Listen "${control}" { File_Mode = 0600 } }
     HTTP_Listener "web" { Listen "127.0.0.1:0" { } }
     Domain "hop.example" { Gateway = "127.0.0.1:${sink.port}" }
     scriptlet "scriptlet" { script "p" { source = "policy.ts" } }`,
  )
  node = await Supervisor.start({
    file: path.join(folder, 'gate.conf'),
    version: '0',
    workers: 2,
    hangBound: BOUND_MS,
    onEvent: (event) => {
      if (event.kind === 'panic') panics.push(`${event.level}: ${event.text}`)
    },
  })
})
after(async () => {
  for (const pid of node.workers) process.kill(pid, 'SIGCONT')
  await node.stop()
  await sink.close()
  rmSync(folder, { recursive: true, force: true })
})

function address(): Address {
  const [host = '', port] = (node.addresses[0] ?? '').split(':')
  return { host, port: Number(port) }
}

async function until(what: () => boolean | Promise<boolean>): Promise<void> {
  const end = Date.now() + 30_000
  while (!(await what())) {
    assert.ok(Date.now() < end, `in time: ${what.toString()}`)
    await delay(20)
  }
}

async function replaced(pid: number): Promise<void> {
  await until(() => node.workers.length === 2 && !node.workers.includes(pid))
  await until(async () => !(await ask(control, 'summary')).text.includes('being replaced'))
}

async function hangs(): Promise<number> {
  const page = await (await fetch(`http://${node.serviceAddresses.http[0]}/metrics`)).text()
  return Number(/^postern_worker_hangs_total (\d+)$/m.exec(page)?.[1])
}

describe('a worker that hangs', () => {
  test('by SIGSTOP, is killed after the bound; its replacement delivers what it had accepted', async () => {
    const [victim = 0, other = 0] = node.workers
    await pauseProcess(other)
    const client = await SmtpClient.connect(address())
    await client.reply()
    await client.ehlo()
    assert.match(await client.deliver('a@b.example', 'x@hop.example', 'Subject: held\n\nhi\n'), /^250/)
    await until(() => hop.refused > 0)
    process.kill(other, 'SIGCONT')
    const began = Date.now()
    await pauseProcess(victim)
    await until(() => !node.workers.includes(victim))
    assert.ok(Date.now() - began > BOUND_MS - BOUND_MS / 6, 'not before it was silent for the bound')
    hop.open = true
    await client.closed()
    await replaced(victim)
    assert.ok(node.workers.includes(other), 'the other one was left alone')
    await until(() => sink.received.length === 1)
    assert.equal(await hangs(), 1)
    const log = await told(control, 'paniclog')
    assert.match(log, new RegExp(`process ${victim}\\) has not said anything for \\d+ seconds and is killed`))
    assert.match(log, new RegExp(`process ${victim}\\) has ended \\(SIGKILL\\) and is replaced`))
  })

  test('in a loop without end, is killed and replaced; meanwhile and afterwards mail is taken', async () => {
    const before = node.workers
    const trap = path.join(folder, 'trap')
    writeFileSync(trap, '')
    const caught = await SmtpClient.connect(address())
    await until(() => !existsSync(trap))
    const client = await SmtpClient.connect(address())
    assert.match(await client.reply(), /^220/)
    client.destroy()
    await caught.closed()
    await until(() => before.some((pid) => !node.workers.includes(pid)))
    const [victim = 0, ...more] = before.filter((pid) => !node.workers.includes(pid))
    assert.deepEqual(more, [])
    await replaced(victim)
    assert.equal(await hangs(), 2)
  })

  test('one that is only idle is not', async () => {
    const before = node.workers
    const told = panics.length
    await delay(2 * BOUND_MS)
    assert.deepEqual(node.workers, before)
    assert.equal(panics.length, told)
  })
})
