/**
 * A stub resolver: puts questions to recursive servers and keeps their answers (RFC 1035 §7, RFC 2308, RFC 5452).
 *
 * UDP first; TCP when the answer does not fit or is suspicious. Ids, ports and the case of names are random. Servers
 * are asked in turn, the one that answered last first. The same question at the same time is put once. Every wait has
 * an end: a question that nobody answers fails after some seconds, and its failure is remembered for a few (RFC 9520).
 * What a server says of an answer's authenticity is worth what the way to it is worth: anybody on the way could say it.
 * "There is no such name" and "there is no such record" are answers; only a question without an answer is an error.
 */

import { randomBytes, randomInt } from 'node:crypto'
import { AnswerCache } from './answer-cache.ts'
import { askTcp, askUdp, type Exchange, type ServerAddress } from './exchange.ts'
import {
  type DnsAnswer,
  encodeQuery,
  isDnsName,
  mixCase,
  type Query,
  type QueryType,
  type Question,
  type Reply,
  readReply,
} from './message.ts'
import { type NameServers, systemServers } from './name-servers.ts'
import { Turns } from './turns.ts'

/** A question without an answer, for now. The message says why. */
export class DnsError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'DnsError'
  }
}

export interface DnsResolver {
  /**
   * @param options.maxAge seconds that a kept answer may be old, whatever its TTL
   * @throws DnsError, or the signal's reason when it aborts first
   */
  lookup<T extends QueryType>(
    name: string,
    type: T,
    options: { readonly signal: AbortSignal; readonly maxAge?: number },
  ): Promise<DnsAnswer<T>>
}

/** An answer that is kept. */
export interface KeptAnswer {
  readonly name: string
  readonly type: QueryType
  /** seconds that it may still be given */
  readonly ttl: number
  readonly answer: DnsAnswer<QueryType>
}

export interface StubResolverOptions {
  /** those of /etc/resolv.conf unless given */
  readonly servers?: NameServers
  /** milliseconds since the epoch */
  readonly clock?: () => number
  /** milliseconds that one server has for one answer; 3000 unless given */
  readonly timeout?: number
  /** how often all servers are asked; 2 unless given */
  readonly rounds?: number
  /** octets of answers that are kept; 16 MiB unless given */
  readonly cacheSize?: number
  /** questions that may be open at once; 200 unless given */
  readonly concurrency?: number
  /** whether what a server says of an answer's authenticity (AD) is believed: one that has the address; loopback alone unless given */
  readonly trusts?: (address: string) => boolean
}

const FAILURE_MS = 5000
const MAX_FAILURES = 10_000

export class StubResolver implements DnsResolver {
  readonly #servers: NameServers
  readonly #clock: () => number
  readonly #timeout: number
  readonly #rounds: number
  readonly #cache: AnswerCache
  readonly #turns: Turns
  readonly #trusts: (address: string) => boolean
  /** one question for all that ask it at the same time */
  readonly #open = new Map<string, Promise<DnsAnswer<QueryType>>>()
  /** when each question failed, oldest first */
  readonly #failures = new Map<string, { readonly error: DnsError; readonly at: number }>()
  /** servers that do not know EDNS; as many as there are servers */
  readonly #plain = new Set<string>()
  #lastGood = ''
  readonly #figures = { lookups: 0, hits: 0, asked: 0, failed: 0 }

  constructor(options: StubResolverOptions = {}) {
    this.#clock = options.clock ?? Date.now
    this.#servers = options.servers ?? systemServers(this.#clock)
    this.#timeout = options.timeout ?? 3000
    this.#rounds = options.rounds ?? 2
    this.#cache = new AnswerCache({ capacity: options.cacheSize ?? 16 * 1024 ** 2, clock: this.#clock })
    this.#turns = new Turns(options.concurrency ?? 200)
    this.#trusts = options.trusts ?? isLoopback
  }

  async lookup<T extends QueryType>(
    name: string,
    type: T,
    options: { readonly signal: AbortSignal; readonly maxAge?: number },
  ): Promise<DnsAnswer<T>> {
    options.signal.throwIfAborted()
    const question = { name: name.toLowerCase().replace(/\.$/, ''), type }
    if (!isDnsName(question.name)) throw new DnsError(`"${name}" cannot be asked for`)
    const answer = await orAborted(this.#find(question, options.maxAge ?? Infinity), options.signal)
    // the question's type is part of the key under which its answer is kept
    return answer as DnsAnswer<T>
  }

  #find(question: Question, maxAge: number): Promise<DnsAnswer<QueryType>> {
    const key = `${question.type} ${question.name}`
    const kept = this.#cache.get(key, maxAge)
    this.#figures.lookups += 1
    if (kept !== undefined) {
      this.#figures.hits += 1
      return Promise.resolve(kept)
    }
    const failure = this.#failures.get(key)
    if (failure !== undefined && this.#clock() - failure.at < FAILURE_MS) return Promise.reject(failure.error)
    const open = this.#open.get(key)
    if (open !== undefined) return open
    this.#figures.asked += 1
    const asked = this.#turns
      .take(async () => await this.#askAll(question))
      .then(
        (answer) => {
          this.#failures.delete(key)
          this.#cache.keep(key, answer)
          return answer
        },
        (error: unknown) => {
          throw this.#fail(key, error)
        },
      )
      .finally(() => this.#open.delete(key))
    this.#open.set(key, asked)
    return asked
  }

  /** Counts since it began: `asked` of servers, `failed` without an answer. */
  get figures(): Readonly<Record<'entries' | 'lookups' | 'hits' | 'asked' | 'failed', number>> {
    return { ...this.#figures, entries: this.#cache.size }
  }

  /** The answers that are kept, what was used last first. */
  kept(most: number): readonly KeptAnswer[] {
    const found: KeptAnswer[] = []
    for (const { key, answer, left } of this.#cache.entries()) {
      if (found.length >= most) break
      const [type = '', name = ''] = key.split(' ')
      found.push({ name, type: type as QueryType, ttl: left, answer })
    }
    return found
  }

  /** What is kept about a name; nobody is asked. */
  peek(name: string, type: QueryType): KeptAnswer | undefined {
    const wanted = name.toLowerCase().replace(/\.$/, '')
    return this.kept(Infinity).find((kept) => kept.name === wanted && kept.type === type)
  }

  /** Forgets every answer and failure, or those about one name. @returns how many answers */
  forget(name: string | undefined): number {
    const wanted = name?.toLowerCase().replace(/\.$/, '')
    const goes = (key: string): boolean => wanted === undefined || key.split(' ')[1] === wanted
    for (const key of this.#failures.keys()) if (goes(key)) this.#failures.delete(key)
    return this.#cache.drop(goes)
  }

  #fail(key: string, cause: unknown): DnsError {
    this.#figures.failed += 1
    const error = cause instanceof DnsError ? cause : new DnsError(textOf(cause), { cause })
    this.#failures.delete(key)
    this.#failures.set(key, { error, at: this.#clock() })
    const [oldest] = this.#failures.keys()
    if (this.#failures.size > MAX_FAILURES && oldest !== undefined) this.#failures.delete(oldest)
    return error
  }

  async #askAll(question: Question): Promise<DnsAnswer<QueryType>> {
    const servers = await this.#servers()
    const first = servers.findIndex((server) => keyOf(server) === this.#lastGood)
    const inTurn = first <= 0 ? servers : [...servers.slice(first), ...servers.slice(0, first)]
    let last = new DnsError('there is no name server to ask')
    for (let round = 0; round < this.#rounds; round++) {
      for (const server of inTurn) {
        try {
          const answer = await this.#ask(server, question)
          this.#lastGood = keyOf(server)
          return answer
        } catch (error) {
          last = new DnsError(`${question.type} of ${question.name}: ${textOf(error)}`, { cause: error })
        }
      }
    }
    throw last
  }

  /** @throws Error when this server gives no answer */
  async #ask(server: ServerAddress, question: Question): Promise<DnsAnswer<QueryType>> {
    const edns = !this.#plain.has(keyOf(server))
    let reply = await this.#exchange('udp', server, newQuery(question, edns))
    if (reply.kind === 'no-edns') {
      this.#plain.add(keyOf(server))
      reply = await this.#exchange('udp', server, newQuery(question, false))
    }
    if (reply.kind === 'use-tcp') {
      reply = await this.#exchange('tcp', server, newQuery(question, !this.#plain.has(keyOf(server))))
    }
    if (reply.kind === 'answer') {
      const authentic = reply.answer.authentic && this.#trusts(server.address)
      return { ...reply.answer, authentic }
    }
    throw new DnsError(reply.kind === 'failed' ? reply.reason : 'the server does not answer the question')
  }

  async #exchange(over: 'udp' | 'tcp', server: ServerAddress, query: Query): Promise<Reply> {
    const patience = new AbortController()
    const timer = setTimeout(() => patience.abort(new DnsError('TIMEOUT')), this.#timeout)
    const read = (bytes: Buffer): Reply | undefined => {
      const reply = readReply(bytes, query, over)
      return reply.kind === 'not-ours' ? undefined : reply
    }
    const exchange: Exchange<Reply> = { server, query: encodeQuery(query), read, signal: patience.signal }
    try {
      return over === 'udp' ? await askUdp(exchange) : await askTcp(exchange)
    } finally {
      clearTimeout(timer)
    }
  }
}

function newQuery({ name, type }: Question, edns: boolean): Query {
  return { id: randomInt(65_536), name: mixCase(name, randomBytes(name.length)), type, edns }
}

function keyOf({ address, port }: ServerAddress): string {
  return `${address} ${port}`
}

/** Nobody stands between us and a server on this machine. */
export function isLoopback(address: string): boolean {
  return address.startsWith('127.') || address === '::1'
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason)
    signal.addEventListener('abort', abort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}
