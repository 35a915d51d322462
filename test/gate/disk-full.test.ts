/**
 * A spool whose file system fills up, under a whole server: MAIL gets 452, deliveries go on, space returns, and the same
 * process accepts mail again. A small tmpfs, which only root may mount.
 */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  statfsSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { type GateProcess, startGateProcess } from '../support/gate-process.ts'
import { SmtpClient } from '../support/smtp-client.ts'
import { SmtpSink } from '../support/smtp-sink.ts'

const MIB = 1024 * 1024
const folder = mkdtempSync(path.join(tmpdir(), 'postern-disk-full-'))
const spool = path.join(folder, 'spool')

/** A reason to skip, or false when the file system is there. */
function mount(): string | false {
  mkdirSync(spool)
  const mounted = spawnSync('/bin/mount', ['-t', 'tmpfs', '-o', 'size=32m', 'tmpfs', spool], {
    encoding: 'utf8',
  })
  return mounted.status === 0
    ? false
    : `a small file system cannot be mounted: ${(mounted.stderr ?? '').trim()}`
}

const skip = mount()
after(() => {
  if (skip === false) spawnSync('/bin/umount', [spool])
  rmSync(folder, { recursive: true })
})

describe('on a small file system', { skip }, () => {
  let gate: GateProcess
  let sink: SmtpSink
  let client: SmtpClient
  const accepted = new Set<string>()
  const big = Array.from({ length: 100 }, () => 'x'.repeat(998)).join('\r\n')

  before(async () => {
    sink = await SmtpSink.start({ banner: '421 4.3.2 not now' })
    const file = path.join(folder, 'gate.conf')
    writeFileSync(
      file,
      `Hostname = "gate.example"
       Spoolbase = "spool"
       Spool_Min_Free = 6M
       Retry_Interval = 1
       Max_Retry_Interval = 1
       ESMTP_Listener { Listen "127.0.0.1:0" { Relay_Hosts = ( 127.0.0.0/8 ) } }
       Domain "next.example" { Gateway = "127.0.0.1" Remote_SMTP_Port = ${sink.port} }
       maildir "m" { basedir = "mail" domains = ( "gate.example" ) create_users = true }`,
    )
    gate = await startGateProcess(file)
    client = await connect()
  })
  after(async () => {
    client.destroy()
    assert.equal(await gate.end('SIGTERM'), 0)
    assert.doesNotMatch(gate.complaints(), /error|critical|abort/i)
    await sink.close()
  })

  async function connect(): Promise<SmtpClient> {
    const [address] = gate.addresses
    assert.ok(address)
    const client = await SmtpClient.connect(address)
    await client.reply()
    await client.ehlo()
    return client
  }

  /** @returns the reply that decided it */
  async function deliver(name: string, recipient: string, body: string): Promise<string> {
    const reply = await client.deliver('a@b.example', recipient, `Subject: ${name}\n\n${body}`)
    if (reply.startsWith('250')) accepted.add(name)
    else await client.command('RSET')
    return reply
  }

  const full = /^452 4\.3\.1 /

  test('mail that cannot go on yet fills it up to the reserve, then MAIL gets 452', async () => {
    let reply = ''
    for (let n = 0; n < 500 && !full.test(reply); n += 1) {
      reply = await deliver(`m${n}`, 'box@next.example', big)
      assert.match(reply, /^250 |^452 4\.3\.1 /)
    }
    assert.match(reply, full)
    assert.ok(accepted.size > 100, `${accepted.size} messages were accepted`)
    assert.match(await client.command('MAIL FROM:<a@b.example>'), full)
    const { bavail, bsize } = statfsSync(spool)
    assert.ok(bavail * bsize >= 3 * MIB, 'half of the reserve is on the disk itself')
  })

  test('when somebody else takes the last octet, MAIL gets 452 and the process lives', async () => {
    fillUp(path.join(spool, 'other'))
    assert.equal(statfsSync(spool).bavail, 0)
    // longer than the spool believes a figure of free space
    await delay(300)
    for (let n = 0; n < 5; n += 1) assert.match(await client.command('MAIL FROM:<a@b.example>'), full)
    assert.equal(gate.child.exitCode, null)
  })

  test('deliveries go on: everything that was accepted reaches the next hop, once', async () => {
    sink.script = () => ({})
    await sink.until(({ received }) => received.length >= accepted.size)
    const subjects = sink.received.map(({ content }) => /^Subject: (.*)\r$/m.exec(content)?.[1] ?? '')
    assert.deepEqual(subjects.toSorted(), [...accepted].toSorted())
    for (const { content } of sink.received) assert.ok(content.endsWith(`\r\n\r\n${big}\r\n`))
  })

  test('space returns, and the same process accepts and delivers mail again', async () => {
    unlinkSync(path.join(spool, 'other'))
    await delay(300)
    assert.match(await deliver('again', 'box@next.example', big), /^250 /)
    await sink.until(({ received }) => received.some(({ content }) => content.includes('Subject: again\r\n')))
    assert.match(await deliver('local', 'box@gate.example', 'x'), /^250 /)
  })

  test('a message larger than what is free is refused while it arrives, and nothing is left of it', async () => {
    const other = await connect()
    const lines = `${'x'.repeat(998)}\r\n`.repeat(20_000)
    assert.match(await other.deliver('a@b.example', 'box@gate.example', `Subject: large\n\n${lines}`), full)
    other.destroy()
    assert.deepEqual(readdirSync(path.join(spool, '0/bodies')), [])
    assert.match(await deliver('after', 'box@gate.example', 'x'), /^250 /)
  })
})

function fillUp(file: string): void {
  const descriptor = openSync(file, 'w')
  for (let size = MIB; size >= 4096; ) {
    try {
      writeSync(descriptor, Buffer.alloc(size))
    } catch {
      size /= 2
    }
  }
  closeSync(descriptor)
}
