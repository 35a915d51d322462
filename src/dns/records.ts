/**
 * Records as policy scripts ask for them: a list of texts for a name and a type, or an error in one word.
 *
 * A name for PTR may be an address. An answer is bounded, and so is how many questions are open at once.
 */

import { parseAddress } from '../config/address.ts'
import { fixedServers, parseServer } from './name-servers.ts'
import { DnsError, type DnsResolver, StubResolver } from './stub-resolver.ts'

export const recordTypes = ['A', 'AAAA', 'TXT', 'MX', 'PTR', 'NS'] as const
export type RecordType = (typeof recordTypes)[number]

export interface DnsRecord {
  /** a byte string */
  readonly value: string
  /** MX only */
  readonly preference: number | undefined
}

/** A question without records: `NXDOMAIN`, `NODATA`, or why nobody answered. */
export class RecordError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'RecordError'
  }
}

export interface RecordQuestion {
  readonly name: string
  readonly type: RecordType
  /** address, or address and port, of the server to ask instead of the usual ones */
  readonly server?: string | undefined
}

export interface RecordResolver {
  /**
   * At least one record, MX by preference, others as they came.
   * @throws RecordError, or the signal's reason when it aborts first
   */
  lookup(question: RecordQuestion, signal: AbortSignal): Promise<readonly DnsRecord[]>
}

const maxRecords = 200
const maxOpen = 20_000
/** questions that are put at once; the others wait in line */
const concurrency = 1000
const maxServers = 16

export class DnsRecords implements RecordResolver {
  readonly #usual: DnsResolver
  /** for servers that a question names */
  readonly #others = new Map<string, DnsResolver>()
  #open = 0

  /** @param usual who is asked unless a question names a server; the system's servers unless given */
  constructor(usual: DnsResolver = new StubResolver({ concurrency })) {
    this.#usual = usual
  }

  async lookup({ name, type, server }: RecordQuestion, signal: AbortSignal): Promise<readonly DnsRecord[]> {
    if (this.#open >= maxOpen) throw new RecordError('too many look-ups are open')
    const resolver = server === undefined ? this.#usual : this.#at(server)
    this.#open++
    try {
      const records = await ask(resolver, type === 'PTR' ? reverseName(name) : name, { type, signal })
      return records.slice(0, maxRecords)
    } catch (cause) {
      throw cause instanceof DnsError ? new RecordError(cause.message, { cause }) : cause
    } finally {
      this.#open--
    }
  }

  #at(server: string): DnsResolver {
    const known = this.#others.get(server)
    if (known !== undefined) return known
    const address = parseServer(server)
    if (address === undefined) throw new RecordError(`"${server}" is not the address of a server`)
    const resolver = new StubResolver({ servers: fixedServers([address]), concurrency })
    const [oldest] = this.#others.keys()
    if (this.#others.size >= maxServers && oldest !== undefined) this.#others.delete(oldest)
    this.#others.set(server, resolver)
    return resolver
  }
}

async function ask(
  resolver: DnsResolver,
  name: string,
  { type, signal }: { readonly type: RecordType; readonly signal: AbortSignal },
): Promise<readonly DnsRecord[]> {
  if (type === 'MX') {
    const { kind, records } = await resolver.lookup(name, type, { signal })
    if (kind !== 'found') throw new RecordError(words[kind])
    return records
      .toSorted((a, b) => a.preference - b.preference)
      .map(({ exchange, preference }) => ({ value: exchange, preference }))
  }
  const { kind, records } = await resolver.lookup(name, type, { signal })
  if (kind !== 'found') throw new RecordError(words[kind])
  return records.map((value) => ({ value, preference: undefined }))
}

const words = { 'no-name': 'NXDOMAIN', 'no-data': 'NODATA' } as const

/** An address as the name under which PTR records stand (RFC 1035 §3.5, RFC 3596 §2.5); any other name as it is. */
function reverseName(name: string): string {
  const address = parseAddress(name)
  if (address === undefined) return name
  if (address.family === 4) return `${[...address.bytes].toReversed().join('.')}.in-addr.arpa`
  const digits = [...address.bytes].map((octet) => octet.toString(16).padStart(2, '0')).join('')
  return `${Array.from(digits).toReversed().join('.')}.ip6.arpa`
}
