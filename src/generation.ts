/**
 * A generation of the configuration: settings, TLS contexts, policy and credential stores that belong together, built
 * whole or not at all.
 */

import { dirname } from 'node:path'
import { Authenticity } from './authenticity/authenticity.ts'
import { loadSigningKeys, type SigningKeys } from './authenticity/signing-keys.ts'
import { ConfigError, type Diagnostic } from './config/diagnostic.ts'
import type { LimitCounts } from './config/limit-counts.ts'
import { loadSettings, loadSettingsFromText } from './config/load.ts'
import { restartWarnings } from './config/restart.ts'
import type { Settings } from './config/settings.ts'
import type { SourceFiles } from './config/source.ts'
import { auditWaysOut } from './delivery/audit-ways-out.ts'
import { EndRecipients } from './delivery/end-recipients.ts'
import { auditSessions } from './delivery/session/audit.ts'
import { SessionMaterial } from './delivery/session/material.ts'
import { WebhookMaterial } from './delivery/webhook/material.ts'
import type { StubResolver } from './dns/stub-resolver.ts'
import type { EventBus } from './events/events.ts'
import { hostnameOf } from './hostname.ts'
import { auditGroupQueries } from './operator/audit-groups.ts'
import { Datasources } from './policy/datasource/datasource.ts'
import type { SharedStores } from './policy/lua/lib/stores.ts'
import type { Policy } from './policy/phases.ts'
import { createPolicy } from './policy/run.ts'
import type { PolicyDefinition } from './policy/typescript/definition.ts'
import { scriptLibrary, scriptStores, stubResolver } from './script-library.ts'
import { auditAuth } from './smtp/auth/audit.ts'
import type { HashQueue } from './smtp/auth/hash-queue.ts'
import { findSchemes } from './smtp/auth/schemes.ts'
import { CredentialStores } from './smtp/auth/stores.ts'
import { type LoadTlsOptions, loadTls, type TlsContexts } from './tls/contexts.ts'
import { loadPartners } from './tls/partners/load-partners.ts'
import type { Partners } from './tls/partners/partners.ts'
import type { TicketSecret } from './tls/ticket-secret.ts'

/** Where a configuration comes from. */
export interface ConfigurationSource {
  /** the main configuration file */
  readonly file: string
  /** stands for the file's text, which is then not read */
  readonly text?: string
  /** where its files are read; the disk unless given */
  readonly files?: SourceFiles | undefined
  /** policies of an embedding program, asked after the scripts */
  readonly policies?: readonly PolicyDefinition[]
}

export interface Generation {
  readonly number: number
  /** the settings with which the server began; some of their values outlive every reload */
  readonly started: Settings
  readonly counts: SharedStores
  readonly settings: Settings
  readonly tls: TlsContexts
  readonly partners: Partners
  readonly policy: Policy
  readonly datasources: Datasources
  /** what reception looks up with: scripts, and whoever judges where mail comes from */
  readonly dns: StubResolver
  /** recipients whose mail ends here */
  readonly local: EndRecipients
  /** certificates and CAs of sessions with next hops */
  readonly sessionMaterial: SessionMaterial
  readonly webhookMaterial: WebhookMaterial
  readonly stores: CredentialStores
  /** where mail comes from, and signatures of our own; undefined: no stanza asks for either */
  readonly authenticity: Authenticity | undefined
  readonly warnings: readonly Diagnostic[]
}

/** Settings, certificates and scripts, or a ConfigError that holds everything that is wrong with any of them. */
export async function buildGeneration(options: {
  readonly source: ConfigurationSource
  readonly number: number
  readonly events: EventBus
  readonly ticketSecret: TicketSecret
  readonly hashQueue: HashQueue
  readonly previous?: Generation
  /** what handshakes under way are counted by; of this process alone unless given */
  readonly counts?: LimitCounts | undefined
}): Promise<Generation> {
  const { events, ticketSecret, hashQueue, previous } = options
  const { file, text, files, policies = [] } = options.source
  const { settings, diagnostics: findings } = await (text === undefined
    ? loadSettings(file, files)
    : loadSettingsFromText(text, file))
  if (settings === undefined) throw new ConfigError(findings)
  const tls = await tlsOf(settings, { ticketSecret, events, previous: previous?.tls, counts: options.counts })
  const hostname = hostnameOf(settings)
  const counts = previous?.counts ?? scriptStores(events)
  const datasources = new Datasources(settings.datasources)
  const dns = stubResolver(settings)
  const library = { ...scriptLibrary(settings, counts, dns), datasources }
  const { scripts } = settings
  const { policy, diagnostics } = await createPolicy({ scripts, policies, hostname, events, library })
  const found = findSchemes({ settings, datasources, policy, hashes: hashQueue })
  const stores = new CredentialStores({ queue: hashQueue, schemes: found.schemes })
  const { partners, diagnostics: unfit } = await loadPartners(settings)
  const audited = [
    ...(await auditAuth(settings, stores)),
    ...(await auditGroupQueries(settings, datasources)),
  ]
  const sessionMaterial = new SessionMaterial(settings.global.mta_sts_ca)
  const outbound = [
    ...(await auditSessions(settings, sessionMaterial, Date.now())),
    ...(await auditWaysOut(settings)),
  ]
  const { keys, diagnostics: unsigned } = await loadSigningKeys(settings.authenticity)
  const more = [...diagnostics, ...unfit, ...found.diagnostics, ...audited, ...outbound, ...unsigned]
  if (more.some(({ severity }) => severity === 'error')) throw new ConfigError(more)
  const started = previous?.started ?? settings
  return {
    number: options.number,
    started,
    settings,
    counts,
    tls,
    partners,
    policy,
    datasources,
    dns,
    local: new EndRecipients(settings),
    sessionMaterial,
    webhookMaterial: new WebhookMaterial(),
    stores,
    authenticity: authenticityOf(settings, keys, dns),
    warnings: [...settings.diagnostics, ...tls.diagnostics, ...more, ...restartWarnings(started, settings)],
  }
}

function authenticityOf(
  settings: Settings,
  keys: SigningKeys,
  resolver: StubResolver,
): Authenticity | undefined {
  const { spf, opendkim, openarc, dmarc } = settings.authenticity
  if (spf === undefined && opendkim.length === 0 && openarc === undefined && dmarc === undefined)
    return undefined
  return new Authenticity({ settings: settings.authenticity, keys, resolver })
}

/**
 * The same with certificates, CAs and lists as their files are now; every context is made anew.
 * @throws ConfigError when one of them cannot be used
 */
export async function withFreshTls(
  generation: Generation,
  { events, ticketSecret }: { readonly events: EventBus; readonly ticketSecret: TicketSecret },
): Promise<Generation> {
  const tls = await tlsOf(generation.settings, { events, ticketSecret, previous: generation.tls })
  tls.shared.cache.clear()
  return { ...generation, tls }
}

function tlsOf(
  settings: Settings,
  options: Pick<LoadTlsOptions, 'events' | 'ticketSecret' | 'previous' | 'counts'>,
): Promise<TlsContexts> {
  return loadTls(settings, { ...options, clock: Date.now, folder: dirname(settings.file) })
}
