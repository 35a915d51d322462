/**
 * Every name that a configuration may hold, and what becomes of it in a scope: it acts, it is recognised and does
 * nothing yet, it belongs elsewhere, or nobody knows it. Built from the option tables and from the data files.
 */

import { joinWith } from './codec.ts'
import { type KnownNames, knownOptions } from './known-options.ts'
import { acceptedStanzas, knownStanzas } from './known-stanzas.ts'
import { type OptionRow, type ScopeName, sessionAndGlobal } from './option-row.ts'
import {
  dmarcOptions,
  openarcOptions,
  opendkimOptions,
  signingOptions,
  spfOptions,
} from './options-authenticity.ts'
import { controlOptions, roleOptions } from './options-control.ts'
import { customLoggerOptions } from './options-custom-logger.ts'
import {
  authenticateOptions,
  datasourceOptions,
  enumGroupsOptions,
  queryGroupsOptions,
} from './options-datasource.ts'
import { pipeOptions, webhookOptions } from './options-delivery.ts'
import { inboundOptions } from './options-inbound.ts'
import { ocspOptions } from './options-ocsp.ts'
import {
  bounceLoggerOptions,
  globalOptions,
  loggerOptions,
  maildirOptions,
  outboundOptions,
  scriptOptions,
  securityOptions,
  tlsLogOptions,
} from './options-other.ts'
import { partnerOptions } from './options-partner.ts'
import { hostOptions } from './options-queue.ts'
import { httpOptions } from './options-services.ts'
import { sniOptions } from './options-tls.ts'

export type KnownOption =
  | { readonly kind: 'acts'; readonly row: OptionRow<unknown> }
  | { readonly kind: 'recognised' }
  /** known, but not here */
  | { readonly kind: 'elsewhere'; readonly scopes: readonly string[] }

export type KnownStanza =
  | { readonly kind: 'read'; readonly scope: ScopeName }
  | { readonly kind: 'skipped' }
  | { readonly kind: 'accepted' }
  | { readonly kind: 'elsewhere'; readonly scopes: readonly string[] }

/** @param name in lower case */
export function findOption(name: string, scope: ScopeName): KnownOption | undefined {
  const row = acting.get(name)?.find((each) => each.scopes.includes(scope))
  if (row !== undefined) return { kind: 'acts', row }
  const scopes = recognisedIn.get(name)
  if (scopes?.has(scope)) return { kind: 'recognised' }
  const actsIn = (acting.get(name) ?? []).flatMap((each) => each.scopes)
  // what is recognised there does nothing, and is not what anybody looks for
  const mail = [...(scopes ?? [])].filter((each) => !serviceScopes.has(each))
  const elsewhere = new Set(actsIn.length + mail.length > 0 ? [...actsIn, ...mail] : scopes)
  return elsewhere.size === 0 ? undefined : { kind: 'elsewhere', scopes: [...elsewhere] }
}

/** @param name in lower case */
export function findStanza(name: string, scope: ScopeName): KnownStanza | undefined {
  const service = name === 'listen' ? listenOf[scope] : name === 'peer' ? peerOf[scope] : undefined
  if (service !== undefined) return { kind: 'read', scope: service }
  if (name === 'peer' && serviceScopes.has(scope)) return { kind: 'skipped' }
  const parents = Object.hasOwn(readStanzas, name) ? readStanzas[name as ScopeName] : undefined
  if (parents?.includes(scope)) return { kind: 'read', scope: name as ScopeName }
  if (acceptedStanzas.includes(name) && scope === 'global') return { kind: 'accepted' }
  const skippedIn = skipped.get(name)
  if (skippedIn?.has(scope)) return { kind: 'skipped' }
  const services = name === 'listen' ? Object.keys(listenOf) : []
  const elsewhere = new Set<string>([...(parents ?? []), ...services, ...(skippedIn ?? [])])
  return elsewhere.size === 0 ? undefined : { kind: 'elsewhere', scopes: [...elsewhere] }
}

/** All names of options and stanzas that may stand in a scope, as they are shown: what a mistyped one may have meant. */
export function namesIn(scope: ScopeName): string[] {
  const names = new Set<string>()
  for (const [name, rows] of acting) if (rows.some((row) => row.scopes.includes(scope))) names.add(name)
  for (const [name, scopes] of recognisedIn) if (scopes.has(scope)) names.add(name)
  for (const [name, parents] of Object.entries(readStanzas)) if (parents.includes(scope)) names.add(name)
  if (listenOf[scope] !== undefined) names.add('listen')
  if (peerOf[scope] !== undefined) names.add('peer')
  for (const [name, scopes] of skipped) if (scopes.has(scope)) names.add(name)
  return [...names].map(displayName)
}

/** Names of the options that act anywhere, as they are shown: what one that nothing here is like may have meant. */
export function namesAnywhere(): string[] {
  return [...acting.keys()].map(displayName)
}

/** `tls_verify_mode` → `TLS_Verify_Mode`: the way Momentum prints names. */
export function displayName(name: string): string {
  if (Object.hasOwn(wholeNames, name)) return wholeNames[name] ?? name
  return name
    .split('_')
    .map((word) => {
      const form = Object.hasOwn(wordForms, word) ? wordForms[word] : undefined
      return form ?? `${word.charAt(0).toUpperCase()}${word.slice(1)}`
    })
    .join('_')
}

/** `global, Pathway and Pathway_Group`: scopes that are read, in the order of nesting; others only where there are no such. */
export function displayScopes(scopes: readonly string[]): string {
  const order = Object.keys(readStanzas)
  const read = ['global', ...order].filter(
    // its listener stands for a Listen and for a Peer
    (scope) => scopes.includes(scope) && !['control_listen', 'http_listen', 'control_peer'].includes(scope),
  )
  const shown = read.length > 0 ? read : [...scopes].toSorted()
  return joinWith(
    'and',
    shown.map((scope) => (scope === 'global' ? scope : displayName(scope))),
  )
}

/** The stanzas whose contents are read, with the scopes in which they stand. */
const readStanzas: Readonly<Record<Exclude<ScopeName, 'global'>, readonly ScopeName[]>> &
  Readonly<Record<string, readonly ScopeName[]>> = {
  esmtp_listener: ['global'],
  listen: ['esmtp_listener'],
  peer: ['esmtp_listener', 'listen'],
  pathway: ['global', 'pathway_group'],
  pathway_group: ['global'],
  domain: ['global', 'binding', 'binding_group'],
  host: ['global', 'binding', 'binding_group'],
  binding: ['global', 'binding_group'],
  binding_group: ['global'],
  security: ['global'],
  scriptlet: ['global'],
  script: ['scriptlet'],
  ec_logger: ['global'],
  bounce_logger: ['global'],
  custom_logger: ['global'],
  tls_log: ['global'],
  maildir: ['global'],
  pipe_transport: ['global'],
  webhook: ['global'],
  datasource: ['global'],
  auth_ds: ['global'],
  scheme: ['auth_ds'],
  authenticate: ['scheme'],
  querygroups: ['scheme'],
  enumgroups: ['scheme'],
  tls_sni: [...sessionAndGlobal],
  tls_ocsp: ['global'],
  spf_v1: ['global'],
  opendkim: ['global'],
  dkim_domain: ['opendkim'],
  openarc: ['global'],
  dmarc: ['global'],
  partner: ['global'],
  control_listener: ['global'],
  http_listener: ['global'],
  // never names of their own: `listenOf`, `peerOf`
  control_listen: [],
  http_listen: [],
  control_peer: [],
  authorization: ['global'],
  role: ['authorization'],
}

/** What a Listen is in a listener that is not for mail. */
const listenOf: Readonly<Partial<Record<ScopeName, ScopeName>>> = {
  control_listener: 'control_listen',
  http_listener: 'http_listen',
}

/** What a Peer is there. */
const peerOf: Readonly<Partial<Record<ScopeName, ScopeName>>> = {
  control_listener: 'control_peer',
  control_listen: 'control_peer',
}

const serviceScopes = new Set<string>(Object.entries(listenOf).flat())

/** Options of the modules that are read, besides those that act. */
const moduleOptions: readonly KnownNames[] = [
  {
    scopes: 'ec_logger bounce_logger custom_logger maildir pipe_transport scriptlet auth_ds',
    names: 'enabled debug_level',
  },
  {
    scopes: 'datasource',
    names: 'pool serialized assume_charset connection_cache_size connection_cache_life long_threshold',
  },
  { scopes: 'ec_logger', names: 'importlog acctlog_mode importlog_mode' },
  // no cluster to transfer in, no threads to write with
  {
    scopes: 'custom_logger',
    names: 'concurrency thread_pool log_xfers xfer_format xfer_logfile xfer_log_mode',
  },
  {
    scopes: 'spf_v1',
    names: `
      default_rule delay_check fail_code fail_fallback_string nxdomain_code nxdomain_override_string pass_code
      permerror_code softfail_code softfail_fallback_string temperror_override_string unknown_code
    `,
  },
  { scopes: 'opendkim dkim_domain', names: 'key_cache_size neg_keycache_ttl pos_keycache_ttl testing' },
  { scopes: 'opendkim', names: 'copy_headers keycache_size' },
  { scopes: 'openarc spf_v1 opendkim', names: 'debug_level enabled' },
  { scopes: 'maildir', names: 'all_domains createusers dirmode domain filemode' },
  {
    scopes: 'scriptlet',
    names: `
      always_gc gc_every gc_pause gc_step_on_recycle gc_step_on_trash_state gc_stepmul gc_threadpool
      gc_trace_thresh gc_trace_xref_thresh global_trace_interval max_spare_per_master max_uses_per_thread
      pin_thread_for_completion_in_event_loop reap_interval script_ttl use_reusable_thread
    `,
  },
]

const acting: ReadonlyMap<string, readonly OptionRow<unknown>[]> = actingRows()
const recognisedIn = scopesByName([...knownOptions, ...moduleOptions])
const skipped = scopesByName(knownStanzas)

function actingRows(): Map<string, OptionRow<unknown>[]> {
  const rows = new Map<string, OptionRow<unknown>[]>()
  const tables = [
    inboundOptions,
    globalOptions,
    outboundOptions,
    hostOptions,
    bounceLoggerOptions,
    loggerOptions,
    customLoggerOptions,
    tlsLogOptions,
    maildirOptions,
    pipeOptions,
    webhookOptions,
    securityOptions,
    scriptOptions,
    datasourceOptions,
    authenticateOptions,
    queryGroupsOptions,
    enumGroupsOptions,
    partnerOptions,
    sniOptions,
    ocspOptions,
    spfOptions,
    opendkimOptions,
    signingOptions,
    openarcOptions,
    dmarcOptions,
    controlOptions,
    roleOptions,
    httpOptions,
  ]
  for (const table of tables) {
    for (const [name, row] of Object.entries(table) as [string, OptionRow<unknown>][]) {
      rows.set(name, [...(rows.get(name) ?? []), row])
    }
  }
  return rows
}

function scopesByName(all: readonly KnownNames[]): Map<string, Set<string>> {
  const result = new Map<string, Set<string>>()
  for (const { scopes, names } of all) {
    for (const name of names.trim().split(/\s+/)) {
      result.set(name, new Set([...(result.get(name) ?? []), ...scopes.split(' ')]))
    }
  }
  // Momentum's summary has one name for the Listens of all listeners
  for (const scopes of result.values()) {
    for (const [listener, listen] of Object.entries(listenOf))
      if (scopes.has(listener) && scopes.has('listen')) scopes.add(listen)
  }
  return result
}

const wholeNames: Readonly<Record<string, string>> = {
  authplainparameters: 'AuthPlainParameters',
  authloginparameters: 'AuthLoginParameters',
  authexternalparameters: 'AuthExternalParameters',
  authcrammd5parameters: 'AuthCramMD5Parameters',
  authdigestmd5parameters: 'AuthDigestMD5Parameters',
  authorizationparameters: 'AuthorizationParameters',
  ec_logger: 'ec_logger',
  bounce_logger: 'bounce_logger',
  custom_logger: 'custom_logger',
  tls_log: 'tls_log',
  auth_ds: 'auth_ds',
  control_listen: 'a Listen of a Control_Listener',
  http_listen: 'a Listen of an HTTP_Listener',
  control_peer: 'a Peer of a Control_Listener',
  querygroups: 'QueryGroups',
  enumgroups: 'EnumGroups',
  maildir: 'maildir',
  pipe_transport: 'pipe_transport',
  webhook: 'webhook',
  url: 'URL',
  scriptlet: 'scriptlet',
  spf_v1: 'spf_v1',
  opendkim: 'opendkim',
  dkim_domain: 'dkim_domain',
  openarc: 'openarc',
  dmarc: 'dmarc',
  script: 'script',
  snmp: 'SNMP',
  san_dns: 'SAN_DNS',
  san_email: 'SAN_Email',
  san_uri: 'SAN_URI',
  san_ip: 'SAN_IP',
  spki_pin: 'SPKI_Pin',
  threadpool: 'ThreadPool',
}

const wordForms: Readonly<Record<string, string>> = {
  tls: 'TLS',
  tlsv13: 'TLSv13',
  ca: 'CA',
  crl: 'CRL',
  ocsp: 'OCSP',
  eku: 'EKU',
  sni: 'SNI',
  dn: 'DN',
  ec: 'EC',
  ehlo: 'EHLO',
  esmtp: 'ESMTP',
  lmtp: 'LMTP',
  http: 'HTTP',
  json: 'JSON',
  ip: 'IP',
  smtp: 'SMTP',
  ssl: 'SSL',
  rfc2821: 'RFC2821',
  rfc2822: 'RFC2822',
  xmpp: 'XMPP',
  dns: 'DNS',
  mx: 'MX',
  mxs: 'MXs',
  ipv6: 'IPv6',
  tcp: 'TCP',
  ttl: 'TTL',
  starttls: 'STARTTLS',
  mta: 'MTA',
  dsn: 'DSN',
  mdn: 'MDN',
  sts: 'STS',
  dane: 'DANE',
  rpt: 'RPT',
  tlsa: 'TLSA',
  xclient: 'XClient',
}
