/** A configuration after its names and values have been checked: stanzas with typed settings, each with its place. */

import type { CidrTrie } from './cidr-trie.ts'
import type { Position } from './diagnostic.ts'
import type { WrittenAddress } from './listen-address.ts'
import type { ScopeName } from './option-row.ts'
import type { Cidr } from './settings.ts'

export interface Setting {
  /** of the type that the option's row promises; `undefined` can be a value: it takes back what a wider scope says */
  readonly value: unknown
  /** the value's own place */
  readonly at: Position
}

/** One instance of a scope; written in several pieces, it is still one. */
export class Stanza {
  readonly scope: ScopeName
  readonly instance: string
  /** the name where it was opened first */
  readonly at: Position | undefined
  /** by option name in lower case */
  readonly settings = new Map<string, Setting>()
  /** options that are set to what cannot be used, which has been told; in lower case */
  readonly wrong = new Set<string>()
  /** the stanza that it stands in, where that tells it from others of its name */
  readonly within: Stanza | undefined

  // oxlint-disable-next-line max-params -- what it is called, and where it stands
  constructor(scope: ScopeName, instance = '', at?: Position, within?: Stanza) {
    this.scope = scope
    this.instance = instance
    this.at = at
    this.within = within
  }
}

export interface PeerStanza {
  readonly stanza: Stanza
  readonly cidr: Cidr
}

/** The Peer blocks of one container. */
export interface Peers {
  readonly all: PeerStanza[]
  readonly trie: CidrTrie<PeerStanza>
}

export interface ListenStanza {
  readonly stanza: Stanza
  readonly at: Position
  readonly address: WrittenAddress
  readonly peers: Peers
}

export interface PathwayStanza {
  readonly stanza: Stanza
  readonly group: Stanza | undefined
}

/** Domain or Host stanzas of one container. */
export interface Destinations {
  /** by name in lower case; hosts also by address */
  readonly literal: Map<string, Stanza>
  /** in file order */
  readonly patterns: { readonly stanza: Stanza; readonly pattern: RegExp }[]
}

/** The global scope, a Binding_Group or a Binding, with what stands in it. */
export interface BindingContainer {
  readonly stanza: Stanza
  readonly domains: Destinations
  readonly hosts: Destinations
  /** by name; those of a Binding are none */
  readonly bindings: Map<string, BindingContainer>
}

export interface NamedStanza {
  readonly stanza: Stanza
  readonly at: Position
}

export interface SchemeStanza extends NamedStanza {
  readonly authenticate: Stanza
  /** those that are written */
  readonly groups: Map<'querygroups' | 'enumgroups', Stanza>
}

/** A Control_Listener or an HTTP_Listener. */
export interface ServiceStanza extends NamedStanza {
  /** by what they denote */
  readonly listens: ReadonlyMap<string, ListenStanza>
  readonly peers: Peers
}

/** An opendkim stanza, with its dkim_domain ones by domain in lower case. */
export interface OpendkimStanza extends NamedStanza {
  readonly domains: ReadonlyMap<string, NamedStanza>
}

/** By name. */
export interface AuthenticityStanzas {
  readonly spf: ReadonlyMap<string, NamedStanza>
  readonly opendkim: ReadonlyMap<string, OpendkimStanza>
  readonly openarc: ReadonlyMap<string, NamedStanza>
  readonly dmarc: ReadonlyMap<string, NamedStanza>
}

export interface Model {
  readonly global: Stanza
  readonly listener: Stanza
  readonly listenerPeers: Peers
  /** by what they denote */
  readonly listens: ReadonlyMap<string, ListenStanza>
  readonly pathways: ReadonlyMap<string, PathwayStanza>
  /** the global scope as the outermost container of Domain, Host and Binding */
  readonly outbound: BindingContainer
  readonly bindingGroups: ReadonlyMap<string, BindingContainer>
  readonly scripts: ReadonlyMap<string, NamedStanza>
  readonly loggers: ReadonlyMap<string, NamedStanza>
  readonly bounceLoggers: ReadonlyMap<string, NamedStanza>
  readonly customLoggers: ReadonlyMap<string, NamedStanza>
  readonly tlsLogs: ReadonlyMap<string, NamedStanza>
  readonly maildirs: ReadonlyMap<string, NamedStanza>
  readonly pipes: ReadonlyMap<string, NamedStanza>
  readonly webhooks: ReadonlyMap<string, NamedStanza>
  /** by name */
  readonly partners: ReadonlyMap<string, NamedStanza>
  /** every TLS_OCSP, by name */
  readonly ocsp: ReadonlyMap<string, NamedStanza>
  readonly authenticity: AuthenticityStanzas
  readonly security: NamedStanza | undefined
  readonly datasources: ReadonlyMap<string, NamedStanza>
  /** of auth_ds, by name in lower case */
  readonly authSchemes: ReadonlyMap<string, SchemeStanza>
  readonly controlListeners: ReadonlyMap<string, ServiceStanza>
  readonly httpListeners: ReadonlyMap<string, ServiceStanza>
  /** of Authorization, by name */
  readonly roles: ReadonlyMap<string, NamedStanza>
  /** every TLS_SNI, in whatever scope */
  readonly sni: readonly NamedStanza[]
}
