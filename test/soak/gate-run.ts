/** One soak: the gate and what happens to it, from the first message to an empty queue. */

import { readdir, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { openSpool } from '../../src/spool/lmdb-spool.ts'
import { data } from '../support/console-client.ts'
import { type GateProcess, startGateProcess } from '../support/gate-process.ts'
import type { FlakyHop } from './flaky-hop.ts'
import type { Ledger, Verdict } from './ledger.ts'
import { chance, ORIGIN, type Plan } from './plan.ts'
import { sendAll } from './senders.ts'

const SENDERS = 16
/** without any progress */
const STUCK_MS = 120_000

interface SoakParts {
  readonly plan: Plan
  readonly folder: string
  readonly hop: FlakyHop
  readonly ledger: Ledger
  /** a line for whoever watches */
  readonly say: (line: string) => void
}

export class Soak {
  readonly #parts: SoakParts
  readonly #file: string
  readonly #began = performance.now()
  #gate: Promise<GateProcess> | undefined
  #port = 0
  #accepted = 0
  #sent = false
  #reloads = 0
  kills = 0
  hopRestarts = 0
  readonly memory: number[] = []
  /** seconds until all was accepted, and until all was settled */
  readonly seconds = { accepted: 0, settled: 0 }

  constructor(parts: SoakParts) {
    this.#parts = parts
    this.#file = path.join(parts.folder, 'gate.conf')
  }

  get reloads(): number {
    return this.#reloads
  }

  async run(): Promise<Verdict> {
    const { plan, ledger, folder } = this.#parts
    await this.#configure()
    await this.#start()
    const trouble = this.#trouble()
    const watch = this.#watch()
    await sendAll({
      plan,
      ledger,
      concurrency: SENDERS,
      address: () => ({ host: '127.0.0.1', port: this.#port }),
      accepted: (transactions) => {
        this.#accepted = transactions
      },
    })
    this.#sent = true
    this.seconds.accepted = this.#elapsed()
    await trouble
    await this.#untilEmpty()
    this.seconds.settled = this.#elapsed()
    await watch
    const code = await (await this.#gate)?.end('SIGTERM')
    if (code !== 0) ledger.fault(`the gate ended with ${String(code)}`)
    this.#gate = undefined
    const left = await leftInSpool(path.join(folder, 'spool'))
    if (left > 0) ledger.fault(`${left} messages are left in the spool`)
    return ledger.settle(await readBounces(path.join(folder, 'mail')))
  }

  async abandon(): Promise<void> {
    await (await this.#gate)?.end('SIGKILL')
  }

  async #start(): Promise<void> {
    this.#gate = startGateProcess(this.#file)
    const [address] = (await this.#gate).addresses
    if (address === undefined) throw new Error('the gate names no address')
    this.#port = address.port
  }

  /** Kills, reloads and restarts of the next hop, until all is accepted. */
  async #trouble(): Promise<void> {
    const { plan, hop, ledger } = this.#parts
    const kills = [...plan.kills]
    for (let round = 0; !this.#sent; round += 1) {
      await delay(50 + 900 * chance(plan.seed, round, 100))
      if (kills[0] !== undefined && this.#accepted >= kills[0]) {
        kills.shift()
        const gate = await this.#gate
        ledger.killed()
        await gate?.end('SIGKILL')
        this.kills += 1
        await this.#start()
      } else if (round % 5 === 2) {
        this.#reloads += 1
        await this.#configure()
        ;(await this.#gate)?.child.kill('SIGHUP')
      } else if (round % 17 === 9) {
        this.hopRestarts += 1
        await hop.restart(200 + 800 * chance(plan.seed, round, 101))
      }
    }
  }

  async #untilEmpty(): Promise<void> {
    for (let left = -1, since = Date.now(); left !== 0; ) {
      await delay(100)
      const now = await this.#queued()
      if (now !== left) since = Date.now()
      left = now
      if (Date.now() - since > STUCK_MS) {
        this.#parts.ledger.fault(`the queue stays at ${left}`)
        return
      }
    }
    this.seconds.settled = this.#elapsed()
  }

  async #queued(): Promise<number> {
    const summary = await data(path.join(this.#parts.folder, 'control'), 'summary')
    return (summary as { readonly totalQueueSize: number }).totalQueueSize
  }

  async #watch(): Promise<void> {
    const every = Math.max(2, Math.min(30, this.#parts.plan.units / 1000)) * 1000
    for (let next = performance.now(); this.seconds.settled === 0; await delay(100)) {
      if (performance.now() < next) continue
      next += every
      const pid = (await this.#gate)?.child.pid
      const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
      const rss = Math.round(Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? 0) / 1024)
      if (rss > 0) this.memory.push(rss)
      this.#parts.say(
        `${this.#elapsed().toFixed(0)} s: ${this.#accepted} transactions accepted, ${this.#parts.ledger.taken} messages taken, RSS ${rss} MiB, ${this.kills} kills`,
      )
    }
  }

  #elapsed(): number {
    return (performance.now() - this.#began) / 1000
  }

  async #configure(): Promise<void> {
    const { folder, hop } = this.#parts
    const perConnection = this.#reloads % 2 === 0 ? 20 : 5
    await writeFile(
      this.#file,
      `Hostname = "gate.test"
Spoolbase = "spool"
Spool_Min_Free = 1M
Retry_Interval = 1
Max_Retry_Interval = 3
Host_Failure_Retry = 1
Message_Expiration = 86400
Body_Timeout = 10
Max_Deliveries_Per_Connection = ${perConnection}
Max_Outbound_Connections = 8
Control_Listener "soak" { Listen "${folder}/control" { } }
ESMTP_Listener { Open_Relay = true SMTP_Extensions = ( "STARTTLS" ) TLS_Certificate = "pki/server.pem" TLS_Key = "pki/server.key" Listen "127.0.0.1:0" { } }
maildir "origin" { basedir = "mail" domains = ( "${ORIGIN}" ) create_users = true }
ec_logger "main" { mainlog = "log/mainlog.ec" paniclog = "log/paniclog.ec" }
Gateway = "127.0.0.1:${hop.port}"
Domain "d2.hop.test" { TLS = "ifavailable" }
Domain "d3.hop.test" { TLS = "required" }
Domain "d4.hop.test" { Max_Recipients_Per_Batch = 1 }
`,
    )
  }
}

/** What a fresh look finds, without the gate. */
async function leftInSpool(folder: string): Promise<number> {
  const spool = await openSpool({
    path: folder,
    mode: 0o640,
    minFree: 0,
    receptionMemory: 1024 ** 2,
    clock: Date.now,
    events: { emit: () => undefined },
  })
  const left = [...spool.messages()].length
  await spool.close()
  return left
}

/** unit → notices in the mailboxes of the senders */
async function readBounces(folder: string): Promise<Map<number, number>> {
  const bounces = new Map<number, number>()
  for (const name of await readdir(folder, { recursive: true }).catch(() => [])) {
    if (path.basename(path.dirname(name)) !== 'new') continue
    const text = await readFile(path.join(folder, name), 'latin1')
    for (const [, unit] of text.matchAll(/^Final-Recipient: rfc822; ?u(\d+)@/gm))
      bounces.set(Number(unit), (bounces.get(Number(unit)) ?? 0) + 1)
  }
  return bounces
}
