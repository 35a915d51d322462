/** The scripts' library in a whole gate: what waits ends with its session, what is counted outlives a reload. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { test } from 'node:test'
import { TestDnsServer } from '../support/dns-server.ts'
import { SmtpClient } from '../support/smtp-client.ts'
import { startTestGate } from '../support/test-gate.ts'

const script = `local core = require("msys.core")
local mod = {}
function mod:init()
  timer = msys.timer.every(0.02, function() msys.counter.inc("/ticks") end)
  return true
end
function mod:validate_ehlo(str, ac, vctx)
  if str:find("sleeper") then
    print("waits")
    msys.sleep(100)
  end
  msys.counter.inc("/sessions")
  vctx:set_code(250, msys.counter.read("/sessions") .. " " .. (msys.config("get", "hostname")) .. " " .. msys.audit.connections("60,2") .. " " .. msys.audit.inbound_session_count("/32", "SMTP"))
  return core.VALIDATE_DONE
end
function mod:validate_mailfrom(str, ac, vctx)
  local found, problem = msys.dnsLookup("mail.test")
  vctx:set_code(550, found and found[1] or problem)
  return core.VALIDATE_DONE
end
msys.registerModule("gate", mod)
`

test('waits, look-ups, counts and the configuration, across sessions and a reload', async (t) => {
  const dns = await TestDnsServer.start()
  t.after(() => dns.close())
  dns.zone = { 'A mail.test': ['192.0.2.9'] }
  const gate = await startTestGate({
    files: { 'gate.lua': script },
    conf: `DNS_Servers = ( "${dns.address.address}:${dns.address.port}" )
scriptlet "scriptlet" { script "gate" { source = "./gate.lua" } }
ESMTP_Listener { Listen "127.0.0.1:0" { } }
`,
  })
  t.after(() => gate.stop())

  // a client that leaves while its script waits
  const { host, port } = { host: '127.0.0.1', port: gate.address().port }
  const socket = connect({ host, port })
  await once(socket, 'data')
  socket.write('EHLO sleeper.example\r\n')
  await gate.event('panic', ({ text }) => text === 'waits')
  const began = performance.now()
  socket.resetAndDestroy()
  await gate.event('disconnected')
  assert.ok(performance.now() - began < 5000, 'the session waited although its client had left')

  const hello = async (): Promise<string> => {
    const client = await SmtpClient.connect(gate.address())
    try {
      await client.reply()
      return await client.command('EHLO client.example')
    } finally {
      client.end()
    }
  }
  assert.match(await hello(), /1 gate\.example 0 1/)
  await gate.server.reload()
  assert.match(await hello(), /2 gate\.example \d 1/)

  const client = await SmtpClient.connect(gate.address())
  await client.reply()
  await client.ehlo()
  assert.equal(await client.command('MAIL FROM:<a@b.example>'), '550 192.0.2.9')
  client.end()
  assert.deepEqual(
    gate.events.flatMap((event) => (event.kind === 'panic' ? [event.text] : [])),
    ['waits'],
  )
})
