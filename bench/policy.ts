/**
 * What a policy costs, as a share of a whole reception: two gates without scripts and one with a policy of four callouts
 * that read six context keys, in one run. Each message comes over its own connection with STARTTLS, a full handshake and
 * a client certificate, 4 KiB, kept before the 250. Every sender goes from one gate to the next, so that all three meet
 * the same moments of the machine; how far the two equal ones are apart tells what the figures are worth.
 *
 * Prints CPU seconds of each gate's process (user and system) per 1,000 messages, and ratios to the mean of the equal
 * two.
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
/** receptions at each gate that do not count: until then the runtime still translates what it runs often */
const WARM_UP_MESSAGES = 5000
const WARM_UP = Math.ceil(WARM_UP_MESSAGES / messages)
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
const policy = 'scriptlet "scriptlet" { script "reader" { source = "./reader.lua" } }'
const names = ['plain', 'twin', 'policy'] as const
type Name = (typeof names)[number]
const gates = new Map<Name, GateProcess>()
for (const name of names) {
  const file = path.join(folder, `${name}.conf`)
  writeFileSync(file, conf(name, name === 'policy' ? policy : ''))
  gates.set(name, await startGateProcess(file))
}
const figures: Record<Name, number[]> = { plain: [], twin: [], policy: [] }
const body = `Subject: bench\n\n${`${'x'.repeat(78)}\n`.repeat(51)}`
for (let round = -WARM_UP; round < rounds; round += 1) {
  const before = new Map([...gates].map(([name, gate]) => [name, cpuSeconds(gate)]))
  await sendRound()
  for (const [name, gate] of gates) {
    const cost = ((cpuSeconds(gate) - (before.get(name) ?? 0)) / messages) * 1000
    if (round >= 0) figures[name].push(cost)
  }
}
for (const gate of gates.values()) await gate.end('SIGTERM')
rmSync(folder, { recursive: true })

const show = (values: readonly number[], digits = 2): string => {
  const sorted = values.toSorted((a, b) => a - b)
  return [sorted[0], sorted[Math.floor(sorted.length / 2)], sorted.at(-1)]
    .map((value) => value?.toFixed(digits))
    .join(' / ')
}
const against = (values: readonly number[]): number[] =>
  values.map((value, round) => (2 * value) / ((figures.plain[round] ?? 0) + (figures.twin[round] ?? 0)))
const total = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0)
const overall = (2 * total(figures.policy)) / (total(figures.plain) + total(figures.twin))
console.log(`gate's CPU seconds per 1,000 messages, ${rounds} rounds of ${messages}: min / median / max`)
console.log(`without policy  ${show(figures.plain)}`)
console.log(`without, again  ${show(figures.twin)}`)
console.log(`with policy     ${show(figures.policy)}`)
console.log(
  `ratio           ${show(against(figures.policy), 3)}; of all rounds together ${overall.toFixed(3)}`,
)
console.log(`ratio of equals ${show(against(figures.twin), 3)}`)

/** Each sender visits the gates in turn. */
async function sendRound(): Promise<void> {
  let left = messages
  const sender = async (first: number): Promise<void> => {
    for (let turn = first; left > 0; turn += 1) {
      left -= 1
      for (const offset of names.keys()) {
        const gate = gates.get(names[(turn + offset) % names.length] ?? 'plain')
        if (gate !== undefined) await sendOne(gate)
      }
    }
  }
  await Promise.all(Array.from({ length: SENDERS }, (_, index) => sender(index)))
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
