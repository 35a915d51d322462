/**
 * Configuration files → `Settings`, or everything that is wrong with them.
 *
 * Reads the file and its includes, checks every name and value, and makes the settings only when there is no error.
 * Never throws for what a user wrote; the caller shows the diagnostics, or throws a `ConfigError` of them. Relative
 * paths in values start at the main file's directory, in included files too; those of `include` itself start at the
 * including file's.
 */

import { statSync } from 'node:fs'
import path from 'node:path'
import { domainMatches } from '../mail/address.ts'
import { checkAuthSchemes } from './auth-schemes.ts'
import { authenticitySettings, checkAuthenticity } from './authenticity.ts'
import { check } from './check.ts'
import { accessOf } from './control-access.ts'
import { checkCustomLoggers } from './custom-loggers.ts'
import type { Diagnostic } from './diagnostic.ts'
import { bindAddresses } from './listen-address.ts'
import { checkLogFiles } from './log-files.ts'
import type { Model, NamedStanza, ServiceStanza, Stanza } from './model.ts'
import type { OptionTable } from './option-row.ts'
import { roleOptions } from './options-control.ts'
import { customLoggerOptions } from './options-custom-logger.ts'
import {
  authenticateOptions,
  datasourceOptions,
  enumGroupsOptions,
  queryGroupsOptions,
} from './options-datasource.ts'
import { pipeOptions, webhookOptions } from './options-delivery.ts'
import { ocspOptions } from './options-ocsp.ts'
import {
  bounceLoggerOptions,
  globalOptions,
  loggerOptions,
  maildirOptions,
  scriptOptions,
  securityOptions,
  tlsLogOptions,
} from './options-other.ts'
import { partnerOptions } from './options-partner.ts'
import type { HttpValues } from './options-services.ts'
import { checkPartners, partnerPathways } from './partners.ts'
import { Report, sortDiagnostics } from './report.ts'
import { Resolver, situations } from './resolve.ts'
import { checkServices, modelOfService } from './services.ts'
import type {
  ControlListenSettings,
  HttpListenSettings,
  InboundScope,
  ListenSettings,
  ScriptSettings,
  Settings,
} from './settings.ts'
import type { GroupSchemeSettings } from './settings-datasource.ts'
import type { Egress } from './settings-queue.ts'
import { diskFiles, memoryFiles, readSource, type SourceFiles } from './source.ts'
import { warnOfTraps } from './traps.ts'
import type { Statement } from './tree.ts'
import { checkWaysOut } from './ways-out.ts'

export interface LoadResult {
  /** undefined when there is an error among the diagnostics */
  readonly settings: Settings | undefined
  /** errors and warnings, in the order of files and lines */
  readonly diagnostics: readonly Diagnostic[]
  /** everything that is written, without includes and with changes from the console */
  readonly statements: readonly Statement[]
  /** the files as they were read, for `renderDiagnostics` */
  readonly readSource: (file: string) => string | undefined
}

/** @param file as the user named it: this is how diagnostics name it too */
export async function loadSettings(file: string, files: SourceFiles = diskFiles): Promise<LoadResult> {
  const source = await readSource(file, files)
  const directory = path.dirname(path.resolve(file))
  const report = new Report()
  const checked = check(source.statements, directory)
  const model = checked.model
  checkWaysOut(model, report)
  checkAuthSchemes(model, report)
  checkPartners(model, report)
  checkServices(model, report)
  checkCustomLoggers(model, report)
  checkLogFiles(model, report)
  checkAuthenticity(model.authenticity, report)
  warnOfTraps(model, report)
  const localOnly = model.global.settings.get('local_changes_only')
  if (localOnly?.value === true && source.localChanges === undefined)
    report.error('Local_Changes_Only needs a Local_Changes_File', localOnly.at)
  const all = [...source.diagnostics, ...checked.diagnostics, ...report.diagnostics]
  const diagnostics = sortDiagnostics(all, source.files)
  const good = diagnostics.every((each) => each.severity !== 'error')
  return {
    settings: good ? makeSettings(model, { file, files: source.files, directory, diagnostics }) : undefined,
    diagnostics,
    statements: source.statements,
    readSource: (name) => source.text(name),
  }
}

/** The same for a text that stands in no file, and for further ones beside it, by path relative to the first. */
export function loadSettingsFromText(
  text: string,
  name = 'postern.conf',
  others: Readonly<Record<string, string>> = {},
): Promise<LoadResult> {
  const directory = path.dirname(path.resolve(name))
  const texts = new Map(Object.entries(others).map(([file, each]) => [path.resolve(directory, file), each]))
  return loadSettings(name, memoryFiles(texts.set(path.resolve(name), text)))
}

interface About {
  readonly file: string
  readonly files: readonly string[]
  readonly directory: string
  readonly diagnostics: readonly Diagnostic[]
}

function makeSettings(model: Model, { file, files, directory, diagnostics }: About): Settings {
  const resolver = new Resolver(model)
  const listens = makeListens(model, resolver)
  const relayed = [...globalList(model, 'relay_domains'), ...globalList(model, 'bounce_domains')]
  return Object.freeze({
    file,
    files: Object.freeze([...files]),
    diagnostics: Object.freeze([...diagnostics]),
    global: Object.freeze(valuesOf(model.global, globalOptions)),
    globalOrigin: (option: keyof typeof globalOptions) =>
      model.global.settings.get(option)?.at ?? ('default' as const),
    listens,
    controlListens: Object.freeze(
      [...model.controlListeners.values()].flatMap((each) => controlListens(model, each)),
    ),
    roles: named(model.roles, (stanza, { name, at }) => ({ name, at, ...valuesOf(stanza, roleOptions) })),
    httpListens: Object.freeze([...model.httpListeners.values()].flatMap((each) => httpListens(model, each))),
    scripts: named(model.scripts, (stanza, name) => makeScript(stanza, name, directory)),
    loggers: stanzas(model.loggers, loggerOptions),
    bounceLoggers: stanzas(model.bounceLoggers, bounceLoggerOptions),
    customLoggers: stanzas(model.customLoggers, customLoggerOptions),
    pathwayGroup: (pathway: string) => model.pathways.get(pathway)?.group?.instance ?? 'default',
    tlsLogs: stanzas(model.tlsLogs, tlsLogOptions),
    maildirs: stanzas(model.maildirs, maildirOptions),
    pipes: stanzas(model.pipes, pipeOptions),
    webhooks: stanzas(model.webhooks, webhookOptions),
    partners: named(model.partners, (stanza, { name, at }) => ({
      name,
      at,
      ...valuesOf(stanza, partnerOptions),
      origin: (option: keyof typeof partnerOptions) =>
        stanza.settings.get(option)?.at ?? ('default' as const),
    })),
    ocsp: stanzas(model.ocsp, ocspOptions),
    authenticity: authenticitySettings(model.authenticity),
    security: model.security && {
      at: model.security.at,
      ...valuesOf(model.security.stanza, securityOptions),
    },
    datasources: stanzas(model.datasources, datasourceOptions),
    schemes: Object.freeze(
      [...model.authSchemes].flatMap(([name, { authenticate, at }]) =>
        authenticate.settings.size === 0
          ? []
          : [Object.freeze({ name, at, ...valuesOf(authenticate, authenticateOptions) })],
      ),
    ),
    groupSchemes: groupSchemes(model),
    resolveInbound: (listen: ListenSettings, address: string | undefined, pathway?: string) =>
      resolver.inbound(listen.instance, address, pathway),
    resolveOutbound: (domain: string, egress?: Egress) => resolver.outbound(domain, egress),
    isRelayDomain: (domain: string) => domainMatches(relayed, domain),
    resolveHost: (names: readonly string[], egress?: Egress) => resolver.host(names, egress),
    findBinding: (binding: string, group?: string) => resolver.findBinding(binding, group),
    bindingsOf: (group: string) => resolver.bindingsOf(group),
    outboundScopes: () => resolver.outboundScopes(),
    inboundScopes: () => inboundScopes(model, resolver, listens),
  })
}

function groupSchemes({ authSchemes }: Model): readonly GroupSchemeSettings[] {
  return Object.freeze(
    [...authSchemes].flatMap(([name, { groups, at }]) => {
      const [ofUser, all] = [groups.get('querygroups'), groups.get('enumgroups')]
      if (ofUser === undefined) return []
      return [
        Object.freeze({
          name,
          at: ofUser.at ?? at,
          ofUser: valuesOf(ofUser, queryGroupsOptions),
          all: all && valuesOf(all, enumGroupsOptions),
        }),
      ]
    }),
  )
}

/** What the global scope says itself: that of a Pathway is another matter. */
function globalList({ global }: Model, option: 'relay_domains' | 'bounce_domains'): readonly string[] {
  return (global.settings.get(option)?.value as readonly string[] | undefined) ?? []
}

function makeListens(model: Model, resolver: Resolver): readonly ListenSettings[] {
  const stanzas = [...model.listens.values()]
  const addresses = bindAddresses(stanzas.map((each) => each.address))
  return Object.freeze(
    stanzas.flatMap((listen, index) => {
      const address = addresses[index]
      if (address === undefined) return []
      const scope = resolver.scope({
        model,
        listen,
        listenPeers: [],
        listenerPeers: [],
        scriptPathway: undefined,
      })
      return [Object.freeze({ instance: listen.stanza.instance, at: listen.at, address, scope })]
    }),
  )
}

function serviceListens(model: Model, service: ServiceStanza): readonly ListenSettings[] {
  const alone = modelOfService(model, service)
  return makeListens(alone, new Resolver(alone))
}

function controlListens(model: Model, service: ServiceStanza): readonly ControlListenSettings[] {
  const alone = modelOfService(model, service)
  const resolver = new Resolver(alone)
  const { control_client_timeout } = valuesOf(model.global, globalOptions)
  return makeListens(alone, resolver).map((listen) =>
    Object.freeze({
      ...listen,
      access: (address: string) =>
        accessOf(
          resolver.inbound(listen.instance, address),
          listen.address.kind !== 'unix',
          control_client_timeout,
        ),
    }),
  )
}

function httpListens(model: Model, service: ServiceStanza): readonly HttpListenSettings[] {
  const stanzas = [...service.listens.values()].map(({ stanza }) => stanza)
  return serviceListens(model, service).map((listen) => {
    const own = stanzas.find(({ instance }) => instance === listen.instance)
    const valueOf = (name: keyof HttpValues): unknown =>
      (own?.settings.get(name) ?? service.stanza.settings.get(name))?.value
    const isOn = (name: keyof HttpValues): boolean => valueOf(name) === true
    const groups = valueOf('authorizationparameters')
    return Object.freeze({
      ...listen,
      authorizedByCertificate: isOn('tls_verified_peer_is_authorized'),
      // these values came through their rows' codecs
      hostNames: (valueOf('allowed_hosts') ?? []) as HttpValues['allowed_hosts'],
      scriptEndpoints: isOn('script_endpoints'),
      page: isOn('page')
        ? Object.freeze({
            users: valueOf('authloginparameters') as HttpValues['authloginparameters'],
            operators: (valueOf('page_operators') ?? []) as HttpValues['page_operators'],
            authorization:
              (valueOf('enable_authorization') ?? groups !== undefined)
                ? Object.freeze({ groups: groups as HttpValues['authorizationparameters'] })
                : undefined,
          })
        : undefined,
    })
  })
}

/** Each pathway that a partner is put on, and with scripts all of them, on each Listen too. */
function* inboundScopes(
  model: Model,
  resolver: Resolver,
  listens: readonly ListenSettings[],
): Iterable<{ readonly listen: ListenSettings; readonly scope: InboundScope }> {
  const seen = new Set<string>()
  const byInstance = new Map(listens.map((listen) => [listen.instance, listen]))
  for (const situation of situations(model)) {
    const listen = byInstance.get(situation.listen.stanza.instance)
    const anyClient = situation.listenPeers.length + situation.listenerPeers.length === 0
    const chosen = model.scripts.size > 0 ? model.pathways.keys() : partnerPathways(model)
    for (const scriptPathway of [undefined, ...(anyClient ? chosen : [])]) {
      const scope = resolver.scope({ ...situation, scriptPathway })
      if (listen === undefined || seen.has(scope.id)) continue
      seen.add(scope.id)
      yield { listen, scope }
    }
  }
}

function makeScript(
  stanza: Stanza,
  { name, at }: { name: string; at: ScriptSettings['at'] },
  directory: string,
): ScriptSettings {
  const { source } = valuesOf(stanza, scriptOptions)
  return { name, source, path: scriptPath(source, directory), at }
}

/** A path where it looks like one; otherwise a module, searched beside the configuration and in `scripts/` there. */
function scriptPath(source: string, directory: string): string | undefined {
  if (/^[/.]|\.(?:lua|[cm]?[jt]s)$/.test(source)) return path.resolve(directory, source)
  const file = source.replaceAll('.', '/')
  return [directory, path.join(directory, 'scripts')]
    .flatMap((each) => ['.lua', '.ts'].map((suffix) => path.join(each, `${file}${suffix}`)))
    .find((each) => statSync(each, { throwIfNoEntry: false })?.isFile())
}

function named<T extends object>(
  all: ReadonlyMap<string, NamedStanza>,
  make: (stanza: Stanza, about: { name: string; at: NamedStanza['at'] }) => T,
): readonly T[] {
  return Object.freeze([...all].map(([name, { stanza, at }]) => Object.freeze(make(stanza, { name, at }))))
}

/** All instances of a stanza, each with its name and place. */
function stanzas<V extends object>(
  all: ReadonlyMap<string, NamedStanza>,
  table: OptionTable<V>,
): readonly (V & { readonly name: string; readonly at: NamedStanza['at'] })[] {
  return named(all, (stanza, about) => ({ ...about, ...valuesOf(stanza, table) }))
}

function valuesOf<V extends object>(stanza: Stanza, table: OptionTable<V>): V {
  const values: Record<string, unknown> = {}
  for (const [name, row] of Object.entries<{ readonly default: unknown }>(table)) {
    const setting = stanza.settings.get(name)
    values[name] = setting === undefined ? row.default : setting.value
  }
  // each value came through its row's codec, and the table has one row for each name
  return values as V
}
