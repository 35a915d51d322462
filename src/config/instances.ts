/**
 * The instances of the stanzas that are read: made when they are first opened, found again when the same name and
 * instance are opened once more (Momentum: repeated scopes merge). What is wrong with an instance is reported, and its
 * contents are then checked into a stanza that belongs to nothing, so that their errors are seen too.
 */

import { formatCidr } from './address.ts'
import { CidrTrie } from './cidr-trie.ts'
import { network } from './codec-mail.ts'
import type { Position } from './diagnostic.ts'
import { AuthenticityInstances } from './instances-authenticity.ts'
import { OutboundInstances } from './instances-outbound.ts'
import { SchemeInstances } from './instances-schemes.ts'
import { displayName } from './known-names.ts'
import { listenKey, parseListenAddress } from './listen-address.ts'
import {
  type ListenStanza,
  type Model,
  type NamedStanza,
  type PathwayStanza,
  type Peers,
  type ServiceStanza,
  Stanza,
} from './model.ts'
import type { ScopeName } from './option-row.ts'
import { quote } from './render.ts'
import type { Report } from './report.ts'
import type { Scalar, StanzaNode } from './tree.ts'

export class Instances {
  readonly #report: Report
  readonly #global = new Stanza('global')
  readonly #listener = new Stanza('esmtp_listener')
  readonly #listenerPeers = newPeers()
  readonly #listens = new Map<string, ListenStanza>()
  readonly #pathways = new Map<string, PathwayStanza & { readonly at: Position }>()
  readonly #groups = new Map<string, Stanza>()
  readonly #outbound: OutboundInstances
  readonly #authenticity: AuthenticityInstances
  readonly #scripts = new Map<string, NamedStanza>()
  readonly #loggers = new Map<string, NamedStanza>()
  readonly #bounceLoggers = new Map<string, NamedStanza>()
  readonly #customLoggers = new Map<string, NamedStanza>()
  readonly #tlsLogs = new Map<string, NamedStanza>()
  readonly #maildirs = new Map<string, NamedStanza>()
  readonly #pipes = new Map<string, NamedStanza>()
  readonly #webhooks = new Map<string, NamedStanza>()
  readonly #datasources = new Map<string, NamedStanza>()
  readonly #authSchemes: SchemeInstances
  readonly #controlListeners = new Map<string, ServiceStanza>()
  readonly #httpListeners = new Map<string, ServiceStanza>()
  readonly #roles = new Map<string, NamedStanza>()
  readonly #partners = new Map<string, NamedStanza>()
  readonly #ocsp = new Map<string, NamedStanza>()
  readonly #sni: NamedStanza[] = []
  /** the scopes whose instances have nothing but a name and options */
  readonly #byName: Readonly<Partial<Record<ScopeName, Map<string, NamedStanza>>>> = {
    script: this.#scripts,
    ec_logger: this.#loggers,
    bounce_logger: this.#bounceLoggers,
    custom_logger: this.#customLoggers,
    tls_log: this.#tlsLogs,
    maildir: this.#maildirs,
    pipe_transport: this.#pipes,
    webhook: this.#webhooks,
    datasource: this.#datasources,
    tls_ocsp: this.#ocsp,
    role: this.#roles,
  }
  #scriptlet: NamedStanza | undefined
  #security: NamedStanza | undefined

  constructor(report: Report) {
    this.#report = report
    this.#outbound = new OutboundInstances(report, this.#global)
    this.#authenticity = new AuthenticityInstances(report)
    this.#authSchemes = new SchemeInstances(report)
  }

  get model(): Model {
    return {
      global: this.#global,
      listener: this.#listener,
      listenerPeers: this.#listenerPeers,
      listens: this.#listens,
      pathways: this.#pathways,
      outbound: this.#outbound.root,
      bindingGroups: this.#outbound.groups,
      scripts: this.#scripts,
      loggers: this.#loggers,
      bounceLoggers: this.#bounceLoggers,
      customLoggers: this.#customLoggers,
      tlsLogs: this.#tlsLogs,
      maildirs: this.#maildirs,
      pipes: this.#pipes,
      webhooks: this.#webhooks,
      partners: this.#partners,
      ocsp: this.#ocsp,
      authenticity: this.#authenticity,
      security: this.#security,
      datasources: this.#datasources,
      authSchemes: this.#authSchemes.all,
      controlListeners: this.#controlListeners,
      httpListeners: this.#httpListeners,
      roles: this.#roles,
      sni: this.#sni,
    }
  }

  /** The stanza that a node opens inside `parent`. */
  open(node: StanzaNode, scope: ScopeName, parent: Stanza): Stanza {
    const { instance, name } = node
    if (anonymousScopes.includes(scope) && instance !== undefined) {
      this.#report.error(
        `${displayName(scope)} has no instance: write ${displayName(scope)} { … }`,
        instance.at,
      )
    }
    if (namedScopes.includes(scope) && (instance === undefined || instance.text === '')) {
      this.#report.error(
        `${displayName(name.text.toLowerCase())} needs an instance: write ${displayName(name.text.toLowerCase())} "…" { … }`,
        name.at,
      )
      return new Stanza(scope)
    }
    return this.#find(node, scope, parent) ?? new Stanza(scope, instance?.text, name.at)
  }

  /** undefined: it belongs to nothing, either because of an error or because nothing acts on it yet. */
  #find(node: StanzaNode, scope: ScopeName, parent: Stanza): Stanza | undefined {
    const instance = node.instance ?? { ...node.name, text: scope }
    const byName = this.#byName[scope]
    if (byName !== undefined) return this.#named(byName, scope, instance)
    switch (scope) {
      case 'esmtp_listener':
        return this.#listener
      case 'listen':
        return this.#listen('listen', instance, node.name.at, this.#listens)
      case 'control_listener':
        return this.#service(this.#controlListeners, scope, instance)
      case 'http_listener':
        return this.#service(this.#httpListeners, scope, instance)
      case 'control_listen':
      case 'http_listen':
        return this.#listen(scope, instance, node.name.at, this.#listensOf.get(parent))
      case 'control_peer':
      case 'peer':
        return this.#peer(instance, node.name.at, parent)
      case 'pathway':
        return this.#pathway(instance, node.name.at, parent)
      case 'pathway_group':
        return this.#group(instance, node.name.at)
      case 'domain':
      case 'host':
        return this.#outbound.open(scope, instance, node.name.at, parent)
      case 'binding':
        return this.#outbound.binding(instance, node.name.at, parent)
      case 'binding_group':
        return this.#outbound.group(instance, node.name.at)
      case 'scriptlet':
        return this.#onlyScriptlet(instance, node.name.at)
      case 'scheme':
        return this.#authSchemes.open(instance)
      case 'authenticate':
      case 'querygroups':
      case 'enumgroups':
        return this.#authSchemes.part(scope, parent)
      case 'partner':
        return this.#partner(instance)
      case 'spf_v1':
      case 'opendkim':
      case 'openarc':
      case 'dmarc':
        return this.#authenticity.open(scope, instance)
      case 'dkim_domain':
        return this.#authenticity.domain(instance, node.name.at, parent)
      case 'tls_sni':
        return this.#sniOf(instance, node.name.at, parent)
      case 'security':
        this.#security ??= { stanza: new Stanza(scope, '', node.name.at), at: node.name.at }
        return this.#security.stanza
      case 'global':
        return this.#global
      default:
        return undefined
    }
  }

  // oxlint-disable-next-line max-params -- what, which, where, among which
  #listen(
    scope: ScopeName,
    instance: Scalar,
    at: Position,
    listens: Map<string, ListenStanza> = new Map(),
  ): Stanza | undefined {
    const address = parseListenAddress(instance.text)
    if (typeof address === 'string') {
      return this.#report.error(
        `${quote(instance.text)} is not an address to listen on: ${address}`,
        instance.at,
      )
    }
    const key = listenKey(address)
    let found = listens.get(key)
    if (found === undefined) {
      found = { stanza: new Stanza(scope, instance.text, at), at, address, peers: newPeers() }
      listens.set(key, found)
      this.#listenOf.set(found.stanza, found)
    }
    return found.stanza
  }

  readonly #listenOf = new Map<Stanza, ListenStanza>()
  readonly #listensOf = new Map<Stanza, Map<string, ListenStanza>>()
  /** of listeners that are not for mail */
  readonly #peersOf = new Map<Stanza, Peers>()

  #service(all: Map<string, ServiceStanza>, scope: ScopeName, instance: Scalar): Stanza {
    const found = all.get(instance.text)
    if (found !== undefined) return found.stanza
    const stanza = new Stanza(scope, instance.text, instance.at)
    const listens = new Map<string, ListenStanza>()
    const peers = newPeers()
    this.#listensOf.set(stanza, listens)
    this.#peersOf.set(stanza, peers)
    all.set(instance.text, { stanza, at: instance.at, listens, peers })
    return stanza
  }

  #peer(instance: Scalar, at: Position, parent: Stanza): Stanza | undefined {
    const cidr = network(instance, {
      directory: '',
      error: (tail, place) => this.#report.error(`Peer ${tail}`, place),
      warning: (tail, place) => this.#report.warning(`Peer ${tail}`, place),
    })
    if (cidr === undefined) return undefined
    // a Listen whose own instance is wrong has no peers to add to
    const peers =
      parent.scope === 'esmtp_listener'
        ? this.#listenerPeers
        : (this.#listenOf.get(parent)?.peers ?? this.#peersOf.get(parent))
    if (peers === undefined) return undefined
    const scope = parent.scope === 'esmtp_listener' || parent.scope === 'listen' ? 'peer' : 'control_peer'
    const peer = { stanza: new Stanza(scope, formatCidr(cidr.value), at), cidr: cidr.value }
    const known = peers.trie.add(cidr.value, peer)
    if (known !== undefined) return known.stanza
    peers.all.push(peer)
    return peer.stanza
  }

  /** Names are unique over the whole configuration, because they are found without saying in which group. */
  #pathway(instance: Scalar, at: Position, parent: Stanza): Stanza | undefined {
    const group = parent.scope === 'pathway_group' ? parent : undefined
    const found = this.#pathways.get(instance.text)
    if (found === undefined) {
      const stanza = new Stanza('pathway', instance.text, at)
      this.#pathways.set(instance.text, { stanza, group, at })
      return stanza
    }
    if (found.group === group) return found.stanza
    return this.#report.error(
      `a Pathway ${quote(instance.text)} stands elsewhere too: the names of pathways are unique`,
      instance.at,
      {
        message: 'the other one was opened here',
        at: found.at,
      },
    )
  }

  #group(instance: Scalar, at: Position): Stanza | undefined {
    if (instance.text === 'default') {
      return this.#report.error(
        'the name "default" is reserved for pathways outside any Pathway_Group',
        instance.at,
      )
    }
    const found = this.#groups.get(instance.text) ?? new Stanza('pathway_group', instance.text, at)
    this.#groups.set(instance.text, found)
    return found
  }

  #onlyScriptlet(instance: Scalar, at: Position): Stanza | undefined {
    this.#scriptlet ??= { stanza: new Stanza('scriptlet', instance.text, at), at }
    const { stanza } = this.#scriptlet
    if (stanza.instance === instance.text) return stanza
    return this.#report.error('there is only one scriptlet stanza: use the same instance name', instance.at, {
      message: `the first one is ${quote(stanza.instance)}`,
      at: this.#scriptlet.at,
    })
  }

  /** The name goes into headers, logs and contexts as it is. */
  #partner(instance: Scalar): Stanza | undefined {
    if (/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/.test(instance.text)) {
      return this.#named(this.#partners, 'partner', instance)
    }
    return this.#report.error(
      `${quote(instance.text)} cannot be the name of a partner: at most 63 letters, digits and . _ -, and no sign at the start`,
      instance.at,
    )
  }

  /** Kept in the scope that it stands in, by host: `scopes.ts` merges them. */
  #sniOf(instance: Scalar, at: Position, parent: Stanza): Stanza | undefined {
    const host = instance.text.toLowerCase()
    if (host.length > 253 || !/^[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*$/.test(host)) {
      return this.#report.error(
        `${quote(instance.text)} is not a host name (international ones in their xn-- form)`,
        instance.at,
      )
    }
    const setting = parent.settings.get('tls_sni') ?? { value: new Map<string, Stanza>(), at: instance.at }
    parent.settings.set('tls_sni', setting)
    const hosts = setting.value as Map<string, Stanza>
    let stanza = hosts.get(host)
    if (stanza === undefined) {
      stanza = new Stanza('tls_sni', instance.text, at)
      hosts.set(host, stanza)
      this.#sni.push({ stanza, at: instance.at })
    }
    return stanza
  }

  #named(all: Map<string, NamedStanza>, scope: ScopeName, instance: Scalar): Stanza {
    const found = all.get(instance.text) ?? {
      stanza: new Stanza(scope, instance.text, instance.at),
      at: instance.at,
    }
    all.set(instance.text, found)
    return found.stanza
  }
}

function newPeers(): Peers {
  return { all: [], trie: new CidrTrie() }
}

/** Stanzas without an instance. */
export const anonymousScopes: readonly ScopeName[] = [
  'esmtp_listener',
  'security',
  'authenticate',
  'querygroups',
  'enumgroups',
  'authorization',
]
/** Stanzas that need one. */
export const namedScopes: readonly ScopeName[] = [
  'listen',
  'control_listen',
  'http_listen',
  'peer',
  'control_peer',
  'role',
  'pathway',
  'pathway_group',
  'domain',
  'host',
  'binding',
  'binding_group',
  'script',
  'pipe_transport',
  'webhook',
  'partner',
  'datasource',
  'scheme',
  'tls_sni',
  'tls_ocsp',
  'dkim_domain',
]
