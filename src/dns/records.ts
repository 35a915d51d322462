/**
 * Records of the DNS, asked of the servers that the machine is set up for (c-ares; /etc/hosts is not looked at).
 *
 * An answer is bounded, a question waits at most some seconds, and so many may be open at once.
 */

import type { MxRecord } from 'node:dns'
import { Resolver as DnsResolver } from 'node:dns/promises'
import { isIP } from 'node:net'

export const recordTypes = ['A', 'AAAA', 'TXT', 'MX', 'PTR', 'NS'] as const
export type RecordType = (typeof recordTypes)[number]

export interface DnsRecord {
  /** a byte string */
  readonly value: string
  /** MX only */
  readonly preference: number | undefined
}

/** A question without an answer. The message is the server's word: `NXDOMAIN`, `NODATA`, `SERVFAIL`, `TIMEOUT`, … */
export class RecordError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'RecordError'
  }
}

export interface RecordQuestion {
  readonly name: string
  readonly type: RecordType
  /** address, or address and port, of the server to ask instead of the system's */
  readonly server?: string | undefined
}

export interface RecordResolver {
  /**
   * At least one record, MX by preference, others as they came.
   * @throws RecordError, or the signal's reason when it aborts first
   */
  lookup(question: RecordQuestion, signal: AbortSignal): Promise<readonly DnsRecord[]>
}

/** milliseconds that one try waits, and how many tries there are */
const patience = { timeout: 3000, tries: 2 }
const maxRecords = 200
const maxValue = 8192
const maxOpen = 20_000
const maxServers = 16

export class NodeRecords implements RecordResolver {
  readonly #system = new DnsResolver(patience)
  /** for servers that a question names */
  readonly #others = new Map<string, DnsResolver>()
  #open = 0

  async lookup(question: RecordQuestion, signal: AbortSignal): Promise<readonly DnsRecord[]> {
    signal.throwIfAborted()
    if (this.#open >= maxOpen) throw new RecordError('too many look-ups are open')
    const resolver = this.#resolverFor(question.server)
    this.#open++
    const answer = ask(resolver, question).finally(() => this.#open--)
    const records = await orAborted(answer, signal)
    if (records.length === 0) throw new RecordError('NODATA')
    return records.slice(0, maxRecords).map(({ value, preference }) => ({
      value: value.slice(0, maxValue).replaceAll(/[^\0-\xff]/g, '?'),
      preference,
    }))
  }

  #resolverFor(server: string | undefined): DnsResolver {
    if (server === undefined) return this.#system
    const known = this.#others.get(server)
    if (known !== undefined) return known
    const resolver = new DnsResolver(patience)
    try {
      resolver.setServers([server])
    } catch (cause) {
      throw new RecordError(`"${server}" is not the address of a server`, { cause })
    }
    const [oldest] = this.#others.keys()
    if (this.#others.size >= maxServers && oldest !== undefined) this.#others.delete(oldest)
    this.#others.set(server, resolver)
    return resolver
  }
}

async function ask(resolver: DnsResolver, { name, type }: RecordQuestion): Promise<readonly DnsRecord[]> {
  try {
    if (type === 'MX') return byPreference(await resolver.resolveMx(name))
    if (type === 'TXT') return (await resolver.resolveTxt(name)).map((chunks) => record(chunks.join('')))
    if (type === 'PTR' && isIP(name) !== 0) return (await resolver.reverse(name)).map(record)
    return (await resolver.resolve(name, type)).map(record)
  } catch (cause) {
    throw new RecordError(reason(cause), { cause })
  }
}

const record = (value: string): DnsRecord => ({ value, preference: undefined })

const byPreference = (records: readonly MxRecord[]): DnsRecord[] =>
  records
    .toSorted((a, b) => a.priority - b.priority)
    .map(({ exchange, priority }) => ({ value: exchange, preference: priority }))

/** The word for an error of c-ares. */
function reason(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'SERVFAIL'
  if (code === 'ENOTFOUND') return 'NXDOMAIN'
  return code.replace(/^E/, '')
}

function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason)
    signal.addEventListener('abort', abort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}
