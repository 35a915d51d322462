/** Mail that scripts send, on a running gate, as far as the mailbox. */

import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { makePki } from '../../src/tls/pki.ts'
import { SmtpClient } from '../support/smtp-client.ts'
import { MAILDIR, startTestGate, type TestGate } from '../support/test-gate.ts'

function start(body: string, pki: Awaited<ReturnType<typeof makePki>>): Promise<TestGate> {
  return startTestGate({
    pki,
    files: {
      'gate.lua': `local core = require("msys.core") require("msys.extended.message")
local mod = {}
function mod:validate_data_spool(msg, ac, vctx)
${body}
return core.VALIDATE_CONT
end
msys.registerModule("gate", mod)`,
    },
    conf: `
ESMTP_Listener { Listen "127.0.0.1:0" { } }
scriptlet "scriptlet" { script "gate" { source = "./gate.lua" } }
${MAILDIR}`,
  })
}

function mailbox(gate: TestGate, user: string): string[] {
  const folder = path.join(gate.folder, 'mail', user, 'new')
  return readdirSync(folder).map((name) => readFileSync(path.join(folder, name), 'latin1'))
}

test('inject sends the message as it stands to others, forward sends a new one that holds it', async () => {
  const gate = await start(
    `msg:header("Subject", "changed")
     print(msg:inject("robot@gate.example", "ann@gate.example, bob@gate.example"))
     msg:forward("robot@gate.example", "cid@gate.example", "see\\nbelow: gr\\252n", "found", "iso-8859-1")
     print(pcall(msg.inject, msg, "robot@gate.example", "not an address"))`,
    await makePki(),
  )
  const client = await SmtpClient.connect(gate.address())
  await client.reply()
  await client.ehlo()
  assert.match(await client.deliver('a@b.example', 'dan@gate.example', 'Subject: first\n\nhello'), /^250/)
  for (const user of ['ann', 'bob', 'cid', 'dan'])
    await gate.event('delivery', ({ envelope }) => envelope.recipient.local === user)
  for (const user of ['ann', 'bob']) {
    const [text = ''] = mailbox(gate, user)
    assert.match(text, /^Return-Path: <robot@gate\.example>$/m)
    assert.match(text, /^Subject: changed$/m)
    assert.match(text, /\n\nhello\n$/)
  }
  const [forwarded = ''] = mailbox(gate, 'cid')
  assert.match(forwarded, /^Subject: found$/m)
  assert.match(
    forwarded,
    /charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\n\nsee\nbelow: gr=FCn\n/,
  )
  assert.match(forwarded, /\nContent-Type: message\/rfc822\n[^]*\n\nSubject: changed\n\nhello\n\n--=_/)
  assert.equal(mailbox(gate, 'dan').length, 1)
  client.destroy()
  await gate.stop()
})
