/**
 * How the queue carries a full spool: `node bench/queue.ts [MESSAGES] [DOMAINS] [DIRECTORY]`.
 *
 * Fills a spool, then starts on it in a process of its own: seconds until the spool is open, until the first delivery and
 * until everything is taken over; memory; how long the event loop is held up by that, and by a reload. The next hops are
 * suspended but for one domain, so that the queue stays as full as it is.
 */

import { fork } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { loadSettingsFromText } from '../src/config/load.ts'
import { DeliveryQueue } from '../src/delivery/queue.ts'
import { fillSpool, openBenchSpool } from './support/full-spool.ts'

const [messages = '100000', domains = '10000', directory = tmpdir(), existing] = process.argv.slice(2)
if (existing === undefined) await parent()
else await measure(existing)

async function parent(): Promise<void> {
  const path = await mkdtemp(join(directory, 'postern-queue-'))
  try {
    const spool = await openBenchSpool(path)
    const began = performance.now()
    await fillSpool(spool, Number(messages), Number(domains))
    await spool.close()
    report('filled', began)
    const child = fork(import.meta.filename, [messages, domains, directory, path], {
      execArgv: ['--expose-gc'],
    })
    await new Promise((resolve) => child.once('exit', resolve))
  } finally {
    await rm(path, { recursive: true })
  }
}

async function measure(path: string): Promise<void> {
  const settings = await settingsOf()
  const began = performance.now()
  const spool = await openBenchSpool(path)
  report('spool open', began)
  memory()
  const delay = monitorEventLoopDelay({ resolution: 5 })
  delay.enable()
  let deliveries = 0
  const started = performance.now()
  const transport = {
    deliver: async (batch: readonly unknown[]) => {
      if (deliveries === 0) report('first delivery after start', started)
      deliveries += batch.length
      return await Promise.resolve(
        batch.map(() => ({ kind: 'transient', stage: 5, text: '450 later', bytes: 0, remote: '' }) as const),
      )
    },
  }
  const queue = new DeliveryQueue({
    spool,
    settings,
    transports: { smtp: transport, maildir: transport, pipe: transport, webhook: transport },
    events: { emit: () => undefined },
    ids: { next: () => 'c' },
    hostname: 'bench.test',
  })
  queue.start()
  const taken = (): number => queue.counts.ready + queue.counts.active + queue.counts.delayed
  while (taken() < Number(messages)) await new Promise((resolve) => setTimeout(resolve, 50))
  report('all taken over after start', started)
  console.log(`longest pause of the event loop ${(delay.max / 1e6).toFixed(0)} ms`)
  memory()
  console.log(JSON.stringify(queue.counts))
  const reloading = performance.now()
  queue.reload(settings)
  console.log(`reload ${(performance.now() - reloading).toFixed(1)} ms`)
  await queue.stop(AbortSignal.timeout(1000))
  await spool.close()
}

async function settingsOf() {
  const text =
    'Retry_Interval = 7200\nGateway = "relay.test"\nSuspend_Delivery = true\nDomain "d0.test" { Suspend_Delivery = false }\n'
  const { settings } = await loadSettingsFromText(text)
  if (settings === undefined) throw new Error('the configuration is wrong')
  return settings
}

function report(what: string, since: number): void {
  console.log(`${what} ${((performance.now() - since) / 1000).toFixed(2)} s`)
}

function memory(): void {
  ;(globalThis as { gc?: () => void }).gc?.()
  const { rss, heapUsed, arrayBuffers } = process.memoryUsage()
  console.log(`RSS ${mib(rss)} MiB, heap ${mib(heapUsed)} MiB, buffers ${mib(arrayBuffers)} MiB`)
}

function mib(octets: number): string {
  return (octets / 1024 ** 2).toFixed(0)
}
