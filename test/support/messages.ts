/** Messages and settings as the delivery tests need them. */

import { pipeOptions, webhookOptions } from '../../src/config/options-delivery.ts'
import { noticeOptions } from '../../src/config/options-notices.ts'
import { queueOptions } from '../../src/config/options-queue.ts'
import { sessionOptions } from '../../src/config/options-session.ts'
import type { MaildirSettings, OutboundValues } from '../../src/config/settings.ts'
import type {
  PipeSettings,
  PipeValues,
  WebhookSettings,
  WebhookValues,
} from '../../src/config/settings-delivery.ts'
import type { NoticeValues } from '../../src/config/settings-notices.ts'
import type { Egress, HostScope, OutboundQueueValues, QueueGlobals } from '../../src/config/settings-queue.ts'
import type { OutboundSessionValues } from '../../src/config/settings-session.ts'
import type { HostGate, Transports } from '../../src/delivery/transport.ts'
import type { Envelope } from '../../src/mail/envelope.ts'
import type { StoredContent, StoredMessage } from '../../src/spool/spool.ts'

const sessionDefaults = Object.fromEntries(
  Object.entries(sessionOptions).map(([name, row]) => [name, row.default]),
) as unknown as OutboundSessionValues

const queueDefaults = Object.fromEntries(
  Object.entries(queueOptions).map(([name, row]) => [name, row.default]),
) as unknown as OutboundQueueValues

const noticeDefaults = Object.fromEntries(
  Object.entries(noticeOptions).map(([name, row]) => [name, row.default]),
) as unknown as NoticeValues

const pipeDefaults = Object.fromEntries(
  Object.entries(pipeOptions).map(([name, row]) => [name, row.default]),
) as unknown as PipeValues

const webhookDefaults = Object.fromEntries(
  Object.entries(webhookOptions).map(([name, row]) => [name, row.default]),
) as unknown as WebhookValues

export const outboundDefaults: OutboundValues = {
  ...queueDefaults,
  ...sessionDefaults,
  ...noticeDefaults,
  gateway: undefined,
  opendkim_sign: true,
  routes: [],
  remote_smtp_port: 25,
  mx_failures_fallback_to_a: 3,
  prohibited_hosts: [],
  skip_hosts: [],
  use_ipv6: false,
  prefer_ipv6_mxs: false,
  fully_resolve_before_smtp: true,
  only_use_best_mx_for_relay_domains: true,
  mta_sts_dns_cname_max_depth: 5,
  connection_allocation_aggressiveness: 'high',
  max_resident_transfails: 100,
  drop_body_after_trans_fail: 3,
  host_failure_retry: 120,
  retry_interval: 1200,
  max_retry_interval: 43_200,
  message_expiration: 86_400,
  suspend_delivery: false,
  ehlo_hostname: undefined,
  max_outbound_connections: 32,
  connect_timeout: 5,
  ehlo_timeout: 5,
  mailfrom_timeout: 5,
  rcptto_timeout: 5,
  body_timeout: 5,
  rset_timeout: 5,
  idle_timeout: 0,
  max_deliveries_per_connection: 0,
}

/** Outbound settings: one set of options for every domain, or a function of the domain and its binding. */
export function settingsFor(
  options: Partial<OutboundValues> | ((domain: string, egress?: Egress) => Partial<OutboundValues>) = {},
  maildirs: readonly MaildirSettings[] = [],
) {
  const global: QueueGlobals = {
    default_binding: 'normal',
    server_reserve_outbound_connections: 0,
    soft_bounce_drain_rate: 100,
    disk_queue_drain_rate: 1000,
  }
  return {
    maildirs,
    global,
    resolveOutbound: (domain: string, egress?: Egress) => ({
      options: {
        ...outboundDefaults,
        ...(typeof options === 'function' ? options(domain, egress) : options),
      },
      origin: () => 'default' as const,
      definition: () => 'global',
    }),
    resolveHost: (): HostScope | undefined => undefined,
  }
}

export function maildirSettings(basedir: string, changes: Partial<MaildirSettings> = {}): MaildirSettings {
  return {
    name: 'local',
    basedir: { path: basedir, text: basedir },
    domains: ['example.com'],
    create_users: false,
    domain_in_path: false,
    at: { file: 'gate.conf', line: 1, column: 1, length: 1 },
    ...changes,
  }
}

export function storedMessage(id: string, changes: Partial<Envelope> = {}): StoredMessage {
  return {
    envelope: {
      id,
      batchId: '00/02-00001-00000001',
      connectionId: '00/01-00001-00000001',
      sender: { local: 'alice', domain: 'example.org' },
      recipient: { local: 'bob', domain: 'example.com' },
      bodyType: '7BIT',
      receivedAt: 1_700_000_000_000,
      size: 42,
      client: { address: '192.0.2.1', port: 4711 },
      local: { address: '192.0.2.2', port: 25 },
      bindingGroup: 'default',
      binding: 'default',
      connectionContext: {},
      messageContext: {},
      ...changes,
    },
    state: { attempts: 0, nextAttempt: 0, failed: false, lastText: '' },
  }
}

/** Nothing is held back. */
export const openGate: HostGate = {
  enter: (_host, messages) => ({ kind: 'go', messages, leave: () => undefined }),
  connect: () => undefined,
}

export function contentOf(header: string, ...body: readonly (string | Buffer)[]): StoredContent {
  const chunks = body.map((chunk) => (typeof chunk === 'string' ? Buffer.from(chunk, 'latin1') : chunk))
  return {
    header: Buffer.from(header, 'latin1'),
    bodySize: chunks.reduce((sum, chunk) => sum + chunk.length, 0),
    body: async function* () {
      for (const chunk of chunks) yield await Promise.resolve(chunk)
    },
  }
}

/** Ways out that nobody takes. */
export const noTargets: Pick<Transports, 'pipe' | 'webhook'> = {
  pipe: { deliver: () => Promise.reject(new Error('no program here')) },
  webhook: { deliver: () => Promise.reject(new Error('no receiver here')) },
}

/** A pipe_transport as the defaults make it. */
export function pipeSettings(program: string, changes: Partial<PipeSettings> = {}): PipeSettings {
  return {
    name: 'program',
    at: { file: 'gate.conf', line: 1, column: 1, length: 1 },
    ...pipeDefaults,
    program_name: { path: program, text: program },
    domain: ['example.com'],
    ...changes,
  }
}

/** A webhook as the defaults make it. */
export function webhookSettings(url: string, changes: Partial<WebhookSettings> = {}): WebhookSettings {
  return {
    name: 'app',
    at: { file: 'gate.conf', line: 1, column: 1, length: 1 },
    ...webhookDefaults,
    url,
    domains: ['example.com'],
    ...changes,
  }
}
