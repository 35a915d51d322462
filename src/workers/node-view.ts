/**
 * The node as the console sees it: for each command the workers are asked for what it needs, and what they answer is put
 * together. A worker that does not answer in time is named beside the answer.
 */

import { PanicMemory } from '../console/panics.ts'
import type { GatheredServices } from '../console/server.ts'
import type { ConsoleServices, ScriptAnswer } from '../console/services.ts'
import { addVerdicts, lastMinutes } from '../console/verdicts.ts'
import type { DecisionRecord } from '../events/decision.ts'
import type { Panic } from '../events/events.ts'
import {
  addCounts,
  mergeContexts,
  mergeEnded,
  mergeExpiries,
  mergePins,
  mergeQueues,
  mergeServerOnly,
  mergeShadows,
} from './merge.ts'
import { partsFor, type Snapshot } from './snapshot.ts'

/** What the supervisor knows and can do. */
export interface NodeHost
  extends Pick<
    ConsoleServices,
    | 'configuration'
    | 'version'
    | 'account'
    | 'pid'
    | 'started'
    | 'clock'
    | 'hostname'
    | 'settings'
    | 'reload'
    | 'reopenLogs'
  > {
  readonly flushTls: () => Promise<void>
  /** of the supervisor itself */
  readonly panics: PanicMemory
  /** when the counters began, and what processes that are gone had counted since */
  readonly counted: () => { readonly since: number; readonly gone: Snapshot['counters']['counts'] }
  readonly resetCounters: () => void
  /** asks every worker; sentences name those that did not answer */
  readonly gather: (
    parts: ReturnType<typeof partsFor>,
  ) => Promise<{ readonly answers: readonly Partial<Snapshot>[]; readonly missing: readonly string[] }>
  /** asks the queue of every worker */
  readonly askQueue: ConsoleServices['queue']['ask']
  readonly inside: ConsoleServices['inside']
  readonly traces: ConsoleServices['traces']
  readonly shutdown: ConsoleServices['shutdown']
  readonly restartWorkers: ConsoleServices['restartWorkers']
  /** runs a script's command in every worker */
  readonly command: (words: readonly string[]) => Promise<readonly (ScriptAnswer | undefined)[]>
}

export async function nodeServices(host: NodeHost, words: readonly string[]): Promise<GatheredServices> {
  const parts = partsFor(words)
  const { answers, missing } = parts.length === 0 ? { answers: [], missing: [] } : await host.gather(parts)
  return { services: servicesOf(host, answers), missing }
}

/** For what needs no worker. */
export function servicesOf(host: NodeHost, answers: readonly Partial<Snapshot>[]): ConsoleServices {
  const all = <Part extends keyof Snapshot>(part: Part): Snapshot[Part][] =>
    answers.flatMap((answer) => (part in answer ? [answer[part] as Snapshot[Part]] : []))
  const queue = mergeQueues(all('queue'))
  const scripts = all('scripts').find((commands) => commands !== undefined)
  return {
    version: host.version,
    pid: host.pid,
    started: host.started,
    clock: host.clock,
    hostname: host.hostname,
    settings: host.settings,
    configuration: host.configuration,
    reload: host.reload,
    reopenLogs: host.reopenLogs,
    counters: countersOf(host, all('counters')),
    panics: { entries: panicsOf([...all('panics').flat(), ...host.panics.entries]) },
    sessions: () =>
      all('sessions')
        .flat()
        .toSorted((a, b) => a.since - b.since),
    queue: { counts: queue.counts, byDomain: () => queue.domains, ask: host.askQueue },
    account: host.account,
    scripts: () =>
      scripts && {
        commands: scripts,
        command: async (words) => oneAnswer(await host.command(words)),
      },
    tls: { contexts: () => mergeContexts(all('contexts')), flush: host.flushTls },
    decisions: decisionsOf(all('decisions'), all('shadow')),
    verdicts: (minutes) => lastMinutes(addVerdicts(all('verdicts')), minutes),
    inside: host.inside,
    traces: host.traces,
    shutdown: host.shutdown,
    restartWorkers: host.restartWorkers,
    pins: () => mergePins(all('pins')),
    serverOnly: () => mergeServerOnly(all('serverOnly')),
    expiries: () => mergeExpiries(all('expiries')),
  }
}

function countersOf(host: NodeHost, parts: readonly Snapshot['counters'][]): ConsoleServices['counters'] {
  const { since, gone } = host.counted()
  const sum = (key: 'delivery' | 'reception'): number =>
    parts.reduce((total, { rates }) => total + rates[key], 0)
  return {
    reset: host.resetCounters,
    since,
    counts: addCounts([gone, ...parts.map(({ counts }) => counts)]),
    rates: { delivery: sum('delivery'), reception: sum('reception') },
  }
}

function panicsOf(all: readonly Panic[]): readonly Panic[] {
  const memory = new PanicMemory()
  for (const panic of all.toSorted((a, b) => a.at - b.at)) memory.handle(panic)
  return memory.entries
}

function decisionsOf(
  parts: readonly Snapshot['decisions'][],
  shadows: readonly Snapshot['shadow'][],
): ConsoleServices['decisions'] {
  const live = parts.flatMap((part) => part.live).toSorted((a, b) => a.at - b.at)
  const ended = mergeEnded(parts.map((part) => part.ended))
  return {
    live: () => [...live],
    ended: (outcome) => ended.filter((record) => outcome === undefined || record.outcome === outcome),
    find: (id): DecisionRecord | undefined =>
      [...live, ...ended].find(({ connectionId }) => connectionId === id),
    shadow: () => mergeShadows(shadows),
  }
}

/** What all say alike is said once. */
function oneAnswer(answers: readonly (ScriptAnswer | undefined)[]): ScriptAnswer | undefined {
  const given = answers.filter((answer) => answer !== undefined)
  const failed = given.find((answer) => answer.kind === 'failed')
  const outputs = [...new Set(given.map(({ output }) => output))]
  const output =
    outputs.length < 2
      ? (outputs[0] ?? '')
      : given.map((answer, index) => `worker ${index}:\n${answer.output}`).join('')
  if (failed !== undefined) return { ...failed, output }
  return given.length === 0 ? undefined : { kind: 'done', output }
}
