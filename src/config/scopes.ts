/**
 * Which stanza decides: the order of precedence, in one table.
 *
 * For each option the first stanza in this order that sets it wins; a narrower one that is silent about it is passed
 * over. Arrays replace; the dictionary `context` merges key by key. A pathway named in a stanza counts as if its options
 * were written there, right after the stanza's own, and a Pathway_Group's right after its pathway's.
 */

import type {
  BindingContainer,
  Destinations,
  ListenStanza,
  Model,
  PeerStanza,
  Setting,
  Stanza,
} from './model.ts'
import type { FilePath, SniCertificate } from './settings.ts'
import type { Egress } from './settings-queue.ts'

/** What is known of a client when its options are looked up. */
export interface Situation {
  readonly model: Model
  readonly listen: ListenStanza
  /** matching Peer blocks inside the Listen, longest prefix first */
  readonly listenPeers: readonly PeerStanza[]
  /** matching Peer blocks inside the ESMTP_Listener, longest prefix first */
  readonly listenerPeers: readonly PeerStanza[]
  /** the name of a pathway that policy chose; one that does not exist adds nothing */
  readonly scriptPathway: string | undefined
}

/** Most specific first. After the last one comes the built-in default. */
export const inboundOrder: readonly ((situation: Situation) => readonly Stanza[])[] = [
  /* 1 pathway set by a script */ ({ model, scriptPathway }) => pathwayStanzas(model, scriptPathway),
  /* 2 Peer in the Listen      */ ({ model, listenPeers }) => withPathways(model, listenPeers.map(stanzaOf)),
  /* 3 Peer in the listener    */ ({ model, listenerPeers }) =>
    withPathways(model, listenerPeers.map(stanzaOf)),
  /* 4 Listen                  */ ({ model, listen }) => withPathways(model, [listen.stanza]),
  /* 5 ESMTP_Listener          */ ({ model }) => withPathways(model, [model.listener]),
  // the option's own default is the name `default`: it acts where no scope names another
  /*   Pathway "default"       */ (situation) =>
    pathwayName(situation) === 'default' ? pathwayStanzas(situation.model, 'default') : [],
  /* 6 global                  */ ({ model }) => [model.global],
]

/** The stanzas that speak for a client, most specific first. */
export function inboundChain(situation: Situation): readonly Stanza[] {
  return inboundOrder.flatMap((level) => level(situation))
}

/** The most specific pathway; `default` when none is named. */
export function pathwayName({ model, listen, listenPeers, listenerPeers, scriptPathway }: Situation): string {
  if (scriptPathway !== undefined && model.pathways.has(scriptPathway)) return scriptPathway
  for (const peer of listenPeers) if (namesPathway(peer.stanza)) return namesPathway(peer.stanza) ?? ''
  for (const peer of listenerPeers) if (namesPathway(peer.stanza)) return namesPathway(peer.stanza) ?? ''
  return namesPathway(listen.stanza) ?? namesPathway(model.listener) ?? 'default'
}

/** A destination as it is looked up: mail for a domain (lower case) that leaves by a binding. */
export interface Outward {
  readonly model: Model
  readonly domain: string
  readonly egress: Egress
}

/** Most specific first. After the last one comes the built-in default. */
export const outboundOrder: readonly ((outward: Outward) => readonly Stanza[])[] = [
  /* 1 Domain in the group's Binding */ (outward) => domainsOf(bindingInGroup(outward), outward),
  /* 2 Domain in the Binding         */ (outward) => domainsOf(bindingOutside(outward), outward),
  /* 3 Domain in the Binding_Group   */ (outward) => domainsOf(groupOf(outward), outward),
  /* 4 Binding in the group          */ (outward) => stanzasOf(bindingInGroup(outward)),
  /*   Binding                       */ (outward) => stanzasOf(bindingOutside(outward)),
  /* 5 Binding_Group                 */ (outward) => stanzasOf(groupOf(outward)),
  /* 6 Domain                        */ (outward) => domainsOf(outward.model.outbound, outward),
  /* 7 global                        */ ({ model }) => [model.global],
]

/** The stanzas that speak for a destination, most specific first. */
export function outboundChain(outward: Outward): readonly Stanza[] {
  return outboundOrder.flatMap((level) => level(outward))
}

/** The Host stanzas that speak for a host; what holds for domains and globally does not count for hosts. */
export function hostChain(
  { model, egress }: Omit<Outward, 'domain'>,
  names: readonly string[],
): readonly Stanza[] {
  const outward = { model, egress, domain: '' }
  const containers = [bindingInGroup(outward), groupOf(outward), bindingOutside(outward), model.outbound]
  return containers.flatMap((container) =>
    container === undefined ? [] : matchingStanzas(container.hosts, names),
  )
}

function groupOf({ model, egress }: Outward): BindingContainer | undefined {
  return model.bindingGroups.get(egress.bindingGroup)
}

function bindingInGroup(outward: Outward): BindingContainer | undefined {
  return groupOf(outward)?.bindings.get(outward.egress.binding)
}

function bindingOutside({ model, egress }: Outward): BindingContainer | undefined {
  return model.outbound.bindings.get(egress.binding)
}

function stanzasOf(container: BindingContainer | undefined): readonly Stanza[] {
  return container === undefined ? [] : [container.stanza]
}

function domainsOf(container: BindingContainer | undefined, { domain }: Outward): readonly Stanza[] {
  return container === undefined ? [] : matchingStanzas(container.domains, [domain])
}

/** The literal ones before the patterns, those in file order. */
function matchingStanzas({ literal, patterns }: Destinations, names: readonly string[]): readonly Stanza[] {
  const found = names.flatMap((name) => literal.get(name) ?? [])
  if (patterns.length === 0) return found
  const matched = patterns.filter(({ pattern }) => names.some((name) => pattern.test(name)))
  return [...found, ...matched.map(stanzaOf)]
}

/** The setting that decides, or undefined for the built-in default. */
export function deciding(chain: readonly Stanza[], option: string): Setting | undefined {
  for (const stanza of chain) {
    const setting = stanza.settings.get(option)
    if (setting !== undefined) return setting
  }
  return undefined
}

/** The dictionary of all stanzas together; for each key the most specific one wins. */
export function mergedDictionary(
  chain: readonly Stanza[],
  option: string,
): Readonly<Record<string, string>> | undefined {
  const found = chain.flatMap((stanza) => stanza.settings.get(option) ?? [])
  if (found.length < 2) return found[0]?.value as Readonly<Record<string, string>> | undefined
  const values = found.map((setting) => setting.value as Readonly<Record<string, string>>)
  return Object.freeze(Object.fromEntries(values.toReversed().flatMap((each) => Object.entries(each))))
}

/** The certificates of all TLS_SNI stanzas together; for each host the most specific one wins. */
export function mergedSni(chain: readonly Stanza[]): readonly SniCertificate[] {
  const found = new Map<string, SniCertificate>()
  for (const stanza of chain) {
    const hosts = stanza.settings.get('tls_sni')?.value as ReadonlyMap<string, Stanza> | undefined
    for (const [host, { settings }] of hosts ?? []) {
      const certificate = settings.get('tls_certificate')?.value as FilePath | undefined
      const key = settings.get('tls_key')?.value as FilePath | undefined
      if (certificate !== undefined && !found.has(host))
        found.set(host, Object.freeze({ host, certificate, key }))
    }
  }
  return Object.freeze([...found.values()])
}

function withPathways(model: Model, stanzas: readonly Stanza[]): readonly Stanza[] {
  return stanzas.flatMap((stanza) => [stanza, ...pathwayStanzas(model, namesPathway(stanza))])
}

function pathwayStanzas(model: Model, name: string | undefined): readonly Stanza[] {
  const pathway = name === undefined ? undefined : model.pathways.get(name)
  if (pathway === undefined) return []
  return pathway.group === undefined ? [pathway.stanza] : [pathway.stanza, pathway.group]
}

function namesPathway(stanza: Stanza): string | undefined {
  return stanza.settings.get('pathway')?.value as string | undefined
}

function stanzaOf(of: { readonly stanza: Stanza }): Stanza {
  return of.stanza
}
