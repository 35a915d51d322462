/**
 * Who may use a console: from stanzas to `ControlAccess`, and what must not be asked of one.
 *
 * A mistake never opens the console. On TCP everybody logs in, over TLS unless the address is of this machine alone, and
 * without TLS by challenge and response, so that no password crosses in clear. Parameters of a mechanism ask for a login
 * and those of authorization for roles, also where nobody wrote Enable_…: they were written to keep somebody out.
 */

import { cidrContains, formatAddress, parseCidr } from './address.ts'
import type { Origin, Position } from './diagnostic.ts'
import { suggestion } from './edit-distance.ts'
import { displayName } from './known-names.ts'
import type { WrittenAddress } from './listen-address.ts'
import type { ListenStanza, Model, ServiceStanza } from './model.ts'
import { type ControlValues, controlOptions } from './options-control.ts'
import { quote } from './render.ts'
import type { Report } from './report.ts'
import { Resolver, situations } from './resolve.ts'
import type { InboundScope } from './settings.ts'
import type { ControlAccess, GroupsSource } from './settings-control.ts'

/** @param scope resolved for a client of the Control_Listener alone */
export function accessOf(scope: InboundScope, tcp: boolean, fallbackTimeout: number): ControlAccess {
  const said = <Name extends keyof ControlValues>(name: Name): ControlValues[Name] => valueOf(scope, name)
  const { options } = scope
  const asked = said('enable_authentication') ?? (tcp || mechanismsOf(scope).length > 0)
  const groups = said('authorizationparameters')
  const restricted = said('enable_authorization') ?? groups !== undefined
  return Object.freeze({
    mechanisms: Object.freeze(Object.fromEntries(mechanismsOf(scope).map((name) => [name, options[name]]))),
    failures: Object.freeze({
      limit: options.auth_failure_limit,
      window: options.auth_failure_window,
      delay: options.auth_failure_delay,
    }),
    denied: options.always_deny,
    // a Peer of everybody expects nobody
    expected: (parseCidr(scope.peer?.network ?? '')?.prefix ?? 0) > 0,
    // always_allow acts where the check lets it: on a UNIX socket and for loopback
    loginNeeded: (tcp || asked) && !(options.always_allow && !options.always_deny),
    authorization: restricted ? Object.freeze({ groups }) : undefined,
    timeout: said('timeout') ?? fallbackTimeout,
  })
}

/** Says what of a Control_Listener cannot be served, or not as it seems to be meant. @param alone its own model */
export function checkControl(service: ServiceStanza, alone: Model, report: Report): void {
  const resolver = new Resolver(alone)
  const told = new Set<string>()
  const once = (kind: 'error' | 'warning', message: string, at: Position | undefined): void => {
    const key = `${kind} ${message} ${at?.file}:${at?.line}:${at?.column}`
    if (told.has(key)) return
    told.add(key)
    report[kind](message, at)
  }
  for (const situation of situations(alone)) {
    const { listen } = situation
    const scope = resolver.scope(situation)
    if (!scope.options.enable || scope.options.always_deny) continue
    const about: About = { listen, scope, alone, once }
    if (listen.address.kind === 'unix') checkUnix(about)
    else checkTcp(about)
    checkLogin(about)
    checkAuthorization(about)
  }
  for (const listen of service.listens.values()) checkTls(service, listen, once)
}

type Once = (kind: 'error' | 'warning', message: string, at: Position | undefined) => void

interface About {
  readonly listen: ListenStanza
  readonly scope: InboundScope
  readonly alone: Model
  readonly once: Once
}

function checkUnix({ listen, scope, once }: About): void {
  const { loginNeeded } = accessOf(scope, false, 0)
  const mode = originOf(scope, 'file_mode')
  if (mode === undefined || (scope.options.file_mode & 0o002) === 0 || loginNeeded) return
  const message = `this File_Mode lets everybody on this machine use the console on ${quote(listen.stanza.instance)}`
  if (accessOf(scope, false, 0).authorization === undefined) once('warning', message, mode)
}

function checkTcp({ listen, scope, once }: About): void {
  const { instance } = listen.stanza
  const { options } = scope
  const local = isLocal(listen.address)
  if (!options.use_ssl && !local)
    once(
      'error',
      `a Control_Listener on ${quote(instance)} needs Use_SSL = true and a TLS_Certificate: commands and answers would cross the network in clear; or bind 127.0.0.1`,
      listen.at,
    )
  if (valueOf(scope, 'enable_authentication') === false && !options.always_allow)
    once(
      'error',
      `a Control_Listener on TCP (${quote(instance)}) needs Enable_Authentication: whoever reaches it could do everything`,
      originOf(scope, 'enable_authentication'),
    )
  if (options.always_allow) {
    if (scope.peer !== undefined && isLoopback(scope.peer.network))
      once(
        'warning',
        `Always_Allow lets everybody on this machine use the console on ${quote(instance)}`,
        originOf(scope, 'always_allow'),
      )
    else
      once(
        'error',
        `Always_Allow on TCP is for a Peer of this machine, such as Peer "127.0.0.1": whoever reaches ${quote(instance)} could do everything`,
        originOf(scope, 'always_allow'),
      )
  }
  if (options.use_ssl) return
  for (const name of clearMechanisms) {
    if (options[name] === undefined) continue
    const message = `${displayName(name)} sends the password in clear: on TCP it needs Use_SSL = true; AuthDigestMD5Parameters do not`
    once('error', message, originOf(scope, name))
  }
}

function checkLogin({ listen, scope, alone, once }: About): void {
  const tcp = listen.address.kind !== 'unix'
  const { loginNeeded, authorization } = accessOf(scope, tcp, 0)
  const { options } = scope
  const external = options.authexternalparameters
  if (loginNeeded && mechanismsOf(scope).length === 0) {
    const message = `nobody can log in to the console on ${quote(listen.stanza.instance)}: it needs AuthDigestMD5Parameters, AuthLoginParameters or AuthExternalParameters`
    once('error', message, originOf(scope, 'enable_authentication') ?? listen.at)
  }
  for (const name of [...clearMechanisms, ...otherMechanisms]) {
    const scheme = /^([a-z][a-z0-9_+.-]*):/i.exec(options[name]?.['uri'] ?? '')?.[1]?.toLowerCase()
    if (scheme === undefined || scheme === 'file' || scheme === 'digest' || alone.authSchemes.has(scheme))
      continue
    const message = `operators log in from file://, digest:// or a Scheme of auth_ds, and not from ${scheme}://: scripts are not asked`
    once('error', message, originOf(scope, name))
  }
  if (external === undefined || !tcp) return
  const at = originOf(scope, 'authexternalparameters')
  const own = scope
    .speakers?.()
    .find((each) => each.scope !== 'global' && each.says('tls_client_ca') !== undefined)
  if (!options.use_ssl)
    once('error', 'AuthExternalParameters need Use_SSL = true: they ask for a certificate', at)
  else if (own === undefined)
    once(
      'error',
      'AuthExternalParameters need a TLS_Client_CA in the Control_Listener itself: whom the CA of mail certifies is no operator',
      at,
    )
  if (options.tls_verify_mode === 'none')
    once(
      'error',
      'TLS_Verify_Mode is "none": no certificate is asked for, and AuthExternalParameters let nobody in',
      at,
    )
  if (external['uri'] === undefined && (authorization === undefined || alone.roles.size === 0))
    once(
      'error',
      'AuthExternalParameters need a uri with the list of operators, or Enable_Authorization with roles: every certificate of this CA could do everything',
      at,
    )
}

function checkAuthorization({ listen, scope, alone, once }: About): void {
  const { authorization } = accessOf(scope, listen.address.kind !== 'unix', 0)
  const source = originOf(scope, 'authorizationparameters')
  const wrong = unknownGroups(authorization?.groups, alone)
  if (wrong !== undefined) once('error', wrong, source)
  if (authorization === undefined || alone.roles.size > 0) return
  const at = originOf(scope, 'enable_authorization') ?? source
  once('warning', 'there is no Role in Authorization: nobody may run a command here', at)
}

/** Why nobody can be told the groups of anybody. */
export function unknownGroups(source: GroupsSource | undefined, { authSchemes }: Model): string | undefined {
  if (source?.kind !== 'scheme' || authSchemes.get(source.scheme)?.groups.has('querygroups')) return undefined
  const having = [...authSchemes].flatMap(([name, { groups }]) => (groups.has('querygroups') ? [name] : []))
  return authSchemes.has(source.scheme)
    ? `the Scheme ${quote(source.scheme)} of auth_ds has no QueryGroups: nobody is in any group`
    : `there is no Scheme ${quote(source.scheme)} of auth_ds, and groups come from one or from groups:///path${suggestion(source.scheme, having)}`
}

/** Somebody who writes them believes that there is TLS. A UNIX socket needs none. */
function checkTls({ stanza, listens }: ServiceStanza, listen: ListenStanza, once: Once): void {
  const encrypted = ({ stanza: own }: ListenStanza): boolean =>
    (own.settings.get('use_ssl') ?? stanza.settings.get('use_ssl'))?.value === true
  const nowhere = ![...listens.values()].some(encrypted)
  for (const { settings } of encrypted(listen) ? [] : nowhere ? [listen.stanza, stanza] : [listen.stanza]) {
    for (const [name, { value, at }] of settings) {
      if (!name.startsWith('tls') || value === undefined) continue
      once(
        'error',
        `${displayName(name)} does nothing on ${quote(listen.stanza.instance)} without Use_SSL = true`,
        at,
      )
    }
  }
}

function mechanismsOf({ options }: InboundScope): readonly LoginOption[] {
  return [...clearMechanisms, ...otherMechanisms].filter((name) => options[name] !== undefined)
}

function valueOf<Name extends keyof ControlValues>(scope: InboundScope, name: Name): ControlValues[Name] {
  const found = settingOf(scope, name)
  // the value came through this row's codec
  return found === undefined ? controlOptions[name].default : (found.value as ControlValues[Name])
}

function settingOf(
  scope: InboundScope,
  name: keyof ControlValues,
): { readonly value: unknown; readonly at: Position } | undefined {
  for (const speaker of scope.speakers?.() ?? []) {
    const found = speaker.says(name)
    if (found !== undefined) return found
  }
  return undefined
}

function originOf(scope: InboundScope, name: keyof ControlValues): Exclude<Origin, 'default'> | undefined {
  return settingOf(scope, name)?.at
}

/** Every address of a network in normal form. */
function isLoopback(network: string): boolean {
  const cidr = parseCidr(network)
  if (cidr === undefined) return false
  const first = formatAddress(cidr)
  return loopbackNetworks.some(
    (each) => each !== undefined && cidr.prefix >= each.prefix && cidrContains(each, first),
  )
}

export function isLocal(address: WrittenAddress): boolean {
  if (address.kind !== 'tcp') return address.kind === 'unix'
  return loopbackNetworks.some((cidr) => cidr !== undefined && cidrContains(cidr, address.host))
}

const loopbackNetworks = [parseCidr('127.0.0.0/8'), parseCidr('::1')]
type LoginOption = keyof ControlAccess['mechanisms']

const clearMechanisms = ['authplainparameters', 'authloginparameters'] as const
const otherMechanisms = [
  'authcrammd5parameters',
  'authdigestmd5parameters',
  'authexternalparameters',
] as const
