/** The server as a whole: who it is, what it has done (momentum: console-commands/summary, sysinfo, paniclog). */

import { machine, release, type as systemName } from 'node:os'
import type { Answer, Fact } from './answer.ts'
import type { ConsoleCommand } from './command.ts'
import { fromBytes } from './render.ts'
import type { ConsoleServices } from './services.ts'
import { dateTime, duration } from './times.ts'

export const generalCommands: readonly ConsoleCommand[] = [
  {
    name: 'version',
    arguments: '',
    help: 'the version of the program',
    run: (_args, { version }) => ({ kind: 'value', key: 'version', value: `Postern ${version}` }),
  },
  {
    name: 'pid',
    arguments: '',
    help: 'the process id of the server',
    run: (_args, { pid }) => ({ kind: 'value', key: 'pid', value: pid }),
  },
  {
    name: 'sysinfo',
    arguments: '',
    help: 'the program, its runtime and the system that it runs on',
    run: (_args, services) => ({ kind: 'facts', facts: sysinfo(services) }),
  },
  {
    name: 'summary',
    arguments: '',
    help: 'how much is under way and what has happened since the last reset',
    run: (_args, services) => ({ kind: 'facts', title: 'Summary Statistics', facts: summary(services) }),
  },
  {
    name: 'summary reset',
    arguments: '',
    help: 'the counters of summary begin at zero again',
    run: (_args, { counters }) => {
      counters.reset()
      return { kind: 'value', key: 'done', value: 'Statistics reset.' }
    },
  },
  {
    name: 'paniclog',
    arguments: '',
    help: 'the last ten entries of the panic log for each level, the worst level first',
    run: (_args, { panics }) => paniclog(panics.entries),
  },
  {
    name: 'reopen logs',
    arguments: '',
    help: 'every log file is closed and opened again, as after logrotate',
    run: async (_args, services) => {
      await services.reopenLogs()
      return { kind: 'value', key: 'done', value: 'Logs reopened.' }
    },
  },
]

function sysinfo({ version, started, hostname }: ConsoleServices): readonly Fact[] {
  return [
    { key: 'version', label: 'Postern Version', value: version },
    { key: 'productName', label: 'product name', value: 'Postern' },
    { key: 'runtime', label: 'runtime', value: `Node.js ${process.version}` },
    { key: 'system', label: 'system', value: `${systemName()} ${release()} ${machine()}` },
    { key: 'hostname', label: 'hostname', value: hostname() },
    { key: 'started', label: 'started', value: dateTime(started) },
  ]
}

/** The lines that have a meaning here, in Momentum's order. */
function summary({ queue, counters, sessions, clock, started }: ConsoleServices): readonly Fact[] {
  const { counts, rates, since } = counters
  const { active, ready, delayed, failed, domains } = queue.counts
  const uptime = clock() - started
  return [
    { key: 'outboundConcurrency', label: 'Outbound Concurrency', value: active },
    { key: 'inboundConcurrency', label: 'Inbound Concurrency', value: sessions().length },
    { key: 'activeDomains', label: 'Active Domains', value: domains },
    { key: 'activeQueueSize', label: 'Active Queue Size', value: ready + active },
    { key: 'delayedQueueSize', label: 'Delayed Queue Size', value: delayed },
    { key: 'totalQueueSize', label: 'Total Queue Size', value: ready + active + delayed + failed },
    {
      key: 'successfullyDeliveredMessages',
      label: 'Successfully Delivered Messages',
      value: counts.delivered,
    },
    { key: 'failedMessages', label: 'Failed Messages', value: counts.failed },
    { key: 'rejectedMessages', label: 'Rejected Messages', value: counts.rejected },
    { key: 'receivedMessages', label: 'Received Messages', value: counts.received },
    rate('deliveryRate', 'Delivery Rate', rates.delivery),
    rate('receptionRate', 'Reception Rate', rates.reception),
    { key: 'statisticsLastReset', label: 'Statistics Last Reset', value: dateTime(since) },
    { key: 'uptime', label: 'Uptime', value: Math.floor(uptime / 1000), shown: duration(uptime) },
  ]
}

function rate(key: string, label: string, perSecond: number): Fact {
  const value = Math.round(perSecond * 100) / 100
  return { key, label, value, shown: `${value.toFixed(2)} messages/second` }
}

function paniclog(entries: ConsoleServices['panics']['entries']): Answer {
  const shown = entries.map(({ at, level, module, text }) => ({
    at: new Date(at).toISOString(),
    level,
    module: fromBytes(module),
    text: fromBytes(text),
  }))
  return {
    kind: 'document',
    data: shown,
    lines:
      shown.length === 0
        ? ['The panic log has no entries since the start.']
        : shown.map(({ at, level, module, text }) => `[${at}] [${level}] ${module}: ${text}`),
  }
}
