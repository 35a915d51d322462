/**
 * Memory of a gate under handshakes of all kinds: good and hostile certificates, resumed sessions, clients that leave in
 * the middle.
 *
 *     node --expose-gc bench/handshakes.ts [HANDSHAKES [MANNER…]]
 *
 * The gate runs in this process, its clients in another. After each tenth of them the garbage is collected and memory is
 * read; at the end the slope of the last half is told, and what the gate told of the handshakes.
 */

import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { Server } from '../src/server.ts'
import { makePki, writePki } from '../src/tls/pki.ts'
import {
  handshakeLoad,
  type Load,
  loadCredentials,
  MANNERS,
  type Tally,
} from '../test/support/handshake-load.ts'

type Order = Omit<Load, 'every'>
type Word =
  | { readonly kind: 'pause'; readonly done: number }
  | { readonly kind: 'end'; readonly tally: Tally }

const SCOPES = ['', 'TLS_Verify_Mode = "require"', 'TLS_Client_EKU = "any"', 'TLS_Verify_Depth = 3']

if (process.send === undefined) await gate(Number(process.argv[2] ?? 100_000))
else await clients()

async function clients(): Promise<void> {
  process.send?.('ready')
  const [order] = (await once(process, 'message')) as [Order]
  const pause = async (done: number): Promise<void> => {
    say({ kind: 'pause', done })
    await once(process, 'message')
  }
  const tally = await handshakeLoad({ ...order, every: { clients: Math.ceil(order.clients / 10), pause } })
  say({ kind: 'end', tally })
  process.disconnect()
}

function say(word: Word): void {
  process.send?.(word)
}

async function gate(handshakes: number): Promise<void> {
  // to find out which clients a leak belongs to
  const manners = process.argv.slice(3).flatMap((word) => MANNERS.filter((manner) => manner === word))
  const folder = mkdtempSync(path.join(tmpdir(), 'postern-handshakes-'))
  const pki = await makePki()
  await writePki(path.join(folder, 'pki'), pki)
  const file = path.join(folder, 'gate.conf')
  writeFileSync(file, configuration())
  const outcomes = new Map<string, number>()
  const server = await Server.start({
    file,
    version: 'bench',
    onEvent: (event) => {
      if (event.kind === 'panic') console.log(event)
      const outcome =
        event.kind === 'tls' ? `${event.outcome}${event.resumed ? ' (resumed)' : ''}` : event.kind
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
    },
  })
  const order: Order = {
    addresses: server.addresses.map((text) => {
      const [host = '', port] = text.split(':')
      return { host, port: Number(port) }
    }),
    credentials: loadCredentials(pki),
    clients: handshakes,
    ...(manners.length === 0 ? {} : { manners }),
    atOnce: 16,
    seed: 1,
  }
  const tally = await drive(order)
  console.log('clients', tally, 'gate', Object.fromEntries(outcomes))
  await server.stop()
  rmSync(folder, { recursive: true, force: true })
}

async function drive(order: Order): Promise<Tally> {
  const child = fork(import.meta.filename, { execArgv: [] })
  await once(child, 'message')
  const samples: { readonly done: number; readonly rss: number; readonly heap: number }[] = []
  child.send(order)
  for (;;) {
    const [word] = (await once(child, 'message')) as [Word]
    if (word.kind === 'end') {
      tellSlope(samples.slice(Math.floor(samples.length / 2)))
      return word.tally
    }
    // sessions that were left need their moment to end
    await delay(300)
    globalThis.gc?.()
    const { rss, heapUsed, external } = process.memoryUsage()
    samples.push({ done: word.done, rss, heap: heapUsed + external })
    const cpu = process.cpuUsage()
    console.log(
      `${word.done}: RSS ${mebibytes(rss)} MiB, heap and external ${mebibytes(heapUsed + external)} MiB, CPU ${((cpu.user + cpu.system) / 1e6).toFixed(0)} s`,
    )
    child.send('go on')
  }
}

/** Bytes for each handshake, by the line that fits best. */
function tellSlope(
  samples: readonly { readonly done: number; readonly rss: number; readonly heap: number }[],
) {
  const x = mean(samples.map(({ done }) => done))
  const slope = (of: 'rss' | 'heap'): number => {
    const y = mean(samples.map((sample) => sample[of]))
    const up = samples.reduce((sum, sample) => sum + (sample.done - x) * (sample[of] - y), 0)
    return up / samples.reduce((sum, { done }) => sum + (done - x) ** 2, 0)
  }
  console.log(
    `second half: RSS ${slope('rss').toFixed(1)}, heap and external ${slope('heap').toFixed(1)} bytes for each handshake`,
  )
}

function mean(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0) / values.length
}

function mebibytes(octets: number): string {
  return (octets / 1_048_576).toFixed(1)
}

function configuration(): string {
  const listens = SCOPES.map((scope, n) => `  Listen "127.0.7.${n + 1}:0" { ${scope} }`)
  return `Hostname = "gate.example"
Spoolbase = "spool"
DNS_Servers = ( "127.0.0.1:9" )
ESMTP_Listener {
  Use_SSL = true
  TLS_Certificate = "pki/server.pem"
  TLS_Key = "pki/server.key"
  TLS_Client_CA = "pki/ca.pem"
  TLS_Client_CRL = "pki/crl.pem"
${listens.join('\n')}
}
`
}
