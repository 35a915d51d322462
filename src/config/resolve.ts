/**
 * A checked configuration → what holds for one client or one destination.
 *
 * Each distinct (Listen, matching Peer blocks, pathway) is resolved once and then shared; an address that was seen
 * before costs one map lookup. Both caches are bounded, because addresses and domains come from the network.
 */

import { type Address, loopback, parseAddress } from './address.ts'
import type { Origin } from './diagnostic.ts'
import type { ListenStanza, Model, PeerStanza, Peers, Stanza } from './model.ts'
import { inboundOptions } from './options-inbound.ts'
import { outboundOptions } from './options-other.ts'
import { hostOptions } from './options-queue.ts'
import type { ScopeSpeaker } from './scope-speaker.ts'
import {
  deciding,
  hostChain,
  inboundChain,
  mergedDictionary,
  mergedSni,
  outboundChain,
  pathwayName,
  type Situation,
} from './scopes.ts'
import type { InboundScope, InboundValues, OutboundScope, OutboundValues } from './settings.ts'
import { defaultEgress, type Egress, type HostScope, type HostValues } from './settings-queue.ts'

export class Resolver {
  readonly #model: Model
  /** by Listen as written, then by address and pathway */
  readonly #byAddress = new Map<string, BoundedCache<InboundScope>>()
  /** by id */
  readonly #scopes = new BoundedCache<InboundScope>(maxScopes)
  readonly #destinations = new BoundedCache<OutboundScope>(maxAddresses)
  /** by the stanzas that speak */
  readonly #outboundScopes = new BoundedCache<OutboundScope>(maxScopes)
  readonly #hasHosts: boolean
  readonly #listens: ReadonlyMap<string, ListenStanza>

  constructor(model: Model) {
    this.#model = model
    const containers = [model.outbound, ...model.bindingGroups.values()]
    this.#hasHosts = [...containers, ...containers.flatMap(({ bindings }) => [...bindings.values()])].some(
      ({ hosts }) => hosts.literal.size + hosts.patterns.length > 0,
    )
    this.#listens = new Map([...model.listens.values()].map((listen) => [listen.stanza.instance, listen]))
    for (const instance of this.#listens.keys()) this.#byAddress.set(instance, new BoundedCache(maxAddresses))
  }

  /** @param address normalised, '' for a UNIX client, undefined for a client in no Peer block */
  inbound(instance: string, address: string | undefined, pathway?: string): InboundScope {
    // a name that no stanza has adds nothing, and must not fill the cache either
    const known = pathway !== undefined && this.#model.pathways.has(pathway) ? pathway : undefined
    const who = address ?? 'nobody'
    const key = known === undefined ? who : `${who} ${known}`
    const cache = this.#byAddress.get(instance)
    const cached = cache?.get(key)
    if (cached !== undefined) return cached
    const listen = this.#listens.get(instance)
    if (listen === undefined || cache === undefined)
      throw new TypeError(`no Listen ${instance} in this configuration`)
    const scope = this.scope({
      model: this.#model,
      listen,
      listenPeers: matching(listen.peers, address),
      listenerPeers: matching(this.#model.listenerPeers, address),
      scriptPathway: known,
    })
    cache.set(key, scope)
    return scope
  }

  scope(situation: Situation): InboundScope {
    const id = scopeId(situation)
    const known = this.#scopes.get(id)
    if (known !== undefined) return known
    const scope = new ResolvedInbound(id, situation)
    this.#scopes.set(id, scope)
    return scope
  }

  /** What holds for domains that no Domain names, and for those of each Domain by itself, in every binding. */
  *outboundScopes(): Iterable<OutboundScope> {
    const model = this.#model
    const bindings = [...model.outbound.bindings.keys()].map((binding) => ({ ...defaultEgress, binding }))
    const grouped = [...model.bindingGroups].flatMap(([bindingGroup, { bindings: inside }]) =>
      [defaultEgress.binding, ...inside.keys()].map((binding) => ({ bindingGroup, binding })),
    )
    for (const egress of [defaultEgress, ...bindings, ...grouped]) {
      const containers = [
        model.outbound,
        model.bindingGroups.get(egress.bindingGroup),
        model.bindingGroups.get(egress.bindingGroup)?.bindings.get(egress.binding),
        model.outbound.bindings.get(egress.binding),
      ].filter((each) => each !== undefined)
      const base = outboundChain({ model, domain: '', egress })
      yield this.#outboundScope(base)
      for (const { stanza } of containers.flatMap(({ domains }) => [
        ...[...domains.literal.values()].map((each) => ({ stanza: each })),
        ...domains.patterns,
      ]))
        yield this.#outboundScope(
          stanza.instance.startsWith('/')
            ? [stanza, ...base]
            : outboundChain({ model, domain: stanza.instance.toLowerCase(), egress }),
        )
    }
  }

  /** In the group, outside any group, or in the first group that has it. */
  findBinding(binding: string, group: string = defaultEgress.bindingGroup): Egress | undefined {
    const groups = [group, defaultEgress.bindingGroup, ...this.#model.bindingGroups.keys()]
    const bindingGroup = groups.find((each) => this.bindingsOf(each)?.includes(binding))
    return bindingGroup === undefined ? undefined : { bindingGroup, binding }
  }

  /** The default binding of the default group is always there. */
  bindingsOf(group: string): readonly string[] | undefined {
    const inside = [...(this.#model.bindingGroups.get(group)?.bindings.keys() ?? [])]
    if (group !== defaultEgress.bindingGroup) {
      return this.#model.bindingGroups.has(group) ? inside : undefined
    }
    return [...new Set([defaultEgress.binding, ...inside, ...this.#model.outbound.bindings.keys()])]
  }

  /** @param domain in lower case */
  outbound(domain: string, egress: Egress = defaultEgress): OutboundScope {
    const key = `${egress.bindingGroup}/${egress.binding}/${domain}`
    let scope = this.#destinations.get(key)
    if (scope === undefined) {
      scope = this.#outboundScope(outboundChain({ model: this.#model, domain, egress }))
      this.#destinations.set(key, scope)
    }
    return scope
  }

  /** @param names in lower case: the host's name and its address */
  host(names: readonly string[], egress: Egress = defaultEgress): HostScope | undefined {
    if (!this.#hasHosts) return undefined
    const chain = hostChain({ model: this.#model, egress }, names)
    return chain.length === 0 ? undefined : new ResolvedHost(chain)
  }

  /** Destinations for which the same stanzas speak share one scope, however many there are. */
  #outboundScope(chain: readonly Stanza[]): OutboundScope {
    const key = chain.map(pathOf).join(' < ')
    const known = this.#outboundScopes.get(key)
    if (known !== undefined) return known
    const scope = new ResolvedOutbound(chain)
    this.#outboundScopes.set(key, scope)
    return scope
  }
}

/**
 * Every situation that some client could be in without a script's doing: for each Listen the one without Peer blocks
 * (for a UNIX socket also that of its clients), and one for each Peer block with all that hold it. Which addresses a longer prefix leaves over is not asked.
 */
export function* situations(model: Model): Iterable<Situation> {
  for (const listen of model.listens.values()) {
    yield { model, listen, listenPeers: [], listenerPeers: [], scriptPathway: undefined }
    if (listen.address.kind === 'unix') {
      const listenPeers = matching(listen.peers, '')
      yield {
        model,
        listen,
        listenPeers,
        listenerPeers: matching(model.listenerPeers, ''),
        scriptPathway: undefined,
      }
    }
    const seen = new Set<string>()
    for (const { cidr, stanza } of [...listen.peers.all, ...model.listenerPeers.all]) {
      // one block in both containers is one situation
      if (seen.has(stanza.instance)) continue
      seen.add(stanza.instance)
      yield {
        model,
        listen,
        listenPeers: listen.peers.trie.matches(cidr, cidr.prefix),
        listenerPeers: model.listenerPeers.trie.matches(cidr, cidr.prefix),
        scriptPathway: undefined,
      }
    }
  }
}

class ResolvedInbound implements InboundScope {
  readonly id: string
  readonly options: InboundValues
  readonly peer?: NonNullable<InboundScope['peer']>
  readonly pathway: string
  readonly pathwayGroup: string
  readonly #chain: readonly Stanza[]

  constructor(id: string, situation: Situation) {
    this.id = id
    const peer = narrowestPeer(situation)
    if (peer !== undefined) this.peer = peer
    this.pathway = pathwayName(situation)
    this.pathwayGroup = situation.model.pathways.get(this.pathway)?.group?.instance ?? 'default'
    this.#chain = inboundChain(situation)
    const values = effective(this.#chain, inboundDefaults)
    values['context'] = mergedDictionary(this.#chain, 'context') ?? inboundOptions.context.default
    values['tls_sni'] = mergedSni(this.#chain)
    if (situation.scriptPathway !== undefined) values['pathway'] = this.pathway
    // each value came through its row's codec, and the table has one row for each name
    this.options = Object.freeze(values) as unknown as InboundValues
    Object.freeze(this)
  }

  origin(option: keyof InboundValues): Origin {
    return deciding(this.#chain, option)?.at ?? 'default'
  }

  speakers(): readonly ScopeSpeaker[] {
    return this.#chain.map(({ scope, instance, at, settings }) => {
      return { scope, instance, at, says: (option) => settings.get(option) }
    })
  }
}

/** Of two that are equally narrow the one inside the Listen, which has precedence. */
function narrowestPeer({ listenPeers: [inner], listenerPeers: [outer] }: Situation): InboundScope['peer'] {
  if (inner !== undefined && (outer === undefined || specificity(inner) >= specificity(outer)))
    return { network: inner.stanza.instance, inside: 'listen' }
  return outer && { network: outer.stanza.instance, inside: 'esmtp_listener' }
}

class ResolvedOutbound implements OutboundScope {
  readonly options: OutboundValues
  readonly #chain: readonly Stanza[]

  constructor(chain: readonly Stanza[]) {
    this.#chain = chain
    this.options = Object.freeze(effective(chain, outboundDefaults)) as unknown as OutboundValues
    Object.freeze(this)
  }

  origin(option: keyof OutboundValues): Origin {
    return deciding(this.#chain, option)?.at ?? 'default'
  }

  definition(option: keyof OutboundValues): string {
    return definitionIn(this.#chain, option)
  }
}

class ResolvedHost implements HostScope {
  readonly options: HostValues
  readonly #chain: readonly Stanza[]

  constructor(chain: readonly Stanza[]) {
    this.#chain = chain
    this.options = Object.freeze(effective(chain, hostDefaults)) as unknown as HostValues
    Object.freeze(this)
  }

  origin(option: keyof HostValues): Origin {
    return deciding(this.#chain, option)?.at ?? 'default'
  }

  definition(option: keyof HostValues): string {
    return definitionIn(this.#chain, option)
  }
}

/** The same text for the same stanza, after a reload too. '' where no stanza sets it. */
function definitionIn(chain: readonly Stanza[], option: string): string {
  const stanza = chain.find(({ settings }) => settings.has(option))
  return stanza === undefined ? '' : pathOf(stanza)
}

/** Quoted, because a pattern may hold anything: two stanzas must never have the same path. */
function pathOf({ within, scope, instance }: Stanza): string {
  const own = `${scope} ${JSON.stringify(instance)}`
  return within === undefined ? own : `${pathOf(within)} ${own}`
}

/** Every option of a table: what the first stanza says that sets it, else the default. */
function effective(
  chain: readonly Stanza[],
  defaults: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const values = { ...defaults }
  // from the least specific on, so that the most specific one is written last
  for (const stanza of chain.toReversed()) {
    for (const [name, setting] of stanza.settings)
      if (Object.hasOwn(values, name)) values[name] = setting.value
  }
  return values
}

function defaultsOf(
  table: Readonly<Record<string, { readonly default: unknown }>>,
): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(table).map(([name, row]) => [name, row.default]))
}

const inboundDefaults = defaultsOf(inboundOptions)
const outboundDefaults = defaultsOf(outboundOptions)
const hostDefaults = defaultsOf(hostOptions)

/**
 * Holds at most twice `limit` entries: when the young half is full it becomes the old one, and what was in the old half
 * and not asked for since is forgotten. (Taking the oldest key out of a Map one by one walks over all that went before.)
 */
class BoundedCache<T> {
  readonly #limit: number
  #young = new Map<string, T>()
  #old: ReadonlyMap<string, T> = new Map()

  constructor(limit: number) {
    this.#limit = limit
  }

  get(key: string): T | undefined {
    const young = this.#young.get(key)
    if (young !== undefined) return young
    const old = this.#old.get(key)
    if (old !== undefined) this.set(key, old)
    return old
  }

  set(key: string, value: T): void {
    if (this.#young.size >= this.#limit) {
      this.#old = this.#young
      this.#young = new Map()
    }
    this.#young.set(key, value)
  }
}

function matching(peers: Peers, text: string | undefined): readonly PeerStanza[] {
  if (text === undefined) return []
  if (text === '') {
    const found = loopback.flatMap((address) => peers.trie.matches(address))
    return found.toSorted((a, b) => specificity(b) - specificity(a))
  }
  const address: Address | undefined = parseAddress(text)
  // an address that cannot be read could belong to any Peer block, also to a stricter one
  if (address === undefined) throw new TypeError(`not an address: ${text}`)
  return peers.trie.matches(address)
}

function specificity({ cidr }: PeerStanza): number {
  return cidr.family === 4 ? cidr.prefix + 96 : cidr.prefix
}

/** The same text for the same stanzas, in every worker and after every reload. */
function scopeId({ listen, listenPeers, listenerPeers, scriptPathway }: Situation): string {
  // quoted, because a path or a name may hold anything: two situations must never have the same id
  let id = `listen ${JSON.stringify(listen.stanza.instance)}`
  if (listenPeers.length > 0) id += ` peer ${listenPeers.map(instanceOf).join(',')}`
  if (listenerPeers.length > 0) id += ` listener-peer ${listenerPeers.map(instanceOf).join(',')}`
  if (scriptPathway !== undefined) id += ` pathway ${JSON.stringify(scriptPathway)}`
  return id
}

function instanceOf({ stanza }: PeerStanza): string {
  return stanza.instance
}

/** twice this is Momentum's match_cache_size */
const maxAddresses = 8192
const maxScopes = 32_768
