/**
 * A domain → the hosts that take its mail, in the order in which they are tried (RFC 5321 §5.1, RFC 7505; Momentum:
 * config/ref-mx-failures-fallback-to-a).
 *
 * By preference, equal ones at random; without MX records the domain's own addresses. If this server is among them, it
 * and everything that is not preferred to it is cut off. All hosts are resolved before the first one is tried, unless
 * Fully_Resolve_Before_SMTP is off: then those of a preference are tried as soon as they and all better ones are. A name
 * that cannot be used and a question that is not answered cost that host only.
 */

import type { DnsAnswer } from '../dns/message.ts'
import { DnsError, type DnsResolver } from '../dns/stub-resolver.ts'
import type { OwnHosts } from './own-hosts.ts'

export interface Host {
  readonly name: string
  readonly address: string
  readonly port: number
  /** it was found as a host of a domain */
  readonly mx?: {
    /** in lower case */
    readonly domain: string
    /** the name that the domain is an alias of, where the answer is authentic */
    readonly alias?: string
    /** nobody else can have said that this is a host of it: the answer is authentic, or it is the domain itself (RFC 7672 §2.2) */
    readonly secure: boolean
  }
}

/** Hosts, at least one; or our own answer. */
export type Found =
  | {
      readonly kind: 'hosts'
      readonly hosts: readonly Host[]
      /** those that are not preferred to them and may still be looked up, when these are of no use; undefined: none */
      readonly others?: (() => Promise<Found>) | undefined
    }
  | { readonly kind: 'transient'; readonly text: string }
  | { readonly kind: 'permanent'; readonly text: string }

export interface MxQuestion {
  readonly domain: string
  readonly port: number
  readonly useIpv6: boolean
  /** hosts and addresses of IPv6 first, within a preference */
  readonly preferIpv6: boolean
  /** questions for MX that may stay unanswered before the domain's addresses are taken; -1 = 1, Infinity = never */
  readonly failuresToA: number
  /** seconds that an answer may be old */
  readonly maxAge?: number
  /** hosts of the best preference alone are looked at (Only_Use_Best_MX_For_Relay_Domains) */
  readonly bestOnly?: boolean
  /** hosts are handed over preference by preference (Fully_Resolve_Before_SMTP = false) */
  readonly stepwise?: boolean
  readonly signal: AbortSignal
}

export const NO_HOSTS = '451 4.4.1 [internal] No valid hosts'
export const LOOKUP_FAILED = '451 4.4.3 [internal] The name of the next hop could not be looked up'
const NO_MX_OR_A = '454 4.4.4 [internal] no MX or A for domain'
const NO_DOMAIN = '554 5.4.4 [internal] Domain Lookup Failed'
const NULL_MX = '550 5.4.4 [internal] NULL MX domain does not accept mail'
const LOOP = '554 5.4.6 [internal] The best host for the domain is this server itself'

/** where nothing is asked */
const NO_RECORDS = { records: [] as readonly string[] }

/** hosts of one domain, and addresses of one host, that are looked at */
const MAX_HOSTS = 20
const MAX_ADDRESSES = 20
/** domains whose unanswered questions are counted */
const MAX_COUNTED = 10_000

interface Exchange {
  readonly name: string
  readonly preference: number
}

interface Resolved extends Exchange {
  readonly addresses: readonly string[]
  /** a question about it was not answered */
  readonly unsure: boolean
}

/** One that is being looked up. */
interface Pending {
  readonly preference: number
  readonly resolved: Promise<Resolved>
}

interface Stepping {
  readonly question: MxQuestion
  readonly mx: NonNullable<Host['mx']>
  /** what is said where there is no host at all */
  readonly none: string
  /** hosts of better preference, which were of no use */
  readonly before: readonly Resolved[]
}

interface Exchanges {
  readonly kind: 'exchanges'
  readonly list: readonly Exchange[]
  /** what each of them is to the domain */
  readonly mx: NonNullable<Host['mx']>
}

export class MxHosts {
  readonly #dns: DnsResolver
  readonly #own: OwnHosts
  readonly #random: () => number
  /** unanswered questions for MX in a row, by domain */
  readonly #unanswered = new Map<string, number>()

  /** @param options.random in [0, 1) */
  constructor(options: {
    readonly dns: DnsResolver
    readonly own: OwnHosts
    readonly random?: () => number
  }) {
    this.#dns = options.dns
    this.#own = options.own
    this.#random = options.random ?? Math.random
  }

  /** @throws the signal's reason */
  async find(question: MxQuestion): Promise<Found> {
    const found = await this.#exchanges(question)
    if (found.kind !== 'exchanges') return found
    const { list, mx } = found
    const considered = (question.bestOnly === true ? ofBest(list) : list).slice(0, MAX_HOSTS)
    const pending = considered.map((exchange): Pending => {
      const resolved = this.#resolve(exchange, question)
      // whoever is done before it does not wait for it
      resolved.catch(() => undefined)
      return { preference: exchange.preference, resolved }
    })
    const steps = question.stepwise === true ? byPreference(pending) : [pending]
    const implicit = list.length === 1 && list[0]?.name === question.domain
    const none = implicit ? NO_MX_OR_A : NO_HOSTS
    return await this.#step(steps, { question, mx, none, before: [] })
  }

  /** The hosts of the first step that has any. @throws the signal's reason */
  async #step([step, ...further]: readonly (readonly Pending[])[], state: Stepping): Promise<Found> {
    const { question, mx, none, before } = state
    const resolved = await Promise.all((step ?? []).map(async (each) => await each.resolved))
    const usable = this.#withoutUs(resolved, question.port)
    const all = [...before, ...resolved]
    // what is not preferred to us is no way out either
    const isEnd = further.length === 0 || usable.length < resolved.length
    if (isEnd && usable.length === 0 && before.length === 0) return { kind: 'permanent', text: LOOP }
    const hosts = inOrder(usable, question.preferIpv6).flatMap(({ name, addresses }) =>
      addresses.map((address): Host => ({ name, address, port: question.port, mx })),
    )
    const next = async (): Promise<Found> => await this.#step(further, { ...state, before: all })
    if (hosts.length > 0) return { kind: 'hosts', hosts, ...(isEnd ? {} : { others: next }) }
    if (!isEnd) return await next()
    return { kind: 'transient', text: all.some(({ unsure }) => unsure) ? LOOKUP_FAILED : none }
  }

  async #exchanges(question: MxQuestion): Promise<Exchanges | Exclude<Found, { kind: 'hosts' }>> {
    const { domain } = question
    // nobody could put another host in its place
    const itself: Exchanges = {
      kind: 'exchanges',
      list: [{ name: domain, preference: 0 }],
      mx: { domain, secure: true },
    }
    const answer = await this.#ask(domain, 'MX', question)
    if (answer === undefined) {
      const enough = this.#countUnanswered(domain) >= Math.max(1, question.failuresToA)
      return enough ? itself : { kind: 'transient', text: LOOKUP_FAILED }
    }
    this.#unanswered.delete(domain)
    if (answer.kind === 'no-name') return { kind: 'permanent', text: NO_DOMAIN }
    if (answer.kind === 'no-data') return itself
    const named = answer.records.filter(({ exchange }) => exchange !== '')
    if (named.length === 0) return { kind: 'permanent', text: NULL_MX }
    const inTurn = named
      .map(({ exchange, preference }) => ({ name: exchange, preference, lot: this.#random() }))
      .toSorted((a, b) => a.preference - b.preference || a.lot - b.lot)
    const { owner, authentic: secure } = answer
    const alias = secure && owner !== domain ? { alias: owner } : {}
    return { kind: 'exchanges', list: inTurn, mx: { domain, secure, ...alias } }
  }

  async #resolve(exchange: Exchange, question: MxQuestion): Promise<Resolved> {
    const { useIpv6, preferIpv6 } = question
    const families = await Promise.all([
      this.#ask(exchange.name, 'A', question),
      useIpv6 ? this.#ask(exchange.name, 'AAAA', question) : NO_RECORDS,
    ])
    const inTurn = preferIpv6 ? families.toReversed() : families
    const addresses = inTurn.flatMap((found) => found?.records ?? []).slice(0, MAX_ADDRESSES)
    return { ...exchange, addresses, unsure: families.includes(undefined) }
  }

  /** undefined: the question was not answered @throws the signal's reason */
  async #ask<T extends 'MX' | 'A' | 'AAAA'>(
    name: string,
    type: T,
    { signal, maxAge }: MxQuestion,
  ): Promise<DnsAnswer<T> | undefined> {
    const options = { signal, ...(maxAge === undefined ? {} : { maxAge }) }
    try {
      return await this.#dns.lookup(name, type, options)
    } catch (error) {
      if (error instanceof DnsError) return undefined
      throw error
    }
  }

  #withoutUs(resolved: readonly Resolved[], port: number): readonly Resolved[] {
    const ours = resolved.find(
      ({ name, addresses }) =>
        this.#own.hasName(name) || addresses.some((address) => this.#own.hasAddress(address, port)),
    )
    return ours === undefined ? resolved : resolved.filter(({ preference }) => preference < ours.preference)
  }

  #countUnanswered(domain: string): number {
    const count = (this.#unanswered.get(domain) ?? 0) + 1
    this.#unanswered.delete(domain)
    this.#unanswered.set(domain, count)
    const [oldest] = this.#unanswered.keys()
    if (this.#unanswered.size > MAX_COUNTED && oldest !== undefined) this.#unanswered.delete(oldest)
    return count
  }
}

function inOrder(resolved: readonly Resolved[], preferIpv6: boolean): readonly Resolved[] {
  if (!preferIpv6) return resolved
  const hasIpv6 = ({ addresses }: Resolved): number => (addresses[0]?.includes(':') ? 0 : 1)
  return resolved.toSorted((a, b) => a.preference - b.preference || hasIpv6(a) - hasIpv6(b))
}

/** @param list by preference */
function ofBest(list: readonly Exchange[]): readonly Exchange[] {
  return list.filter(({ preference }) => preference === list[0]?.preference)
}

function byPreference(pending: readonly Pending[]): readonly (readonly Pending[])[] {
  const steps = new Map<number, Pending[]>()
  for (const each of pending) steps.set(each.preference, [...(steps.get(each.preference) ?? []), each])
  return [...steps.values()]
}
