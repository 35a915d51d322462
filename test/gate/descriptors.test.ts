/** Deliveries to next hops that do not answer leave room for everything else, also under a low limit of open files. */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, test } from 'node:test'
import { startGateProcess } from '../support/gate-process.ts'
import { SmtpClient } from '../support/smtp-client.ts'
import { SmtpSink } from '../support/smtp-sink.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'postern-descriptors-'))
after(() => rmSync(folder, { recursive: true, force: true }))
const skip = spawnSync('prlimit', ['--version']).status === 0 ? false : 'needs prlimit'

test('a backlog for silent next hops does not take the descriptors of new mail', { skip }, async () => {
  const sink = await SmtpSink.start({ banner: 'hang' })
  const file = path.join(folder, 'gate.conf')
  writeFileSync(
    file,
    `Hostname = "gate.example"
     Spoolbase = "spool"
     Spool_Min_Free = 1M
     Gateway = "127.0.0.1:${sink.port}"
     ESMTP_Listener { Open_Relay = true  Listen "127.0.0.1:0" { } }`,
  )
  const gate = await startGateProcess(file, ['prlimit', '--nofile=128'])
  try {
    const [address] = gate.addresses
    assert.ok(address)
    const send = async (recipients: readonly string[]): Promise<void> => {
      const client = await SmtpClient.connect(address)
      assert.match(await client.reply(), /^220 /)
      for (const line of ['EHLO client.example', 'MAIL FROM:<a@client.example>']) {
        assert.match(await client.command(line), /^250/)
      }
      for (const recipient of recipients) assert.match(await client.command(`RCPT TO:<${recipient}>`), /^250/)
      assert.match(await client.command('DATA'), /^354/)
      assert.match(await client.command('Subject: x\r\n\r\nx\r\n.'), /^250/)
      await client.command('QUIT')
    }
    // each in a domain of its own, so that no limit of a domain holds them back
    await send(Array.from({ length: 150 }, (_, n) => `a@d${n}.example`))
    for (let n = 0; n < 3; n += 1) await send(['late@elsewhere.example'])
    assert.doesNotMatch(gate.complaints(), /EMFILE/)
    assert.ok(sink.connections > 0)
  } finally {
    gate.child.kill('SIGKILL')
    await sink.close()
  }
})
