/**
 * What `import … from 'postern'` gives: a server to embed, and everything that a policy needs (docs/library.md).
 *
 * Policies import this file too, so it is small until a server is created.
 */

import path from 'node:path'
import { readVersion } from './cli/version.ts'
import type { Diagnostic } from './config/diagnostic.ts'
import type { ServerEvent } from './events/events.ts'
import type { PolicyDefinition } from './policy/typescript/definition.ts'

export { ConfigError, type Diagnostic, type Position } from './config/diagnostic.ts'
export type { DecisionRecord } from './events/decision.ts'
export type { ServerEvent } from './events/events.ts'
export type { Endpoint, Envelope, Mailbox } from './mail/envelope.ts'
export type { HeaderBlock } from './mail/headers.ts'
export type { NextHopFacts, PresentedCertificate, RecipientList } from './policy/phases.ts'
export {
  type AuthAttempt,
  type Call,
  type Context,
  definePolicy,
  type Login,
  type MailParameters,
  type Message,
  type PolicyDefinition,
  type ReceivedMessage,
  type Session,
  type TlsSession,
} from './policy/typescript/definition.ts'
export type { TlsSettings } from './policy/typescript/tls-settings.ts'
export {
  type Accept,
  type AnyAnswer,
  accept,
  type Discard,
  type Disconnect,
  type Done,
  discard,
  disconnect,
  done,
  type Proceed,
  proceed,
  type Reject,
  reject,
  type Tarpit,
  tarpit,
} from './policy/typescript/verdicts.ts'
export type { KnownPartner, Pin } from './tls/partners/partners.ts'
export type {
  AnonymousPeer,
  CertificateFacts,
  Peer,
  PlaintextPeer,
  UnverifiedPeer,
  VerifiedPeer,
  VerifyCause,
} from './tls/peer.ts'

export interface ServerOptions {
  /** the configuration file; or a configuration's text, with the folder that its relative paths start at */
  readonly config: string | { readonly text: string; readonly directory: string }
  /** asked after the scripts of the configuration */
  readonly policy?: PolicyDefinition | readonly PolicyDefinition[]
  /** Told every fact, beside the logs: receptions, refusals, handshakes, panics. What it throws is dropped. */
  readonly onEvent?: (event: ServerEvent) => void
}

/** A server that is running. */
export interface PosternServer {
  /** what is bound, in the order of the Listen stanzas: `127.0.0.1:25`, `[::]:25`, `/run/postern.sock` */
  readonly addresses: readonly string[]
  /** what there is to say about the configuration in force */
  readonly warnings: readonly Diagnostic[]
  /**
   * Reads configuration, certificates and scripts again, for new connections.
   * @throws ConfigError, or an Error when a new listener cannot be bound; what was in force before stays so
   */
  reload(): Promise<void>
  /** Stops accepting, lets sessions and deliveries under way end for at most 30 s, and closes. */
  close(): Promise<void>
}

/**
 * Starts a server in this process: reads the configuration, opens the spool and binds every listener. It installs no
 * signal handlers, writes to no terminal and never ends the process.
 * @throws ConfigError with every diagnostic, or an Error when a listener cannot be bound or another process serves the
 *   spool
 */
export async function createServer(options: ServerOptions): Promise<PosternServer> {
  const { Server } = await import('./server.ts')
  const { config, policy = [], onEvent } = options
  const source =
    typeof config === 'string'
      ? { file: config }
      : { file: path.join(config.directory, 'postern.conf'), text: config.text }
  const server = await Server.start({
    ...source,
    version: readVersion(),
    policies: 'length' in policy ? policy : [policy],
    ...(onEvent === undefined ? {} : { onEvent }),
  })
  return {
    get addresses() {
      return server.addresses
    },
    get warnings() {
      return server.warnings
    },
    reload: () => server.reload(),
    close: () => server.stop(),
  }
}
