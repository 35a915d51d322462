/** Parts of the server that outlive every reload, made from the settings with which it begins. */

import { join, resolve } from 'node:path'
import { ConfigError } from './config/diagnostic.ts'
import { quote } from './config/render.ts'
import type { Settings } from './config/settings.ts'
import type { EventBus } from './events/events.ts'
import { PartnerReport } from './events/partner-report.ts'
import { Decisions } from './logs/decisions.ts'
import { type Logs, openLogs } from './logs/logs.ts'
import type { NodeRole } from './node-role.ts'
import { directoryMode, makeDirectory } from './spool/directories.ts'
import { openSpool, type SpoolOptions } from './spool/lmdb-spool.ts'
import { SpoolLock } from './spool/lock.ts'
import { Partitions, partitionsIn } from './spool/partitions.ts'
import type { Spool } from './spool/spool.ts'

/** Where facts go. */
interface StandingFacts {
  readonly logs: Logs
  /** the decision records that can be asked for */
  readonly decisions: Decisions
  readonly partnerReport: PartnerReport
}

/** TLS_Expiry_Warning's longest, in milliseconds. */
export function warningTime({ global }: Settings): number {
  return (global.tls_expiry_warning[0] ?? 0) * 86_400_000
}

/** What is told goes into the logs, and what can be asked for later stays in memory. */
export function keepFacts(settings: Settings, events: EventBus, node?: NodeRole): StandingFacts {
  const logs = openLogs(settings, {
    clock: Date.now,
    heartbeats: node === undefined,
    onError: (message) => process.stderr.write(`postern: ${message}\n`),
  })
  const decisions = new Decisions()
  events.subscribe((event) => logs.handle(event))
  events.subscribe((event) => decisions.handle(event))
  const warn = (text: string) =>
    events.emit({ kind: 'panic', at: Date.now(), level: 'warning', module: 'partner', text })
  const partnerReport = new PartnerReport({ warn })
  events.subscribe((event) => partnerReport.handle(event))
  return { logs, decisions, partnerReport }
}

/**
 * Opens the spool: all of it, locked against every other process, or the partitions of one worker.
 * @throws ConfigError at Spoolbase when the system refuses the folder; otherwise what `openSpool` throws
 */
export async function openSpoolOf(
  settings: Settings,
  options: SpoolOptions,
  node?: NodeRole,
): Promise<Partitions> {
  return await explained(settings, async () => {
    if (node !== undefined) return await openPartitions(options, node.partitions)
    const lock = await lockSpool(options)
    try {
      const found = await partitionsIn(options.path)
      return await openPartitions(options, [0, ...found.filter((number) => number > 0)], () => lock.release())
    } catch (error) {
      lock.release()
      throw error
    }
  })
}

/** Locks a spool for one node. @throws SpoolLockedError when another one has it */
export async function lockSpool({ path, mode }: Pick<SpoolOptions, 'path' | 'mode'>): Promise<SpoolLock> {
  const folder = resolve(path)
  // with the first partition, so that what the system says is about the folder as a folder
  await makeDirectory(join(folder, '0'), directoryMode(mode))
  return SpoolLock.acquire(folder, mode)
}

/** @throws ConfigError at Spoolbase when the system refuses the work */
export async function explained<T>(settings: Settings, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof Error && 'syscall' in error)) throw error
    const at = settings.globalOrigin('spoolbase')
    const message = `Spoolbase ${quote(settings.global.spoolbase.text)} cannot be used: ${error.message}`
    throw new ConfigError([{ severity: 'error', message, ...(at === 'default' ? {} : { at }) }])
  }
}

async function openPartitions(
  options: SpoolOptions,
  [first = 0, ...others]: readonly number[],
  onClosed?: () => void,
): Promise<Partitions> {
  const all = new Partitions(await openPartition(options, first), onClosed)
  try {
    for (const partition of others) all.adopt(await openPartition(options, partition))
    return all
  } catch (error) {
    await all.close()
    throw error
  }
}

/** The reserve may change later, and is asked for each time. @throws what `openSpool` throws */
export async function openPartition(options: SpoolOptions, partition: number): Promise<Spool> {
  return await openSpool({
    ...options,
    partition,
    get minFree() {
      return options.minFree
    },
  })
}
