/** Bindings, batches of recipients and limits of delivery, from reception to the next hop. */

import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { SmtpClient } from '../support/smtp-client.ts'
import { SmtpSink } from '../support/smtp-sink.ts'
import { startTestGate, type TestGate } from '../support/test-gate.ts'

const SCRIPT = `
require("msys.core")
local mod = {}
function mod:validate_set_binding(msg)
  local to = msg:routing_domain()
  if to == "bound.test" then msg:binding("second") end
  if to == "grouped.test" then msg:binding_group("g") end
  if to == "nowhere.test" and msg:binding("nobody") == nil then msg:binding("second") end
  return msys.core.VALIDATE_CONT
end
msys.registerModule("bindings", mod)
`

const TYPED = `
export const policy = {
  setBinding(_session, message) {
    const { domain } = message.recipient
    if (domain === 'typed.test') message.egress = message.bindings?.findBinding('only')
    if (domain === 'broken.test') message.egress = { bindingGroup: 'g', binding: 'second' }
  },
}
`

let sink: SmtpSink
let gate: TestGate

before(async () => {
  sink = await SmtpSink.start({
    rcpt: (line) =>
      line.includes('never') ? '550 5.1.1 no' : line.includes('later') ? '450 4.2.0 later' : '250 2.1.5 ok',
  })
  gate = await startTestGate({
    files: { 'bind.lua': SCRIPT, 'typed.ts': TYPED },
    conf: `
      Gateway = "127.0.0.1:${sink.port}"
      Generate_Bounces = false
      Idle_Timeout = 0
      Domain "void.test" { Blackhole = true }
      Domain "swallow.test" { Blackhole = internal }
      Binding "second" { Bind_Address = 127.0.0.2 EHLO_Hostname = "second.example" }
      Binding_Group "g" {
        EHLO_Hostname = "group.example"
        Binding "only" { Bind_Address = 127.0.0.3 Domain "grouped.test" { EHLO_Hostname = "only.example" } }
      }
      scriptlet "scriptlet" { script "bindings" { source = "bind.lua" } script "typed" { source = "typed.ts" } }
      ec_logger "l" { mainlog = "main.ec" heartbeat = 0 }
      ESMTP_Listener { Open_Relay = true Listen "127.0.0.1:0" { } }`,
  })
})

after(async () => {
  await gate.stop()
  await sink.close()
})

async function send(...recipients: readonly string[]): Promise<string> {
  const client = await SmtpClient.connect(gate.address())
  await client.reply()
  for (const line of ['EHLO x', 'MAIL FROM:<a@b.test>']) await client.command(line)
  for (const recipient of recipients) {
    const reply = await client.command(`RCPT TO:<${recipient}>`)
    if (!reply.startsWith('250')) {
      client.destroy()
      return reply
    }
  }
  await client.command('DATA')
  const reply = await client.command('Subject: x\r\n\r\nbody\r\n.')
  client.destroy()
  return reply
}

test('mail leaves by the binding that policy chose: its address, its name, its lines in the log', async () => {
  for (const [domain, address, name, group, binding] of [
    ['plain.test', '127.0.0.1', 'gate.example', 'default', 'default'],
    ['bound.test', '127.0.0.2', 'second.example', 'default', 'second'],
    ['grouped.test', '127.0.0.3', 'only.example', 'g', 'only'],
    ['nowhere.test', '127.0.0.2', 'second.example', 'default', 'second'],
  ] as const) {
    assert.match(await send(`bob@${domain}`), /^250/)
    const { envelope } = await gate.event('delivery', (event) => event.domain === domain)
    assert.deepEqual([envelope.bindingGroup, envelope.binding], [group, binding])
    assert.equal(sink.clients.at(-1), address)
    assert.equal(
      sink.commands.findLast((line) => line.startsWith('EHLO')),
      `EHLO ${name}`,
    )
  }
})

test('a policy in TypeScript chooses a binding; one that is not there is never used', async () => {
  assert.match(await send('bob@typed.test'), /^250/)
  const { envelope } = await gate.event('delivery', (event) => event.domain === 'typed.test')
  assert.deepEqual([envelope.bindingGroup, envelope.binding], ['g', 'only'])
  assert.match(await send('bob@broken.test'), /^451 4\.3\.0 .*binding/)
})

test('the recipients of one message go together, and each has an outcome of its own', async () => {
  const connections = sink.connections
  const before = sink.received.length
  assert.match(await send('one@all.test', 'never@all.test', 'later@all.test', 'two@all.test'), /^250/)
  await gate.event('transient-failure', ({ domain }) => domain === 'all.test')
  await gate.event('permanent-failure', ({ domain }) => domain === 'all.test')
  const two = await gate.event('delivery', ({ envelope }) => envelope.recipient.local === 'two')
  const one = await gate.event('delivery', ({ envelope }) => envelope.recipient.local === 'one')
  assert.equal(one.connectionId, two.connectionId)
  assert.notEqual(one.envelope.id, two.envelope.id)
  assert.equal(sink.connections, connections + 1)
  assert.equal(sink.received.length, before + 1)
  assert.deepEqual(sink.received.at(-1)?.rcpt, ['RCPT TO:<one@all.test>', 'RCPT TO:<two@all.test>'])
})

test('a domain that is a black hole is refused at RCPT, or swallows what it gets', async () => {
  assert.equal(await send('bob@void.test'), '554 5.7.0 [internal] Blackholed')
  const before = sink.commands.length
  assert.match(await send('bob@swallow.test'), /^250/)
  const { text } = await gate.event('delivery', ({ domain }) => domain === 'swallow.test')
  assert.equal(text, '250 2.0.0 [internal] Blackholed')
  assert.equal(sink.commands.length, before)
})

test('Default_Binding = none turns away what policy has not bound, and takes the rest', async () => {
  const file = path.join(gate.folder, 'gate.conf')
  const text = readFileSync(file, 'utf8')
  writeFileSync(file, `Default_Binding = none\n${text}`)
  await gate.server.reload()
  assert.match(await send('bob@plain.test'), /^451 4\.4\.0/)
  assert.match(await send('bob@bound.test'), /^250/)
  writeFileSync(file, `Default_Binding = suspended\n${text}`)
  await gate.server.reload()
  assert.match(await send('bob@waits.test'), /^250/)
  assert.match(await send('bob@bound.test', 'eve@bound.test'), /^250/)
  await gate.event('delivery', ({ envelope }) => envelope.recipient.local === 'eve')
  assert.ok(!sink.received.some(({ rcpt }) => rcpt.some((line) => line.includes('waits.test'))))
})

test('mainlog has a line for each recipient, with group and binding', async () => {
  await gate.server.stop()
  const lines = readFileSync(path.join(gate.folder, 'main.ec'), 'latin1').trimEnd().split('\n')
  const fields = lines.map((line) => line.split('@'))
  const all = fields.filter((each) => each[5] === 'all.test').map((each) => [each[4], each[7], each[8]])
  assert.deepEqual(
    all.toSorted(([a = ''], [b = '']) => a.localeCompare(b)),
    [
      ['D', 'default', 'default'],
      ['D', 'default', 'default'],
      ['P', 'default', 'default'],
      ['T', 'default', 'default'],
    ],
  )
  assert.deepEqual(fields.find((each) => each[5] === 'grouped.test')?.slice(7, 9), ['g', 'only'])
})
