/** What a reload does to scripts while sessions that began before it go on. */

import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { SmtpClient } from '../support/smtp-client.ts'
import { startTestGate } from '../support/test-gate.ts'

const ticking = (word: string): string => `local core = require("msys.core")
require("msys.extended.vctx") require("msys.timer")
local mod = {}
local timer
function mod:init()
  timer = msys.timer.every(0.02, function() print("${word}") end)
  return true
end
function mod:validate_mailfrom(line, ac, vctx)
  vctx:set_code(250, "2.1.0 ${word}")
  return core.VALIDATE_CONT
end
msys.registerModule("gate", mod)
`

test('timers of the scripts before stop at the reload, although their sessions still get answers', async () => {
  const gate = await startTestGate({
    files: { 'gate.lua': ticking('old') },
    conf: `ESMTP_Listener { Listen "127.0.0.1:0" { } }
scriptlet "scriptlet" { script "gate" { source = "./gate.lua" } }`,
  })
  const client = await SmtpClient.connect(gate.address())
  try {
    await client.reply()
    await client.ehlo()
    assert.equal(await client.command('MAIL FROM:<a@b.example>'), '250 2.1.0 old')
    await gate.event('panic', ({ text }) => text === 'old')
    writeFileSync(path.join(gate.folder, 'gate.lua'), ticking('new'))
    await gate.server.reload()
    const seen = gate.events.length
    const since = (word: string): number =>
      gate.events.slice(seen).filter((event) => event.kind === 'panic' && event.text === word).length
    await gate.event('panic', () => since('new') >= 5)
    assert.equal(since('old'), 0)
  } finally {
    client.destroy()
    await gate.stop()
  }
})
