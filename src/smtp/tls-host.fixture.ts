/** Certificates on disk and the real TLS gate over them, for tests of sessions with TLS. */

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { InboundScope, InboundValues, Settings } from '../config/settings.ts'
import { loadTls } from '../tls/contexts.ts'
import type { TlsGate } from '../tls/gate.ts'
import { makePki, type Pki, writePki } from '../tls/pki.ts'
import { TicketSecret } from '../tls/ticket-secret.ts'
import { scopeOf } from './session-host.fixture.ts'

export interface TlsFiles {
  readonly pki: Pki
  readonly folder: string
  /** options that name the server's certificate and the client CA, and list STARTTLS and XDUMPCONTEXT */
  readonly options: Partial<InboundValues>
  /** the gate for scopes with these options beside the ones above */
  gate(options?: Partial<InboundValues>): Promise<TlsGate>
  remove(): Promise<void>
}

export async function makeTlsFiles(): Promise<TlsFiles> {
  const folder = await mkdtemp(join(tmpdir(), 'postern-smtp-'))
  const pki = await makePki()
  await writePki(folder, pki)
  const file = (name: string): { path: string; text: string } => ({ path: join(folder, name), text: name })
  const options: Partial<InboundValues> = {
    tls_certificate: file('server.pem'),
    tls_key: file('server.key'),
    tls_client_ca: file('ca.pem'),
    smtp_extensions: ['STARTTLS', 'XDUMPCONTEXT'],
  }
  return {
    pki,
    folder,
    options,
    async gate(more = {}) {
      const scope: InboundScope = scopeOf('default', { ...options, ...more })
      const settings = {
        ocsp: [],
        httpListens: [],
        controlListens: [],
        inboundScopes: () => [{ listen: {}, scope }],
      } as unknown as Settings
      return loadTls(settings, {
        ticketSecret: new TicketSecret(),
        events: { emit: () => undefined },
        clock: Date.now,
      })
    },
    remove: () => rm(folder, { recursive: true, force: true }),
  }
}
