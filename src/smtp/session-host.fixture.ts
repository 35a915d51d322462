/**
 * A session host for tests: a real listening socket on loopback, a memory spool, policy made of functions, and every
 * fact that was told. Everything that matters can be replaced.
 */

import { once } from 'node:events'
import type { AddressInfo, Socket } from 'node:net'
import { createServer } from 'node:net'
import type { InboundScope, InboundValues, ListenSettings } from '../config/settings.ts'
import type { Rejection, ServerEvent } from '../events/events.ts'
import { IdGenerator } from '../mail/message-id.ts'
import type { AnyFacts, AnyPhase, Policy } from '../policy/phases.ts'
import type { LocalRecipients } from '../policy/relay.ts'
import type { Verdict } from '../policy/verdict.ts'
import { MemorySpool } from '../spool/memory-spool.ts'
import type { NewMessage, Spool } from '../spool/spool.ts'
import type { TlsGate } from '../tls/gate.ts'
import { AuthFailures } from './auth/failures.ts'
import { Identities } from './auth/identities.ts'
import type { CredentialStore } from './auth/store.ts'
import { userDigest } from './auth/user-digest.ts'
import type { SessionServices } from './services.ts'
import { serveSession } from './session.ts'

/** What a test may say instead of the usual. */
export interface HostOptions {
  readonly options?: Partial<InboundValues>
  readonly pathways?: Readonly<Record<string, Partial<InboundValues>>>
  readonly policy?: ScriptedPolicy
  /** told about every session that has ended */
  readonly ended?: (connectionId: string) => void
  readonly services?: Partial<SessionServices>
  readonly spool?: Spool
  readonly tls?: TlsGate
}

/** One function for each phase that is wanted. */
export type ScriptedPolicy = {
  readonly [P in AnyPhase]?: (facts: AnyFacts[P]) => Verdict | Promise<Verdict> | undefined
}

export interface SessionHost {
  readonly address: { readonly host: string; readonly port: number }
  readonly spool: Spool
  readonly events: ServerEvent[]
  readonly enqueued: NewMessage[]
  readonly rejections: () => Rejection[]
  readonly rejected: () => string[]
  /** Resolves when every session so far has ended; rejects if one of them rejected. */
  readonly sessionsEnded: () => Promise<void>
  readonly drain: () => void
  readonly stop: () => Promise<void>
}

export async function startHost(given: HostOptions = {}): Promise<SessionHost> {
  const events: ServerEvent[] = []
  const enqueued: NewMessage[] = []
  const sessions: Promise<void>[] = []
  const sockets = new Set<Socket>()
  const shutdown = new AbortController()
  const spool = given.spool ?? new MemorySpool()
  const scope = scopeOf('default', given.options)
  const services: SessionServices = {
    hostname: 'gate.example',
    version: '1.0.0',
    tls: given.tls ?? noTls,
    policy: scripted(given.policy ?? {}, given.ended),
    spool,
    local: localDomains,
    events: { emit: (event) => events.push(event) },
    ids: new IdGenerator({ pid: process.pid, clock: Date.now }),
    clock: Date.now,
    auth: {
      stores: { open: () => oneUser, identities: async (list) => new Identities(list) },
      failures: new AuthFailures(Date.now),
    },
    enqueue: (messages) => enqueued.push(...messages),
    superseded: () => false,
    resolveScope: (_listen, _address, pathway) => {
      if (pathway === undefined) return scope
      const values = given.pathways?.[pathway]
      return values === undefined ? undefined : scopeOf(pathway, { ...given.options, ...values })
    },
    shuttingDown: shutdown.signal,
    ...given.services,
  }
  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true }, (socket) => {
    sockets.add(socket)
    sessions.push(serveSession(connectionOn(socket, scope), services))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const rejections = (): Rejection[] => events.filter((event) => event.kind === 'rejection')
  return {
    address: { host: '127.0.0.1', port: (server.address() as AddressInfo).port },
    spool,
    events,
    enqueued,
    rejections,
    rejected: () =>
      rejections().map(({ state, code, module, text }) => `${state}: ${code} ${text} (${module})`),
    sessionsEnded: async () => {
      await Promise.all(sessions)
    },
    drain: () => shutdown.abort(),
    stop: async () => {
      for (const socket of sockets) socket.destroy()
      server.close()
      await Promise.all(sessions)
    },
  }
}

export function scopeOf(pathway: string, values: Partial<InboundValues> = {}): InboundScope {
  return {
    id: pathway,
    options: { ...defaults, ...values },
    pathway,
    pathwayGroup: 'default',
    origin: () => 'default',
  }
}

function connectionOn(socket: Socket, scope: InboundScope): Parameters<typeof serveSession>[0] {
  return {
    id: '00/00-00001-00000001',
    socket,
    listen: { instance: ':25', scope } as ListenSettings,
    remote: { address: socket.remoteAddress ?? '', port: socket.remotePort ?? 0 },
    local: { address: socket.localAddress ?? '', port: socket.localPort ?? 0 },
    scope,
    release: () => undefined,
  }
}

function scripted(phases: ScriptedPolicy, ended: HostOptions['ended']): Policy {
  return {
    wants: (phase) => phases[phase] !== undefined,
    ask: (phase, facts) => phases[phase]?.(facts) ?? { kind: 'continue' },
    ended: ({ connectionId }) => ended?.(connectionId),
  }
}

/** mailboxes at local.example, except those called `nobody`, and the postmaster of this host */
const localDomains: LocalRecipients = {
  lookup: ({ local, domain }) => {
    if (domain === '' && local.toLowerCase() === 'postmaster') return 'local'
    if (domain !== 'local.example') return 'elsewhere'
    return local === 'nobody' ? 'unknown' : 'local'
  },
}

/** `user` with the password `secret` */
const oneUser: CredentialStore = {
  verify: async ({ user, password }) => user === 'user' && password === 'secret',
  password: async (user) => (user === 'user' ? 'secret' : undefined),
  digest: async (user, realm) => (user === 'user' ? userDigest(user, realm, 'secret') : undefined),
}

const noTls: TlsGate = {
  offers: () => false,
  accept: () => Promise.reject(new Error('there is no TLS here')),
}

const defaults: InboundValues = {
  enable: true,
  listen_backlog: 500,
  file_mode: 0o660,
  disable_nagle_algorithm: true,
  proxy_protocol: false,
  proxy_protocol_timeout: 60,
  proxy_hosts: [],
  proxy_tls_hosts: [],
  listener_sessions: 0,
  service_sessions: 0,
  idle_time: 20,
  max_receptions_per_connection: 0,
  max_recipients_per_connection: 0,
  max_recipients_per_message: 0,
  max_message_size: 0,
  data_timeout: 0,
  data_minimum_rate: 0,
  max_received_headers: 100,
  banner_hostname: undefined,
  static_banner: undefined,
  received_hostname: undefined,
  require_ehlo: false,
  smtp_extensions: [],
  context: {},
  pathway: undefined,
  reconfig_message: '4.3.2 Reconfiguration in progress',
  open_relay: false,
  relay_hosts: [],
  relay_domains: [],
  bounce_domains: [],
  relay_for_sending_domains: undefined,
  allow_ip_literal: true,
  allow_null_envelope_sender: true,
  allow_trailing_whitespace_in_commands: false,
  domain_for_unqualified_recipient_addresses: undefined,
  domain_for_unqualified_sender_address: undefined,
  rfc2822_trace_headers: true,
  authplainparameters: undefined,
  authloginparameters: undefined,
  authcrammd5parameters: undefined,
  authdigestmd5parameters: undefined,
  authexternalparameters: undefined,
  allow_plaintext_auth: false,
  always_allow: false,
  always_deny: false,
  auth_failure_limit: 0,
  auth_failure_window: 600,
  auth_failure_delay: 0,
  authentication_results: 'masked',
  use_ssl: false,
  tls_certificate: undefined,
  tls_key: undefined,
  tls_sni: [],
  tls_client_ca: undefined,
  tls_client_crl: undefined,
  tls_client_crl_mode: 'hard',
  tls_client_crl_alarm_age: 0,
  tls_client_ocsp: false,
  tls_client_ocsp_mode: 'hard',
  tls_verify_mode: undefined,
  tls_verify_mode_shadow: undefined,
  tls_client_eku: 'clientAuth',
  tls_verify_depth: undefined,
  tls_verified_peer_can_relay: false,
  tls_ciphers: undefined,
  tlsv13_ciphersuites: undefined,
  tls_protocols: undefined,
  tls_ec_curve_names: undefined,
  tls_allow_renegotiation: false,
  starttls_injection_policy: 'reject',
  require_tls: false,
  require_tls_shadow: false,
  tls_session_tickets: true,
  tls_authentication_results: false,
  tls_dn_format: 'rfc4514',
  tls_handshake_timeout: 10,
  tls_max_handshakes_per_address: 0,
}
