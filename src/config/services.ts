/**
 * Control_Listener and HTTP_Listener: from stanzas to Listens, and what must not be asked of them.
 *
 * Such a Listen is resolved as one of an ESMTP_Listener that has these stanzas and nothing else: Listen, listener,
 * global, default. Who may use a console is in `control-access.ts`.
 */

import { checkControl, isLocal, unknownGroups } from './control-access.ts'
import { displayName } from './known-names.ts'
import { listenKey } from './listen-address.ts'
import type { ListenStanza, Model, ServiceStanza, Setting } from './model.ts'
import type { HttpValues } from './options-services.ts'
import { quote } from './render.ts'
import type { Report } from './report.ts'
import type { Dictionary } from './settings.ts'

/** The model in which the Listens of one such listener are resolved like any other. */
export function modelOfService(model: Model, { stanza, listens, peers }: ServiceStanza): Model {
  return {
    ...model,
    listener: stanza,
    listenerPeers: peers,
    listens,
    pathways: new Map(),
  }
}

/** Says what cannot be served, or not as it seems to be meant. */
export function checkServices(model: Model, report: Report): void {
  for (const service of model.controlListeners.values()) {
    checkControl(service, modelOfService(model, service), report)
  }
  for (const service of model.httpListeners.values()) {
    noTlsWithoutSsl(service, report)
    for (const listen of service.listens.values()) checkHttp(model, service, listen, report)
  }
  noSharedAddress(model, report)
  noSharedName(model, report)
}

/** Who may come in at a console is found by its Listen's name; only for port 0 could two have the same. */
function noSharedName({ controlListeners }: Model, report: Report): void {
  const names = new Set<string>()
  for (const { listens } of controlListeners.values()) {
    for (const { stanza, address, at } of listens.values()) {
      const { instance } = stanza
      if (names.has(instance) && address.kind !== 'unix' && address.port === 0)
        report.error(`Listen ${quote(instance)} is in two Control_Listeners`, at)
      names.add(instance)
    }
  }
}

function checkHttp(model: Model, service: ServiceStanza, listen: ListenStanza, report: Report): void {
  const { instance } = listen.stanza
  const value = (name: keyof HttpValues): unknown => settingOf(service, listen, name)?.value
  const authorized = settingOf(service, listen, 'tls_verified_peer_is_authorized')
  const needsCertificate = authorized?.value === true
  checkPage(model, service, listen, report)
  if (!needsCertificate && value('enable') !== false && !isLocal(listen.address)) {
    report.warning(
      `everybody who reaches ${quote(instance)} can read the metrics: there is no login; bind 127.0.0.1, or set Use_SSL, TLS_Client_CA and TLS_Verified_Peer_Is_Authorized`,
      listen.at,
    )
  }
  if (value('use_ssl') !== true) {
    noTlsOptions(listen, listen.stanza, report)
    return
  }
  const mode = settingOf(service, listen, 'tls_verify_mode')
  const ca = value('tls_client_ca') ?? model.global.settings.get('tls_client_ca')?.value
  if (needsCertificate && authorized !== undefined) {
    if (ca === undefined)
      report.warning('without a TLS_Client_CA no certificate verifies: nobody is authorized', authorized.at)
    if (mode?.value === 'none')
      report.warning(
        'TLS_Verify_Mode is "none": no certificate is asked for, and nobody is authorized',
        mode.at,
      )
  } else if (mode?.value === 'require') {
    report.warning(
      'TLS_Verify_Mode demands a certificate here, also one that does not verify; TLS_Verified_Peer_Is_Authorized decides who is answered',
      mode.at,
    )
  }
}

/** The page shows who sends mail, and can drop mail: nobody gets there whom nothing has let in. */
// oxlint-disable-next-line max-params -- where it stands, from the outside in
function checkPage(model: Model, service: ServiceStanza, listen: ListenStanza, report: Report): void {
  const setting = (name: keyof HttpValues): Setting | undefined => settingOf(service, listen, name)
  const instance = quote(listen.stanza.instance)
  const page = setting('page')
  if (page?.value !== true) {
    for (const name of pageOptions) {
      const own = listen.stanza.settings.get(name)
      if (own?.value !== undefined)
        report.error(`${displayName(name)} does nothing on ${instance} without Page = true`, own.at)
    }
    return
  }
  const users = setting('authloginparameters')
  const certificates = setting('tls_verified_peer_is_authorized')?.value === true
  if (users?.value === undefined && !certificates)
    report.error(
      `the page on ${instance} needs a login: set AuthLoginParameters [ uri = "file:///etc/postern/operators" ] (postern passwd makes its lines), or Use_SSL, TLS_Client_CA and TLS_Verified_Peer_Is_Authorized`,
      page.at,
    )
  const unfit = unfitUsers(model, users?.value as Dictionary | undefined)
  if (unfit !== undefined) report.error(unfit, users?.at)
  checkPageRoles(model, setting, report)
  if (setting('use_ssl')?.value !== true && !isLocal(listen.address))
    report.error(
      `the page on ${instance} would take passwords in clear text: set Use_SSL = true, or bind 127.0.0.1`,
      page.at,
    )
}

const pageOptions = [
  'page_operators',
  'authloginparameters',
  'enable_authorization',
  'authorizationparameters',
] as const

/** Who is logged in for hours has to be asked about again. */
function unfitUsers({ authSchemes }: Model, users: Dictionary | undefined): string | undefined {
  const uri = users?.['uri'] ?? ''
  if (users === undefined || /^(?:file|digest):\/\/\//i.test(uri)) return undefined
  const scheme = authSchemes.get(/^([^:/]*):\/\//.exec(uri)?.[1]?.toLowerCase() ?? '')?.authenticate.settings
  if (scheme === undefined)
    return 'users of the page are kept in a file or a database: uri = "file:///…", "digest:///…" or the "name://" of a Scheme of auth_ds'
  const map = Object.values((scheme.get('map')?.value ?? {}) as Dictionary)
  return scheme.get('returns_password')?.value === true && !map.some((text) => text.includes('%{password'))
    ? undefined
    : 'users of the page need returns_password = true and a query without %{password}: whoever is logged in is asked about again'
}

function checkPageRoles(
  model: Model,
  setting: (name: keyof HttpValues) => Setting | undefined,
  report: Report,
): void {
  const [source, wanted] = [setting('authorizationparameters'), setting('enable_authorization')]
  const groups = source?.value as HttpValues['authorizationparameters']
  if (!(wanted?.value ?? groups !== undefined)) return
  const at = wanted?.at ?? source?.at
  const wrong = unknownGroups(groups, model)
  if (wrong !== undefined) report.error(wrong, source?.at)
  const named = setting('page_operators')
  if (((named?.value ?? []) as readonly string[]).length > 0)
    report.error('Page_Operators does nothing where roles say who may act: take one of them away', named?.at)
  if (model.roles.size === 0)
    report.warning('there is no Role in Authorization: nobody sees anything on the page', at)
}

/** Somebody who writes them believes that there is TLS. */
function noTlsWithoutSsl(service: ServiceStanza, report: Report): void {
  const listens = [...service.listens.values()]
  if (listens.some((listen) => settingOf(service, listen, 'use_ssl')?.value === true)) return
  noTlsOptions(undefined, service.stanza, report)
}

function noTlsOptions(
  listen: ListenStanza | undefined,
  { settings }: ServiceStanza['stanza'],
  report: Report,
): void {
  for (const [name, { value, at }] of settings) {
    if (!name.startsWith('tls') || value === undefined || value === false) continue
    const where = listen === undefined ? 'in an HTTP_Listener' : `on ${quote(listen.stanza.instance)}`
    report.error(`${displayName(name)} does nothing ${where} without Use_SSL = true`, at)
  }
}

/** Two parts of the server cannot have one socket. */
function noSharedAddress(model: Model, report: Report): void {
  const first = new Map<string, ListenStanza>()
  const services = [...model.controlListeners.values(), ...model.httpListeners.values()]
  for (const { listens } of [{ listens: model.listens }, ...services]) {
    for (const listen of listens.values()) {
      const { address, stanza, at } = listen
      if (address.kind !== 'unix' && address.port === 0) continue
      const key = listenKey(address)
      const other = first.get(key)
      if (other === undefined) first.set(key, listen)
      else
        report.error(`Listen ${quote(stanza.instance)} is in two listeners`, at, {
          message: 'the first one is here',
          at: other.at,
        })
    }
  }
}

function settingOf(
  { stanza }: ServiceStanza,
  listen: ListenStanza,
  name: keyof HttpValues,
): Setting | undefined {
  return listen.stanza.settings.get(name) ?? stanza.settings.get(name)
}
