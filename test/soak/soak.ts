/**
 * `node test/soak/soak.ts [MESSAGES] [SEED]`: mail through a gate that is killed and a next hop that fails in every way,
 * and then the accounts: each message was delivered or bounced, none is lost, none is there twice but where SMTP leaves
 * that open.
 *
 * Clients send over plain connections and STARTTLS; the gate is killed with SIGKILL in between and started again, and
 * reloaded; the next hop is restarted. In the end the queue must be empty, and so must be the spool on disk. Prints the
 * seed, a line for each few seconds, and the accounts; exits with 1 when they do not balance.
 */

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { makePki, writePki } from '../../src/tls/pki.ts'
import { FlakyHop } from './flaky-hop.ts'
import { Soak } from './gate-run.ts'
import { Ledger, type Verdict } from './ledger.ts'
import { makePlan, type Plan } from './plan.ts'

const [messages = '5000', seed = String(Date.now() % 1_000_000)] = process.argv.slice(2)
await main(makePlan(Number(seed), Number(messages)))

async function main(plan: Plan): Promise<void> {
  say(`seed ${plan.seed}: ${plan.units} messages in ${plan.transactions.length} transactions`)
  const folder = await mkdtemp(path.join(tmpdir(), 'postern-soak-'))
  const pki = await makePki()
  await writePki(path.join(folder, 'pki'), pki)
  const ledger = new Ledger(plan)
  const hop = await FlakyHop.start(plan, ledger, { key: pki.server.key, cert: pki.server.cert })
  const soak = new Soak({ plan, folder, hop, ledger, say })
  try {
    const verdict = await soak.run()
    process.exitCode = report(plan, verdict, soak)
  } finally {
    await soak.abandon()
    await hop.close()
    if (process.exitCode === 0) await rm(folder, { recursive: true, force: true })
    else say(`what is left is in ${folder}`)
  }
}

/** @returns the exit code */
function report(plan: Plan, verdict: Verdict, soak: Soak): number {
  const { delivered, bounced, silent, doubles, longestOpen, faults } = verdict
  const { accepted, settled } = soak.seconds
  const steps = Math.max(1, Math.floor(soak.memory.length / 12))
  say(
    `${plan.units} messages: ${delivered} delivered, ${bounced} bounced, ${silent} refused without a sender to tell; ${plan.units - delivered - bounced - silent} unaccounted for`,
  )
  say(
    `accepted in ${accepted.toFixed(1)} s (${rate(plan.units, accepted)}/s), settled in ${settled.toFixed(1)} s (${rate(plan.units, settled)}/s)`,
  )
  say(`${soak.kills} kills, ${soak.reloads} reloads, ${soak.hopRestarts} restarts of the next hop`)
  say(
    `copies too many: ${Object.entries(doubles)
      .map(([cause, count]) => `${count} ${cause}`)
      .join(', ')}; kill at most ${longestOpen} ms after the 250`,
  )
  say(`RSS in MiB over time: ${soak.memory.filter((_, n) => n % steps === 0).join(' ')}`)
  for (const fault of faults) say(`FAULT: ${fault}`)
  say(
    faults.length === 0
      ? `the accounts balance (seed ${plan.seed})`
      : `the accounts do not balance (seed ${plan.seed})`,
  )
  return faults.length === 0 ? 0 : 1
}

/** per second */
function rate(units: number, seconds: number): string {
  return (units / seconds).toFixed(0)
}

function say(text: string): void {
  process.stdout.write(`${text}\n`)
}
