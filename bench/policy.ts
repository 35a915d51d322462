/**
 * What a policy costs, as a share of a whole reception: a gate without scripts and one with a policy of four callouts
 * that read six context keys, by turns, in one run. Each message comes over its own connection with STARTTLS, a full
 * handshake and a client certificate, 4 KiB, kept before the 250. Prints CPU seconds of the gate's process (user and
 * system) per 1,000 messages, and the ratio.
 *
 *   node bench/policy.ts [messages per round] [rounds]
 */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { makePki, writePki } from '../src/tls/pki.ts'
import { type GateProcess, startGateProcess } from '../test/support/gate-process.ts'
import { SmtpClient } from '../test/support/smtp-client.ts'

const messages = Number(process.argv[2] ?? 300)
const rounds = Number(process.argv[3] ?? 5)
const SENDERS = 10
/** of /proc/PID/stat; USER_HZ is 100 on Linux */
const TICKS_PER_SECOND = 100

const script = `
require("msys.core"); require("msys.extended.vctx"); require("msys.extended.message")
local mod = {}
local keys = { "tls", "tls_client_verified", "tls_client_cert_subject", "tls_client_cert_issuer_cn", "tls_protocol", "ehlo_domain" }
local function look(vctx)
  local n = 0
  for i = 1, #keys do n = n + #vctx:get(msys.core.VCTX_CONN, keys[i]) end
  return n
end
function mod:validate_ehlo(line, ac, vctx) look(vctx) return msys.core.VALIDATE_CONT end
function mod:validate_mailfrom(line, ac, vctx) look(vctx) return msys.core.VALIDATE_CONT end
function mod:validate_rcptto(msg, line, ac, vctx) look(vctx) return msys.core.VALIDATE_CONT end
function mod:validate_data(msg, ac, vctx) look(vctx) return msys.core.VALIDATE_CONT end
msys.registerModule("reader", mod)
`

const conf = (name: string, policy: string): string => `
Hostname = "gate.example"
Spoolbase = "spool-${name}"
Spool_Min_Free = 1M
ESMTP_Listener {
  SMTP_Extensions = ( "STARTTLS" )
  TLS_Certificate = "pki/server.pem"
  TLS_Key = "pki/server.key"
  TLS_Client_CA = "pki/ca.pem"
  TLS_Verify_Mode = require
  Listen "127.0.0.1:0" { }
}
Suspend_Delivery = true
Domain "gate.example" { Gateway = "127.0.0.1" }
Pathway "default" { Relay_Domains = ( "gate.example" ) }
ec_logger "l" { mainlog = "main-${name}.ec" }
${policy}
`

const folder = mkdtempSync(path.join(tmpdir(), 'postern-bench-'))
const pki = await makePki()
await writePki(path.join(folder, 'pki'), pki)
writeFileSync(path.join(folder, 'reader.lua'), script)
writeFileSync(path.join(folder, 'plain.conf'), conf('plain', ''))
writeFileSync(
  path.join(folder, 'policy.conf'),
  conf('policy', 'scriptlet "scriptlet" { script "reader" { source = "./reader.lua" } }'),
)
const gates = {
  plain: await startGateProcess(path.join(folder, 'plain.conf')),
  policy: await startGateProcess(path.join(folder, 'policy.conf')),
}
const figures: Record<keyof typeof gates, number[]> = { plain: [], policy: [] }
const body = `Subject: bench\n\n${`${'x'.repeat(78)}\n`.repeat(51)}`
for (let round = -1; round < rounds; round += 1) {
  for (const name of ['plain', 'policy'] as const) {
    const cost = await measure(gates[name])
    // the first round warms up
    if (round >= 0) figures[name].push((cost / messages) * 1000)
  }
}
for (const gate of Object.values(gates)) await gate.end('SIGTERM')
rmSync(folder, { recursive: true })

const show = (values: readonly number[]): string => {
  const sorted = values.toSorted((a, b) => a - b)
  return [sorted[0], median(values), sorted.at(-1)].map((value) => value?.toFixed(2)).join(' / ')
}
console.log(`gate's CPU seconds per 1,000 messages, ${rounds} rounds of ${messages}: min / median / max`)
console.log(`without policy  ${show(figures.plain)}`)
console.log(`with policy     ${show(figures.policy)}`)
const ratios = figures.policy.map((value, index) => value / (figures.plain[index] ?? value))
console.log(`ratio           ${show(ratios)}`)

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
}

async function measure(gate: GateProcess): Promise<number> {
  const before = cpuSeconds(gate)
  let left = messages
  const sender = async (): Promise<void> => {
    for (; left > 0; ) {
      left -= 1
      await sendOne(gate)
    }
  }
  await Promise.all(Array.from({ length: SENDERS }, sender))
  return cpuSeconds(gate) - before
}

async function sendOne(gate: GateProcess): Promise<void> {
  const client = await SmtpClient.connect(gate.addresses[0] ?? { host: '127.0.0.1', port: 0 })
  await client.reply()
  await client.ehlo()
  await client.command('STARTTLS')
  await client.secure({ cert: pki.clients.valid.cert, key: pki.clients.valid.key })
  await client.ehlo()
  const reply = await client.deliver('a@b.example', 'box@gate.example', body)
  if (!reply.startsWith('250')) throw new Error(reply)
  await client.command('QUIT')
  client.destroy()
}

function cpuSeconds(gate: GateProcess): number {
  const stat = readFileSync(`/proc/${gate.child.pid}/stat`, 'latin1')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND
}
