/**
 * What a message costs as something grows: sessions that are connected, Peer stanzas, scripts, mail in the queue, size of the
 * message, workers. All points of one kind take turns in each round.
 *
 *   node bench/growth.ts [--kinds NAME,NAME…] [--rounds N] [--quick] [--under FOLDER] [--write]
 *
 * `--write` keeps the results in bench/results/growth.json and writes docs/benchmarks.md anew. What a gate needs to start is told too.
 */

import { parseArgs } from 'node:util'
import { Generator } from '../src/cli/bench/generator.ts'
import type { LoadOrder } from '../src/cli/bench/order.ts'
import { makePki, writePki } from '../src/tls/pki.ts'
import { Cleanup } from './support/cleanup.ts'
import { keep, writeBenchmarks } from './support/document.ts'
import { spreadOf } from './support/figures.ts'
import { fillSpool, openBenchSpool } from './support/full-spool.ts'
import { growthTable, type KeptGrowth, type KeptKind, type Point } from './support/growth-table.ts'
import { describeMachine } from './support/machine.ts'
import { type Case, measure } from './support/measure.ts'
import { type PosternRequest, startPostern } from './support/postern.ts'
import { descriptorLimit } from './support/processes.ts'
import { memoryOf, type Subject } from './support/subject.ts'

const DOMAINS = 10_000
/** besides the connections themselves: those that the gate keeps free for deliveries, the spool, logs */
const SPARE_DESCRIPTORS = 3000
const KIB = 1024
/** messages */
const WARM_UP = 8000

/** One thing that grows, and to what. */
interface Kind {
  readonly name: string
  readonly unit: string
  /** in words, what is sent */
  readonly load: string
  readonly sizes: readonly number[]
  readonly quick: readonly number[]
  readonly gate?: (size: number) => Partial<PosternRequest>
  /** what is done with the gate before it is measured */
  readonly prepare?: (size: number, subject: Subject) => Promise<void>
  readonly order?: (size: number) => Partial<LoadOrder>
}

const { values } = parseArgs({
  options: {
    kinds: { type: 'string' },
    rounds: { type: 'string', default: '3' },
    quick: { type: 'boolean', default: false },
    under: { type: 'string' },
    write: { type: 'boolean', default: false },
  },
})
const cleanup = new Cleanup()
const rounds = values.quick ? 2 : Number(values.rounds)
const share = values.quick ? 0.1 : 1
const tell = (line: string): void => {
  process.stdout.write(`${line}\n`)
}
const pki = cleanup.folder('pki', values.under)
await writePki(pki, await makePki())
const generator = new Generator()
/** keeps connections that do nothing */
const holder = new Generator()
const PLAIN = 'plain, 4 KiB, 20 messages per connection, 50 at once'

const KINDS: readonly Kind[] = [
  {
    name: 'sessions',
    unit: 'connected sessions that do nothing meanwhile',
    load: PLAIN,
    sizes: [1, 100, 1000, 10_000],
    quick: [1, 100],
    gate: (size) => (size < 5000 ? {} : { sessions: size + 300 }),
    prepare: async (size, { host, port }) =>
      holder.hold({ host, port, security: 'plain', connections: size, atOnce: 50 }),
  },
  {
    name: 'peers',
    unit: 'Peer stanzas in the Listen',
    load: PLAIN,
    sizes: [10, 10_000, 100_000],
    quick: [10, 1000],
    gate: (size) => ({ peers: size }),
  },
  {
    name: 'scripts',
    unit: 'Lua scripts of four callouts',
    load: PLAIN,
    sizes: [0, 1, 10],
    quick: [0, 1, 10],
    gate: (size) => ({ scripts: size }),
  },
  {
    name: 'queue',
    unit: 'messages in the queue',
    load: PLAIN,
    sizes: [0, 100_000, 1_000_000],
    quick: [0, 10_000],
  },
  {
    name: 'size',
    unit: 'octets in a message',
    load: 'plain, 20 messages per connection; 1 MiB and more: 8 at once',
    sizes: [KIB, 4 * KIB, 64 * KIB, KIB ** 2, 25 * KIB ** 2],
    quick: [KIB, 64 * KIB],
    order: (size) => ({
      size,
      connections: size >= KIB ** 2 ? 8 : 50,
      messages: Math.max(16, Math.min(4000, Math.round((200 * KIB ** 2) / size))),
    }),
  },
  {
    name: 'workers',
    unit: 'workers',
    load: PLAIN,
    sizes: [1, 2, 4],
    quick: [1, 2],
    gate: (size) => ({ workers: size }),
  },
]

const began = Date.now()
const machine = describeMachine(pki)
const kinds: KeptKind[] = []
for (const kind of chooseKinds(values.kinds)) {
  tell(`\n== ${kind.name}: ${kind.unit}; ${kind.load}`)
  kinds.push(await grow(kind))
}
await Promise.all([generator.end(), holder.end()])
const kept: KeptGrowth = { machine, began: new Date(began).toISOString(), quick: values.quick, rounds, kinds }
for (const kind of kinds) tell(`\n${kind.name}\n${growthTable(kind)}`)
if (values.write) {
  keep('growth.json', kept)
  writeBenchmarks()
  tell('\nwritten: bench/results/growth.json, docs/benchmarks.md')
}

async function grow(kind: Kind): Promise<KeptKind> {
  const notes: string[] = []
  const subjects: { readonly size: number; readonly subject: Subject; readonly seconds: number }[] = []
  try {
    for (const size of values.quick ? kind.quick : kind.sizes) {
      if (kind.name === 'sessions' && descriptorLimit() < size + SPARE_DESCRIPTORS) {
        notes.push(
          `not measured at ${size}: at most ${descriptorLimit()} open files are allowed (ulimit -Hn)`,
        )
        continue
      }
      const spool = kind.name === 'queue' ? await fullSpool(size) : undefined
      const since = performance.now()
      const subject = await startPostern(
        {
          name: `${kind.name} ${size}`,
          pki,
          under: values.under,
          ...(spool === undefined ? {} : { spool }),
          ...kind.gate?.(size),
        },
        cleanup,
      )
      const seconds = (performance.now() - since) / 1000
      subjects.push({ size, subject, seconds })
      await kind.prepare?.(size, subject)
      tell(`ready: ${subject.name}, ${seconds.toFixed(1)} s to start`)
    }
    const cases = subjects.map(({ size, subject }) => caseOf(kind, size, subject))
    const samples = await measure(cases, { generator, rounds, tell })
    const points = subjects.map(({ size, subject, seconds }): Point => {
      const rounds = samples.get(subject.name) ?? []
      return {
        size,
        cpuPerThousand: spreadOf(rounds.map((each) => each.cpuPerThousand)),
        perSecond: spreadOf(rounds.map((each) => each.perSecond)),
        startSeconds: seconds,
        residentMebibytes: memoryOf(subject).all / KIB ** 2,
      }
    })
    return { name: kind.name, unit: kind.unit, load: kind.load, points, notes }
  } finally {
    await holder.release()
    await Promise.all(subjects.map(({ subject }) => subject.stop()))
  }
}

function caseOf(kind: Kind, size: number, subject: Subject): Case {
  const order = {
    security: 'plain' as const,
    resume: false,
    connections: 50,
    perConnection: 20,
    messages: 4000,
    size: 4 * KIB,
    sender: 'bench@client.example',
    recipient: 'bench@gate.example',
    awaitQuit: true,
    ...kind.order?.(size),
  }
  const messages = Math.max(16, Math.round(order.messages * share))
  // until the runtime has translated what it runs often, in each of several processes
  const processes = kind.gate?.(size).workers ?? 1
  const warmUp = order.size > 64 * KIB ? messages : WARM_UP * processes * Math.max(share, 0.3)
  return { name: subject.name, subject, order: { ...order, messages }, warmUp }
}

/** @returns a Spoolbase with so many messages in it */
async function fullSpool(messages: number): Promise<string> {
  const folder = cleanup.folder('queue', values.under)
  const since = performance.now()
  const spool = await openBenchSpool(folder)
  await fillSpool(spool, messages, DOMAINS)
  await spool.close()
  tell(`a spool with ${messages} messages: ${((performance.now() - since) / 1000).toFixed(1)} s`)
  return folder
}

function chooseKinds(names: string | undefined): readonly Kind[] {
  if (names === undefined) return KINDS
  return names.split(',').map((name) => {
    const kind = KINDS.find((each) => each.name === name)
    if (kind === undefined) {
      process.stderr.write(
        `nothing that grows is called "${name}"; there are ${KINDS.map((each) => each.name).join(', ')}\n`,
      )
      process.exit(64)
    }
    return kind
  })
}
