/** The configuration of a running gate is changed from the console: it acts at once, everywhere, or nowhere. */

import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import { evaluate } from '../../src/config/evaluate.ts'
import { loadSettings } from '../../src/config/load.ts'
import type { Server } from '../../src/server.ts'
import { ask, openConsole, told } from '../support/console-client.ts'
import { type Address, SmtpClient } from '../support/smtp-client.ts'
import { MAILDIR, startTestGate, type TestGate } from '../support/test-gate.ts'

const CONF = `# kept as it is
ESMTP_Listener {
  Listen "127.0.0.1:0" { }
  Listen "127.0.0.2:0" { Enable = false }
}
Control_Listener "ops" { Listen "FOLDER/control" { File_Mode = 0600 } }
ec_logger "l" { acctlog = "log/acct" paniclog = "log/panic" heartbeat = 0 }
scriptlet "scriptlet" { script "p" { source = "policy.lua" } }
${MAILDIR}`
const POLICY = `require("msys.core")
local mod = {}
function mod:init() return true end
msys.registerModule("p", mod)
`

async function greeting(address: Address): Promise<string> {
  const client = await SmtpClient.connect(address)
  try {
    return await client.reply()
  } finally {
    client.destroy()
  }
}

describe('the configuration in force', () => {
  let gate: TestGate
  let control: string
  const settings = (): Server['settings'] => gate.server.settings

  before(async () => {
    gate = await startTestGate({ conf: CONF, files: { 'policy.lua': POLICY } })
    control = path.join(gate.folder, 'control')
  })
  after(async () => {
    await gate.stop()
    const last = gate.events.findLast(({ kind }) => kind === 'panic')
    assert.match(JSON.stringify(last), /dropped by the stop: ESMTP_Listener Idle_Time = 65/)
  })

  test('a value that is set acts on who connects from now on; a session under way is asked to come back', async () => {
    const client = await SmtpClient.connect(gate.address())
    await client.reply()
    await client.ehlo()
    assert.match(await client.command('MAIL FROM:<a@b.example>'), /^250/)
    await told(control, 'config set esmtp_listener banner_hostname new.example')
    assert.match(await greeting(gate.address()), /^220 new\.example/)
    assert.match(await client.command('RCPT TO:<u@gate.example>'), /^250/, 'its message goes on')
    assert.match(await client.command('RSET'), /^421 4\.3\.2 Reconfiguration in progress/)
    client.destroy()
  })

  test('a socket is opened and closed by Enable', async () => {
    await told(control, 'config set esmtp_listener listen 127.0.0.2:0 enable true')
    assert.equal(gate.server.addresses.length, 2)
    await told(control, 'config unset esmtp_listener listen 127.0.0.2:0')
    assert.equal(gate.server.addresses.length, 1)
  })

  test('what cannot come into force changes nothing, whichever part of it fails', async () => {
    const before = settings()
    for (const [line, complaint] of [
      ['config set esmtp_listener listen 192.0.2.77:25 enable true', /192\.0\.2\.77/],
      ['config set esmtp_listener tls_certificate nowhere.pem', /nowhere\.pem/],
      ['config set scriptlet scriptlet script p source nowhere.lua', /nowhere\.lua/],
      ['config set esmtp_listener reconfig_message ""', /Reconfig_Message/],
      ['config set spoolbase elsewhere', /only after the next start/],
    ] as const) {
      const { status, text } = await ask(control, line)
      assert.equal(status, 'error', line)
      assert.match(text, complaint)
      assert.match(text, /<console>:\d+|gate\.conf:\d+:\d+: error: script/)
      assert.equal(settings(), before, line)
    }
    assert.match(await greeting(gate.address()), /^220 new\.example/)
  })

  test('a transaction acts as a whole at its commit, and ends with its connection', async () => {
    const [alice, bob] = [await openConsole(control), await openConsole(control)]
    assert.equal((await alice.ask('config begin')).status, 'ok')
    assert.match((await bob.ask('config begin')).text, /has a transaction open too, since 20/)
    await alice.ask('config set esmtp_listener idle_time 61')
    await alice.ask('config set esmtp_listener max_message_size 5M')
    const before = settings()
    assert.match((await alice.ask('config eval listen 127.0.0.1:0 idle_time')).text, /Idle_Time = 61\n/)
    assert.match((await bob.ask('config eval listen 127.0.0.1:0 idle_time')).text, /Idle_Time = 300\n/)
    assert.equal(settings(), before)
    assert.equal((await alice.ask('config commit')).status, 'ok')
    assert.match((await bob.ask('config rollback')).text, /0 changes/)
    assert.match(
      (await bob.ask('config eval listen 127.0.0.1:0 max_message_size')).text,
      /5242880\n.*from console, by .*, at 20/,
    )
    await bob.ask('config begin')
    await bob.ask('config set esmtp_listener idle_time 62')
    bob.close()
    await alice.ask('config set esmtp_listener idle_time 63')
    alice.close()
    assert.match(await told(control, 'config eval listen 127.0.0.1:0 idle_time'), /Idle_Time = 63\n/)
    const { text } = await ask(control, 'config commit')
    assert.match(text, /no transaction is open/)
  })

  test('a reload drops what was not written back, and says so; one that fails keeps it', async () => {
    const file = path.join(gate.folder, 'gate.conf')
    const good = readFileSync(file, 'utf8')
    writeFileSync(file, `${good}\nIdle_Tme = 1`)
    assert.match((await ask(control, 'reload')).text, /Reconfigure failed/)
    assert.match(await told(control, 'config eval listen 127.0.0.1:0 idle_time'), /63\n.*from console/)
    writeFileSync(file, good)
    assert.match(
      await told(control, 'config reload'),
      /no longer in force:\n[^]*config set ESMTP_Listener Idle_Time 63/,
    )
    assert.match(await told(control, 'config eval listen 127.0.0.1:0 idle_time'), /300\n {2}from default/)
    const dropped = await gate.event(
      'configuration-change',
      ({ act, option }) => act === 'dropped' && option === 'Idle_Time',
    )
    assert.equal(dropped.after, '63')
    await told(control, 'config set hostname x.example')
    await gate.server.reload()
    const { text } = await gate.event(
      'panic',
      ({ module, text: said }) => module === 'config' && said.includes('SIGHUP'),
    )
    assert.match(text, /Hostname = "x\.example"/)
  })

  test('who changed what from what to what is in the acctlog, and no password is anywhere', async () => {
    await told(control, 'config set domain a.example outbound_smtp_auth_pass "se same"')
    await told(control, 'config set esmtp_listener require_tls true')
    assert.match(
      await told(control, 'config unset esmtp_listener require_tls'),
      /Warning: Require_TLS is weaker/,
    )
    const weaker = await gate.event('configuration-change', ({ warning }) => warning.includes('Require_TLS'))
    assert.deepEqual([weaker.act, weaker.before, weaker.after], ['unset', 'true', ''])
    for (const line of [
      'config showrecurse',
      'write config',
      'config eval domain a.example outbound_smtp_auth_pass',
    ])
      assert.ok(!(await told(control, line)).includes('se same'), line)
    await told(control, 'reopen logs')
    const log = readFileSync(path.join(gate.folder, 'log/acct'), 'utf8')
    assert.match(
      log,
      /^\d+@C@local@[^@]+@<console>:\d+@unset@ESMTP_Listener@Require_TLS@true@@Require_TLS is weaker/m,
    )
    assert.ok(!log.includes('se same'))
  })

  test('what was written back is there at the next start, with everything else as it was', async () => {
    await told(control, 'config set esmtp_listener idle_time 64')
    assert.match(await told(control, 'config writeback'), /gate\.conf was written/)
    const file = path.join(gate.folder, 'gate.conf')
    assert.match(
      readFileSync(file, 'utf8'),
      /^# kept as it is\nESMTP_Listener \{\n[^]*\n {2}Idle_Time = 64\n\}/m,
    )
    const next = await loadSettings(file)
    assert.ok(next.settings)
    assert.equal(evaluate(next.settings, 'idle_time', { listen: '127.0.0.1:0' }).text, '64')
    assert.equal(evaluate(next.settings, 'outbound_smtp_auth_pass', { domain: 'a.example' }).text, '"***"')
    assert.match(
      await told(control, 'config eval listen 127.0.0.1:0 idle_time'),
      /64\n {2}from .*gate\.conf:\d+/,
    )
    assert.match(await told(control, 'config reload'), /^The configuration was reloaded\.$/m)
  })

  test('a file that was changed on disk is not overwritten', async () => {
    const file = path.join(gate.folder, 'gate.conf')
    await told(control, 'config set esmtp_listener idle_time 65')
    const text = `${readFileSync(file, 'utf8')}# by hand\n`
    writeFileSync(file, text)
    const answer = await ask(control, 'config writeback')
    assert.equal(answer.status, 'error')
    assert.match(answer.text, /has changed since it was read/)
    assert.equal(readFileSync(file, 'utf8'), text)
    assert.match(await told(control, 'config eval listen 127.0.0.1:0 idle_time'), /65\n {2}from console/)
  })
})
