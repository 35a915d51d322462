/** One attempt at a host that follows a script, found by the MX records of `example.test` under the name `mx.example.test`. */

import { contentOf, openGate, outboundDefaults, storedMessage } from '../../../test/support/messages.ts'
import { noMx } from '../../../test/support/no-mx.ts'
import { type SinkScript, SmtpSink } from '../../../test/support/smtp-sink.ts'
import { StaticResolver } from '../../../test/support/static-resolver.ts'
import type { PkiDirectory } from '../../../test/support/test-ca.ts'
import type { FilePath, OutboundValues } from '../../config/settings.ts'
import { DnsError, type DnsResolver } from '../../dns/stub-resolver.ts'
import type { ServerEvent } from '../../events/events.ts'
import type { TlsSessionFact } from '../../events/outbound-tls.ts'
import type { StoredMessage } from '../../spool/spool.ts'
import type { Credential } from '../../tls/authority.ts'
import { SmtpTransport } from '../attempt.ts'
import type { AttemptResult } from '../transport.ts'
import type { HostWord } from './host-word.ts'
import { SessionMaterial } from './material.ts'
import { TlsPlanner } from './planner.ts'
import type { StsPolicy } from './sts-policy.ts'

export const HOST = 'mx.example.test'
export const DOMAIN = 'example.test'

export const fileOf = (path: string): FilePath => ({ path, text: path })

/** The sink's side of TLS with a certificate of the PKI's CA for these names. */
export function certificateFor(pki: PkiDirectory['pki'], names: readonly string[] = [HOST]): Credential {
  return pki.authority.issue({
    subject: names[0] ?? 'nobody',
    usage: 'server',
    altNames: names.map((value) => ({ kind: 'dns', value })),
  })
}

export const noDns: DnsResolver = { lookup: () => Promise.reject(new DnsError('nobody is asked')) }

export interface TryOptions {
  readonly options?: Partial<OutboundValues>
  readonly dns?: DnsResolver
  /** whether the MX and address records were authentic */
  readonly secure?: boolean
  readonly host?: string
  readonly policy?: StsPolicy
  /** what scripts have to say */
  readonly word?: HostWord
  readonly message?: StoredMessage
  /** for several attempts with one pool */
  readonly transport?: SmtpTransport
}

export interface Tried {
  readonly result: AttemptResult
  readonly told: readonly TlsSessionFact[]
}

export function transportFor(
  { dns = noDns, secure = false, host = HOST, policy, word }: TryOptions,
  { port, events }: { readonly port: number; readonly events: ServerEvent[] },
): SmtpTransport {
  const mx = { domain: DOMAIN, secure }
  return new SmtpTransport({
    resolver: new StaticResolver({}),
    mx: {
      ...noMx,
      find: () =>
        Promise.resolve({ kind: 'hosts', hosts: [{ name: host, address: '127.0.0.1', port, mx }] } as const),
    },
    hostname: 'gate.test',
    tls: new TlsPlanner({
      dns,
      material: new SessionMaterial(undefined),
      policies: { find: () => Promise.resolve(policy), close: () => undefined },
      events: { emit: (event) => events.push(event) },
      clock: Date.now,
      tlsaMaxAge: 3600,
      ...(word === undefined ? {} : { word }),
    }),
  })
}

export async function tryAt(sink: SmtpSink, tried: TryOptions = {}): Promise<Tried> {
  const events: ServerEvent[] = []
  const transport = tried.transport ?? transportFor(tried, { port: sink.port, events })
  const [result] = await transport.deliver(
    [tried.message ?? storedMessage('m')],
    contentOf('Subject: hi\r\n\r\n', 'one\r\n'),
    {
      route: { kind: 'smtp', hosts: [{ host: DOMAIN, port: sink.port, mx: true }] },
      options: { ...outboundDefaults, ...tried.options },
      mayRepeat: false,
      gate: openGate,
      signal: new AbortController().signal,
    },
  )
  if (tried.transport === undefined) transport.close()
  if (result === undefined || result.kind === 'deferred') throw new Error('no result')
  return { result, told: events.filter((event) => event.kind === 'tls-session') }
}

/** One attempt at a host of its own. */
export async function against(
  script: SinkScript | ((connection: number) => SinkScript),
  tried: TryOptions = {},
): Promise<Tried & { readonly sink: SmtpSink }> {
  const sink = await SmtpSink.start(script)
  try {
    const done = await tryAt(sink, tried)
    await sink.until(({ open }) => open === 0)
    return { ...done, sink }
  } finally {
    await sink.close()
  }
}
