/** Everything of a configuration that a session needs, built as for a server, with nothing that acts outward. */

import { setMaxListeners } from 'node:events'
import { dirname } from 'node:path'
import { ConfigError } from '../../config/diagnostic.ts'
import type { Settings } from '../../config/settings.ts'
import { EndRecipients } from '../../delivery/end-recipients.ts'
import type { EventSink, ServerEvent } from '../../events/events.ts'
import { hostnameOf } from '../../hostname.ts'
import { IdGenerator } from '../../mail/message-id.ts'
import type { Policy } from '../../policy/phases.ts'
import { createPolicy } from '../../policy/run.ts'
import { AuthFailures } from '../../smtp/auth/failures.ts'
import type { SessionServices } from '../../smtp/services.ts'
import { MemorySpool } from '../../spool/memory-spool.ts'
import { loadTls, type TlsContexts } from '../../tls/contexts.ts'
import { loadPartners } from '../../tls/partners/load-partners.ts'
import type { Partners } from '../../tls/partners/partners.ts'
import { TicketSecret } from '../../tls/ticket-secret.ts'
import { readVersion } from '../version.ts'
import { AssumingStores } from './assumed-login.ts'
import type { ExplainingGate } from './explaining-gate.ts'
import { RecordingPolicy } from './recording-policy.ts'
import type { Steps } from './step-builder.ts'
import { type WithheldOptions, withheldServices } from './withheld-services.ts'

/** how long the session waits for its client to take the last reply, milliseconds: in memory it does so at once */
const LAST_WORD_MS = 1000

export interface Prepared {
  readonly settings: Settings
  readonly tls: TlsContexts
  readonly partners: Partners
  readonly policy: Policy
  /** what the session told, in its order */
  readonly events: readonly ServerEvent[]
  readonly sink: EventSink
  readonly steps: Steps
  close(): Promise<void>
}

/** @throws ConfigError */
export async function prepare(options: WithheldOptions): Promise<Prepared> {
  const { settings, steps } = options
  const events: ServerEvent[] = []
  const sink: EventSink = {
    emit: (event) => {
      events.push(event)
      if (event.kind === 'panic') steps.alarm(`${event.level} ${event.module}: ${event.text}`)
    },
  }
  steps.begin('policy', 'What the scripts do while they are loaded')
  const tls = await loadTls(settings, {
    ticketSecret: new TicketSecret(),
    events: sink,
    clock: Date.now,
    folder: dirname(settings.file),
    withheldOcsp: (responders) => {
      const urls = responders.map(({ settings: { name, responder } }) => `TLS_OCSP "${name}" ${responder}`)
      steps.withhold('OCSP', urls, 'as if nobody had revoked the certificate')
    },
  })
  const { partners, diagnostics: unfit } = await loadPartners(settings)
  const { policy, diagnostics } = await createPolicy({
    scripts: settings.scripts,
    hostname: hostnameOf(settings),
    events: sink,
    library: withheldServices(options),
  })
  const all = [...unfit, ...diagnostics]
  if (all.some(({ severity }) => severity === 'error')) throw new ConfigError(all)
  steps.dropIfEmpty(steps.current)
  return {
    settings,
    tls,
    partners,
    policy,
    events,
    sink,
    steps,
    close: async () => {
      policy.retire?.()
      await policy.close?.()
      await tls.close()
    },
  }
}

/** The services of one session, the real ones but for those that would act. */
export function servicesOf(
  { settings, partners, policy, sink, steps }: Prepared,
  gate: ExplainingGate,
): SessionServices {
  const running = new AbortController()
  setMaxListeners(0, running.signal)
  return {
    hostname: hostnameOf(settings),
    version: readVersion(),
    tls: gate,
    partners,
    policy: new RecordingPolicy(policy, steps),
    spool: new MemorySpool(),
    local: new EndRecipients(settings),
    events: sink,
    ids: new IdGenerator({ pid: process.pid, clock: Date.now }),
    clock: Date.now,
    auth: { stores: new AssumingStores(steps), failures: new AuthFailures(Date.now) },
    enqueue: () => undefined,
    superseded: () => false,
    resolveScope: (listen, address, pathway) => settings.resolveInbound(listen, address, pathway),
    countSessions: () => {
      steps.withhold('inbound_session_count', [], '1, this session; a running gate has others')
      return 1
    },
    shuttingDown: running.signal,
    limits: { lingerTime: LAST_WORD_MS },
  }
}
