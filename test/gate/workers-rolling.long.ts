/**
 * A rolling restart under load: no connection is refused at any time, nothing that was answered 250 is lost or doubled,
 * totals do not go back; what only a start of a worker puts in force is in force then, and the spool stays the node's.
 */

import assert from 'node:assert/strict'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, beforeEach, describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { ask, data, told } from '../support/console-client.ts'
import { type GateProcess, startGateProcess } from '../support/gate-process.ts'
import { type Address, SmtpClient } from '../support/smtp-client.ts'

const SENDERS = 4

let folder: string
let conf: string
let control: string
let gate: GateProcess
const accepted = new Set<string>()
/** what a sender met that was neither 250 nor 421 */
const refused: string[] = []
const counter = { next: 0 }

before(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'postern-rolling-'))
  conf = path.join(folder, 'gate.conf')
  control = path.join(folder, 'control')
  policy('')
  write()
  gate = await startGateProcess(conf, [], ['--workers', '2'])
})
beforeEach(async () => {
  await until(async () => !(await ask(control, 'summary')).text.includes('being replaced'))
})
after(async () => {
  assert.equal(await gate.end('SIGTERM'), 0)
  rmSync(folder, { recursive: true, force: true })
})

function policy(first: string): void {
  writeFileSync(
    path.join(folder, 'policy.ts'),
    `${first}\nexport const policy = { connect: () => undefined }\n`,
  )
}

function write(spool = 'spool', memory = '64M'): void {
  writeFileSync(
    conf,
    `Hostname = "gate.example"
     Spoolbase = "${spool}"
     Spool_Min_Free = 1M
     Reception_Memory = ${memory}
     DNS_Servers = ( "127.0.0.1:9" )
     ESMTP_Listener { Listen "127.0.0.1:0" { } Listen "${folder}/mail.sock" { File_Mode = 0600 } }
     Control_Listener "ops" { Listen "${control}" { File_Mode = 0600 } }
     HTTP_Listener "web" { Listen "127.0.0.1:0" { } }
     scriptlet "scriptlet" { script "p" { source = "policy.ts" } }
     maildir "m" { basedir = "mail" domains = ( "gate.example" ) create_users = true }`,
  )
}

/** process ids of the workers, by their place */
async function workers(): Promise<readonly number[]> {
  const { rows } = (await data(control, 'threads')) as {
    readonly rows: readonly { readonly process: string; readonly pid: number }[]
  }
  const found = rows.filter(({ process: role }) => role.startsWith('worker'))
  return found.toSorted((a, b) => a.process.localeCompare(b.process)).map(({ pid }) => pid)
}

async function until(what: () => boolean | Promise<boolean>): Promise<void> {
  const end = Date.now() + 30_000
  while (!(await what())) {
    assert.ok(Date.now() < end, `in time: ${what.toString()}`)
    await delay(20)
  }
}

async function metric(name: string): Promise<number> {
  const web = gate.addresses.at(-1)
  const page = await (await fetch(`http://${web?.host.replace('http=', '')}:${web?.port}/metrics`)).text()
  const values = page.split('\n').filter((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`))
  return values.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0)
}

async function open(index: number): Promise<SmtpClient> {
  if (index === 0) return await SmtpClient.connectUnix(path.join(folder, 'mail.sock'))
  return await SmtpClient.connect(gate.addresses[0] as Address)
}

/** Sends until it is told to end; when a worker that drains lets it go it comes back at once. */
async function send(index: number, ended: AbortSignal): Promise<void> {
  while (!ended.aborted) {
    try {
      await session(index, ended)
    } catch (error) {
      refused.push(String(error))
      return
    }
  }
}

async function session(index: number, ended: AbortSignal): Promise<void> {
  const client = await open(index)
  try {
    const greeting = await client.reply()
    if (greeting.startsWith('421')) return
    assert.match(greeting, /^220/)
    if ((await client.command('EHLO me.example')).startsWith('421')) return
    for (let n = 0; n < 20 && !ended.aborted; n++) {
      const subject = `m${++counter.next}`
      const reply = await client.deliver('a@b.example', 'box@gate.example', `Subject: ${subject}\n\nhi\n`)
      if (reply.startsWith('421')) return
      assert.match(reply, /^250/)
      accepted.add(subject)
    }
  } finally {
    client.destroy()
  }
}

async function underLoad<T>(work: () => Promise<T>): Promise<T> {
  const ended = new AbortController()
  const senders = Array.from({ length: SENDERS }, (_, index) => send(index, ended.signal))
  const more = async (): Promise<void> => {
    const enough = accepted.size + SENDERS * 3
    await until(() => accepted.size >= enough || refused.length > 0)
  }
  try {
    await more()
    const result = await work()
    await more()
    return result
  } finally {
    ended.abort()
    await Promise.all(senders)
    assert.deepEqual(refused, [], 'no connection was refused, none broke off')
  }
}

/** the subjects in the mailbox, as often as they are there */
function delivered(): readonly string[] {
  const inbox = path.join(folder, 'mail', 'box', 'new')
  return readdirSync(inbox).map(
    (name) => /^Subject: (.*)$/m.exec(readFileSync(path.join(inbox, name), 'latin1'))?.[1] ?? '',
  )
}

describe('threads restart', () => {
  test('replaces each worker in turn, under load: nothing refused, lost or doubled; totals do not go back', async () => {
    const old = await workers()
    const seen: number[] = []
    await underLoad(async () => {
      const answer = told(control, 'threads restart')
      const ended = answer.then(() => true)
      while (!(await Promise.race([ended, delay(50, false)])))
        seen.push(await metric('postern_receptions_total'))
      assert.match(await answer, /2 workers were restarted/)
    })
    assert.deepEqual(
      seen,
      seen.toSorted((a, b) => a - b),
      'totals never go back',
    )
    const fresh = await workers()
    assert.equal(fresh.length, 2)
    for (const pid of old) assert.ok(!fresh.includes(pid))
    await until(() => new Set(delivered()).size >= accepted.size)
    assert.deepEqual(delivered().toSorted(), [...accepted].toSorted())
    assert.equal(await metric('postern_receptions_total'), accepted.size)
  })

  test('a session under way ends its message; while it does the other worker takes mail', async () => {
    const old = await workers()
    const client = await open(1)
    await client.reply()
    await client.ehlo()
    await client.command('MAIL FROM:<a@b.example>')
    await client.command('RCPT TO:<box@gate.example>')
    await client.command('DATA')
    const answer = told(control, 'threads restart')
    const other = await open(1)
    assert.match(await other.reply(), /^220/)
    other.destroy()
    const again = await ask(control, 'threads restart')
    assert.match(again.text, /under way already/)
    assert.match(await client.command('Subject: slow\r\n\r\nhi\r\n.'), /^250/)
    accepted.add('slow')
    client.destroy()
    assert.match(await answer, /2 workers were restarted/)
    for (const pid of await workers()) assert.ok(!old.includes(pid))
    await until(() => delivered().includes('slow'))
  })

  test('what only the start of a worker puts in force is in force then; the spool stays the one that is locked', async () => {
    mkdirSync(path.join(folder, 'elsewhere'))
    write('elsewhere/spool', '32M')
    const warned = await told(control, 'reload')
    assert.match(warned, /Reception_Memory is in force only after the next start/)
    await underLoad(async () => await told(control, 'threads restart'))
    assert.ok(!existsSync(path.join(folder, 'elsewhere', 'spool')), 'no second spool was made')
    const after = await told(control, 'reload')
    assert.doesNotMatch(after, /Reception_Memory/)
    assert.equal(after.split('Spoolbase is in force only').length, 2, 'told of once')
    await until(() => new Set(delivered()).size >= accepted.size)
  })

  test('stops at a replacement that does not come up: the other worker goes on, and mail is taken', async () => {
    const [, second = 0] = await workers()
    await underLoad(async () => {
      policy('throw new Error("not any more")')
      const { status, text } = await ask(control, 'threads restart')
      assert.equal(status, 'error')
      assert.match(text, /0 of 2 workers were restarted, the others go on as they were: .*not any more/)
      policy('')
      await until(async () => !(await ask(control, 'summary')).text.includes('being replaced'))
    })
    assert.ok((await workers()).includes(second))
    await until(() => new Set(delivered()).size >= accepted.size)
    assert.deepEqual(delivered().toSorted(), [...accepted].toSorted())
  })
})
