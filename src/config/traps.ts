/**
 * Warnings about configurations that are valid and do not do what they seem to: as far as the text alone can tell.
 * Each once, at the value that causes it. What needs the files themselves (certificates, keys) is checked elsewhere.
 */

import type { Position } from './diagnostic.ts'
import { displayName } from './known-names.ts'
import type { Model, Setting, Stanza } from './model.ts'
import { inboundOptions } from './options-inbound.ts'
import { quote } from './render.ts'
import type { Report } from './report.ts'
import { situations } from './resolve.ts'
import { deciding, inboundChain, type Situation } from './scopes.ts'
import type { Cidr, InboundValues } from './settings.ts'

export function warnOfTraps(model: Model, report: Report): void {
  const warnings = new Once(report)
  for (const situation of [...situations(model), ...unnamedPathways(model)]) {
    const scope = new View(situation)
    tlsTraps(scope, warnings)
    shadowTraps(scope, warnings)
    requireTlsShadowTraps(scope, warnings)
    authTraps(scope, warnings)
    relayTraps(scope, warnings)
    extensionTraps(scope, warnings)
    proxyTraps(scope, warnings)
  }
  relayDomainTraps(model, warnings)
  hiddenByPeer(model, warnings)
}

function tlsTraps(scope: View, warnings: Once): void {
  const require = scope.set('tls_verify_mode', 'require')
  const grant = scope.set('tls_verified_peer_can_relay', true)
  const starttls = scope.extensions.includes('STARTTLS')
  const offers = (starttls || scope.value('use_ssl')) && scope.value('tls_certificate') !== undefined
  const why =
    starttls || scope.value('use_ssl')
      ? 'there is no TLS_Certificate'
      : 'neither STARTTLS is among SMTP_Extensions nor Use_SSL is true'
  if (require !== undefined && scope.value('tls_client_ca') === undefined) {
    warnings.add(
      'TLS_Verify_Mode is "require" without a TLS_Client_CA: clients need a certificate, and none can be verified',
      require.at,
    )
  }
  if (grant !== undefined && scope.value('tls_client_ca') === undefined) {
    warnings.add(
      'TLS_Verified_Peer_Can_Relay grants nothing without a TLS_Client_CA: no certificate can be verified',
      grant.at,
    )
  }
  if (require !== undefined && !offers) {
    warnings.add(
      `TLS_Verify_Mode does nothing on Listen ${quote(scope.listen)}, which offers no TLS: ${why}`,
      require.at,
    )
  }
  if (grant !== undefined && !offers) {
    warnings.add(
      `TLS_Verified_Peer_Can_Relay does nothing on Listen ${quote(scope.listen)}, which offers no TLS: ${why}`,
      grant.at,
    )
  }
  const implicit = scope.set('use_ssl', true)
  if (implicit !== undefined && starttls) {
    warnings.add(
      'Use_SSL and STARTTLS exclude each other: TLS begins with the first octet, and STARTTLS is not offered',
      implicit.at,
      scope.origin('smtp_extensions'),
    )
  }
  const renegotiation = scope.set('tls_allow_renegotiation', true)
  if (renegotiation !== undefined)
    warnings.add(
      'renegotiation is never allowed here, whatever TLS_Allow_Renegotiation says',
      renegotiation.at,
    )
  const injection = scope.set('starttls_injection_policy', 'allow')
  if (injection !== undefined)
    warnings.add(
      'commands that were sent before the handshake are executed after it, as if TLS had protected them',
      injection.at,
    )
}

/** A report that could say nothing, and one that is misread easily. */
function shadowTraps(scope: View, warnings: Once): void {
  const shadow = scope.setting('tls_verify_mode_shadow')
  const wanted = scope.value('tls_verify_mode_shadow')
  if (shadow === undefined || wanted === undefined) return
  const mode = scope.setting('tls_verify_mode')
  const active = scope.value('tls_verify_mode')
  if (wanted === active && !scope.isNarrower('tls_verify_mode', 'tls_verify_mode_shadow')) {
    warnings.add(
      `TLS_Verify_Mode_Shadow tells nothing new: TLS_Verify_Mode is ${quote(active)} already`,
      shadow.at,
      mode?.at,
    )
  } else if (active === 'none') {
    warnings.add(
      'TLS_Verify_Mode_Shadow cannot tell who would be refused: TLS_Verify_Mode is "none", so nobody is asked for a certificate; "optional" asks and refuses nobody',
      shadow.at,
      mode?.at,
    )
  } else if (wanted === 'require' && scope.value('tls_client_ca') === undefined) {
    warnings.add(
      'TLS_Verify_Mode_Shadow is "require" without a TLS_Client_CA: every certificate is told as one that does not verify',
      shadow.at,
    )
  }
}

/** The same of Require_TLS_Shadow. */
function requireTlsShadowTraps(scope: View, warnings: Once): void {
  const shadow = scope.set('require_tls_shadow', true)
  if (shadow === undefined) return
  const active = scope.set('require_tls', true)
  if (active !== undefined && !scope.isNarrower('require_tls', 'require_tls_shadow')) {
    warnings.add('Require_TLS_Shadow tells nothing new: Require_TLS is true already', shadow.at, active.at)
  } else if (scope.value('use_ssl') && !scope.isNarrower('use_ssl', 'require_tls_shadow')) {
    warnings.add('Require_TLS_Shadow has nobody to tell of: Use_SSL lets nobody in without TLS', shadow.at)
  } else if (!scope.value('use_ssl') && !scope.extensions.includes('STARTTLS')) {
    warnings.add(
      `Require_TLS_Shadow tells of everybody on Listen ${quote(scope.listen)}, which offers no TLS: STARTTLS is not among SMTP_Extensions`,
      shadow.at,
    )
  }
}

function authTraps(scope: View, warnings: Once): void {
  const offered = scope.extensions.filter((each) => each.startsWith('AUTH '))
  const clear = scope.set('allow_plaintext_auth', true)
  if (clear !== undefined && offered.length > 0 && !scope.value('use_ssl')) {
    warnings.add(
      'passwords may cross the network in clear: AUTH is offered and accepted without TLS',
      clear.at,
    )
  }
  const at = scope.origin('smtp_extensions')
  for (const mechanism of offered.flatMap((each) => each.split(' ').slice(1))) {
    const option = Object.hasOwn(authOptions, mechanism)
      ? authOptions[mechanism as keyof typeof authOptions]
      : undefined
    if (option !== undefined && scope.value(option) === undefined) {
      warnings.add(`AUTH ${mechanism} is not offered without ${displayName(option)}`, at)
    }
    if (mechanism === 'EXTERNAL' && scope.value('tls_client_ca') === undefined) {
      warnings.add(
        'AUTH EXTERNAL is offered to nobody without a TLS_Client_CA: no certificate can be verified',
        at,
      )
    }
  }
  const allow = scope.set('always_allow', true)
  if (allow === undefined || scope.value('always_deny')) return
  if (offered.length === 0) {
    warnings.add('Always_Allow does nothing: no AUTH is among SMTP_Extensions', allow.at)
  } else if (scope.everyone()) {
    warnings.add('everybody can reach this scope, and every AUTH passes: this is an open relay', allow.at)
  }
}

function relayTraps(scope: View, warnings: Once): void {
  const senders = scope.setting('relay_for_sending_domains')
  if (senders !== undefined && scope.value('relay_for_sending_domains')?.length === 0) {
    warnings.add(
      'an empty Relay_For_Sending_Domains lets every sender relay: this is an open relay',
      senders.at,
    )
  } else if (senders !== undefined && scope.value('relay_for_sending_domains')?.includes('*')) {
    warnings.add(
      'Relay_For_Sending_Domains with "*" lets every sender relay: this is an open relay',
      senders.at,
    )
  }
  const open = scope.set('open_relay', true)
  if (open !== undefined && scope.everyone())
    warnings.add('everybody can reach this scope: this is an open relay', open.at)
  const hosts = scope.setting('relay_hosts')
  if (hosts !== undefined && scope.value('relay_hosts').some(isEverything)) {
    warnings.add('Relay_Hosts holds every address: this is an open relay', hosts.at)
  }
}

function extensionTraps(scope: View, warnings: Once): void {
  for (const name of scope.extensions.filter((each) => notImplemented.includes(each.split(' ')[0] ?? ''))) {
    warnings.add(`SMTP_Extensions: ${name} is recognised, not implemented`, scope.origin('smtp_extensions'))
  }
}

/** Whoever may tell another address than its own may be anybody. */
function proxyTraps(scope: View, warnings: Once): void {
  const header = scope.set('proxy_protocol', true)
  const hosts = scope.setting('proxy_hosts')
  const open = scope.value('proxy_hosts')
  if (header !== undefined && (open.length === 0 || open.some(isEverything)) && scope.anyInterface()) {
    warnings.add(
      'whoever reaches this port can claim any address in a PROXY header: bind the Listen to an inner address, name the proxies in Proxy_Hosts, or write Proxy_Protocol in the Peer of the proxy',
      header.at,
    )
  }
  if (header === undefined && hosts !== undefined && open.length > 0) {
    warnings.add('Proxy_Hosts keeps nobody out where Proxy_Protocol is off', hosts.at)
  }
  const telling = scope.setting('proxy_tls_hosts')
  if (header === undefined && telling !== undefined && scope.value('proxy_tls_hosts').length > 0) {
    warnings.add('Proxy_TLS_Hosts does nothing where Proxy_Protocol is off', telling.at)
  }
  const trusted = scope.extensions.filter((each) => /^(?:XCLIENT|XREMOTEIP|XSETCONTEXT)\b/.test(each))
  if (trusted.length > 0 && scope.everyone()) {
    warnings.add(
      `everybody can reach this scope, and ${trusted.join(', ')} lets a client say who it is: list it in the Peer of the proxy`,
      scope.origin('smtp_extensions'),
    )
  }
}

function relayDomainTraps(model: Model, warnings: Once): void {
  const stanzas = [
    model.global,
    ...[...model.pathways.values()].flatMap(({ stanza, group }) => [stanza, ...(group ? [group] : [])]),
  ]
  for (const stanza of stanzas) {
    const setting = stanza.settings.get('relay_domains')
    if ((setting?.value as readonly string[] | undefined)?.includes('*')) {
      warnings.add('Relay_Domains with "*" takes mail for every domain: this is an open relay', setting?.at)
    }
  }
}

/** The order puts a listener's Peer above a Listen, which surprises where both set what guards the gate. */
function hiddenByPeer(model: Model, warnings: Once): void {
  const first = new Map<string, { readonly peer: Stanza; readonly setting: Setting }>()
  for (const { stanza: peer } of model.listenerPeers.all) {
    for (const [name, setting] of peer.settings)
      if (guards.has(name) && !first.has(name)) first.set(name, { peer, setting })
  }
  for (const { stanza } of model.listens.values()) {
    for (const [name, { at }] of stanza.settings) {
      const above = first.get(name)
      if (above === undefined) continue
      const message = `${displayName(name)} of this Listen is overridden for Peer ${quote(above.peer.instance)} of the ESMTP_Listener; to decide it here, nest the Peer in the Listen`
      warnings.add(message, at, above.setting.at, 'this one counts for its clients')
    }
  }
}

/** Pathways that no scope names: only a script can choose them, on any Listen. */
function* unnamedPathways(model: Model): Iterable<Situation> {
  const peers = [...model.listens.values()]
    .flatMap((listen) => listen.peers.all)
    .concat(model.listenerPeers.all)
  const stanzas = [model.listener, ...[...model.listens.values(), ...peers].map((each) => each.stanza)]
  const named = new Set(stanzas.map((stanza) => stanza.settings.get('pathway')?.value))
  for (const name of model.pathways.keys()) {
    if (named.has(name) || name === 'default') continue
    for (const listen of model.listens.values()) {
      yield { model, listen, listenPeers: [], listenerPeers: [], scriptPathway: name }
    }
  }
}

/** The effective values of one situation, without making them all. */
class View {
  readonly #situation: Situation
  readonly #chain: readonly Stanza[]
  #extensions: readonly string[] | undefined

  constructor(situation: Situation) {
    this.#situation = situation
    this.#chain = inboundChain(situation)
  }

  get listen(): string {
    return this.#situation.listen.stanza.instance
  }

  setting(option: keyof InboundValues): Setting | undefined {
    return deciding(this.#chain, option)
  }

  value<O extends keyof InboundValues>(option: O): InboundValues[O] {
    const setting = this.setting(option)
    // the setting came through this row's codec
    return setting === undefined ? inboundOptions[option].default : (setting.value as InboundValues[O])
  }

  /** The setting that gives the option this value. */
  set<O extends keyof InboundValues>(option: O, value: InboundValues[O]): Setting | undefined {
    const setting = this.setting(option)
    return setting?.value === value ? setting : undefined
  }

  /** Whether an option is set in a narrower stanza than another: then the wider one may well mean other clients. */
  isNarrower(option: keyof InboundValues, than: keyof InboundValues): boolean {
    const place = (name: string): number => this.#chain.findIndex(({ settings }) => settings.has(name))
    return place(option) < place(than)
  }

  origin(option: keyof InboundValues): Position | undefined {
    return this.setting(option)?.at
  }

  /** SMTP_Extensions in capitals */
  get extensions(): readonly string[] {
    this.#extensions ??= this.value('smtp_extensions').map((each) => each.toUpperCase())
    return this.#extensions
  }

  /** Whether any client can be in this situation, whichever of this machine's interfaces it reaches. */
  anyInterface(): boolean {
    return this.#situation.listen.address.kind === 'any' && this.everyone()
  }

  /** Whether any client of the network can be in this situation. */
  everyone(): boolean {
    const { address } = this.#situation.listen
    if (address.kind === 'unix') return false
    if (address.kind === 'tcp' && (address.host === '::1' || address.host.startsWith('127.'))) return false
    return [...this.#situation.listenPeers, ...this.#situation.listenerPeers].every(({ cidr }) =>
      isEverything(cidr),
    )
  }
}

/** A warning about the same words at the same place is one warning. */
class Once {
  readonly #report: Report
  readonly #seen = new Set<string>()

  constructor(report: Report) {
    this.#report = report
  }

  // oxlint-disable-next-line max-params -- the parts of a warning
  add(message: string, at: Position | undefined, other?: Position, note = 'the other one is here'): void {
    // the Listen in a message is an example: the next one says nothing new
    const key = `${at?.file}:${at?.line}:${at?.column}:${message.replace(/Listen ".*?"/, 'Listen')}`
    if (this.#seen.has(key)) return
    this.#seen.add(key)
    this.#report.warning(message, at, other && { message: note, at: other })
  }
}

function isEverything(cidr: Cidr): boolean {
  return cidr.prefix === 0
}

const authOptions = {
  PLAIN: 'authplainparameters',
  LOGIN: 'authloginparameters',
  'CRAM-MD5': 'authcrammd5parameters',
  'DIGEST-MD5': 'authdigestmd5parameters',
  EXTERNAL: 'authexternalparameters',
} as const satisfies Readonly<Record<string, keyof InboundValues>>

const notImplemented = ['XSETCONTEXT2', 'BINARYMIME', 'ETRN', 'DELIVERBY']

/** Options of TLS, of relaying, of authentication and of proxies. */
const guards: ReadonlySet<string> = new Set(
  Object.keys(inboundOptions).filter((name) => /tls|ssl|relay|auth|proxy/.test(name)),
)
