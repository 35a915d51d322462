/** What a process answers about its insides (`console/inside/questions.ts`). */

import type {
  CounterOrder,
  CounterValue,
  DnsAnswerRow,
  DnsOrder,
  DnsReport,
  InsideQuestions,
  InsideTopic,
  ProcessReport,
  ScriptFunction,
  StsOrder,
  StsPolicyRow,
  StsReport,
} from '../console/inside/questions.ts'
import type { StsPolicies } from '../delivery/session/sts-policies.ts'
import { type DnsAnswer, isQueryType, type QueryType } from '../dns/message.ts'
import { DnsError, type StubResolver } from '../dns/stub-resolver.ts'
import type { Generation } from '../generation.ts'
import type { LookupsInForce } from '../transports.ts'
import type { Tracing } from './tracing.ts'

export interface InsideHost {
  readonly generation: () => Generation
  readonly lookups: LookupsInForce
  readonly tracing: Tracing
  readonly sessions: () => number
  readonly counts: () => { readonly received: number; readonly delivered: number }
  /** undefined: there is but one process */
  readonly worker: number | undefined
}

/** questions of an operator wait no longer */
const PATIENCE_MS = 20_000

type Answers = {
  readonly [T in InsideTopic]: (
    order: InsideQuestions[T]['order'],
  ) => InsideQuestions[T]['report'] | Promise<InsideQuestions[T]['report']>
}

export class Inside {
  readonly #host: InsideHost
  readonly #answers: Answers = {
    process: () => this.#process(),
    dns: (order) => this.#dns(order),
    sts: (order) => this.#sts(order),
    functions: () => this.#functions(),
    trace: (order) => this.#host.tracing.obey(order),
    counters: (order) => this.#counters(order),
    caches: ({ ...order }) => {
      const name = order.act === 'flush' ? order.name : undefined
      const { datasources } = this.#host.generation()
      return order.act === 'flush' ? datasources.flush(name) : datasources.caches()
    },
  }

  constructor(host: InsideHost) {
    this.#host = host
  }

  async answer<T extends InsideTopic>(
    topic: T,
    order: InsideQuestions[T]['order'],
  ): Promise<InsideQuestions[T]['report']> {
    return await this.#answers[topic](order)
  }

  #process(): ProcessReport {
    const { worker, sessions, counts } = this.#host
    return {
      ...processFigures(),
      role: worker === undefined ? 'server' : `worker ${worker}`,
      sessions: sessions(),
      ...counts(),
      restarts: 0,
    }
  }

  #resolvers(): readonly (readonly [string, StubResolver])[] {
    const { generation, lookups } = this.#host
    const { dns } = lookups
    const all: (readonly [string, StubResolver])[] = [['reception', generation().dns]]
    return dns === undefined ? all : [['delivery', dns], ...all]
  }

  async #dns(order: DnsOrder): Promise<DnsReport> {
    const resolvers = this.#resolvers()
    let answers: readonly DnsAnswerRow[] = []
    let problem: string | undefined
    let flushed = 0
    switch (order.act) {
      case 'list':
        answers = resolvers.flatMap(([cache, resolver]) =>
          [...resolver.kept(order.most)].flatMap((kept) => rowsOf(cache, kept)),
        )
        break
      case 'flush':
        for (const [, resolver] of resolvers) flushed += resolver.forget(order.name)
        break
      default: {
        const type = order.type.toUpperCase()
        if (!isQueryType(type)) problem = `there are no questions of the type ${type} here`
        else if (order.act === 'lookup')
          answers = resolvers.flatMap(([cache, resolver]) => rowsOfKept(cache, resolver, order.name, type))
        else ({ answers, problem } = await askOne(resolvers[0], order.name, type))
      }
    }
    const caches = resolvers.map(([cache, { figures }]) => ({ cache, ...figures }))
    return { caches, answers, problem, flushed }
  }

  async #sts(order: StsOrder): Promise<StsReport> {
    const { policies } = this.#host.lookups
    if (policies === undefined) return { policies: [], flushed: 0 }
    switch (order.act) {
      case 'list':
        return { policies: await policies.list(), flushed: 0 }
      case 'flush':
        return { policies: [], flushed: await policies.forget(order.domain) }
      default:
        return { policies: await one(policies, order.domain, order.act === 'refresh'), flushed: 0 }
    }
  }

  #functions(): readonly ScriptFunction[] {
    return this.#host.generation().policy.offers?.functions ?? []
  }

  #counters(order: CounterOrder): readonly CounterValue[] {
    const { counters } = this.#host.generation().counts
    if (order.act === 'list') return [...counters.entries()]
    // what is added to one process is added to their sum
    if (order.act === 'add' && (this.#host.worker ?? 0) === 0)
      counters.set(order.path, counters.read(order.path) + order.delta)
    if (order.act === 'reset' && counters.has(order.path)) counters.reset(order.path)
    if (order.act === 'unlink') counters.unlink(order.path)
    return [...counters.entries()].filter(({ path }) => path === order.path)
  }
}

/** What the system knows of this process. */
export function processFigures(): Pick<ProcessReport, 'pid' | 'uptime' | 'user' | 'system' | 'memory'> {
  const { user, system } = process.cpuUsage()
  return {
    pid: process.pid,
    uptime: process.uptime() * 1000,
    user: user / 1000,
    system: system / 1000,
    memory: process.memoryUsage.rss(),
  }
}

async function one(policies: StsPolicies, domain: string, anew: boolean): Promise<readonly StsPolicyRow[]> {
  const signal = AbortSignal.timeout(PATIENCE_MS)
  const policy = anew ? await policies.refresh(domain, signal) : await policies.known(domain)
  return policy === undefined ? [] : [{ domain, ...policy }]
}

async function askOne(
  [cache, resolver]: readonly [string, StubResolver] | undefined = ['', undefined as never],
  name: string,
  type: QueryType,
): Promise<Pick<DnsReport, 'answers' | 'problem'>> {
  try {
    await resolver.lookup(name, type, { signal: AbortSignal.timeout(PATIENCE_MS) })
    return { answers: rowsOfKept(cache, resolver, name, type), problem: undefined }
  } catch (error) {
    if (error instanceof DnsError || (error as Error).name === 'TimeoutError')
      return { answers: [], problem: (error as Error).message }
    throw error
  }
}

function rowsOfKept(
  cache: string,
  resolver: StubResolver,
  name: string,
  type: QueryType,
): readonly DnsAnswerRow[] {
  const kept = resolver.peek(name, type)
  return kept === undefined ? [] : rowsOf(cache, kept)
}

interface KeptAnswer {
  readonly name: string
  readonly type: QueryType
  readonly ttl: number
  readonly answer: DnsAnswer<QueryType>
}

function rowsOf(cache: string, { name, type, ttl, answer }: KeptAnswer): readonly DnsAnswerRow[] {
  const about = { cache, name, type, ttl }
  if (answer.records.length === 0) return [{ ...about, data: undefined }]
  return answer.records.map((record) => ({ ...about, data: textOf(record) }))
}

function textOf(record: DnsAnswer<QueryType>['records'][number]): string {
  if (typeof record === 'string') return record
  if ('exchange' in record) return `${record.preference} ${record.exchange === '' ? '.' : record.exchange}`
  return `${record.usage} ${record.selector} ${record.matchingType} ${Buffer.from(record.data).toString('hex')}`
}
