/**
 * What is known about one session, and what each event makes it forget.
 *
 * The validation context is the part that policy sees; the fields here are what the rules go by. A key that a script
 * writes never changes a field, with two documented exceptions: `can_relay` and `pathway` (Momentum: §5.2, §2.4).
 */

import { cidrContains } from '../config/address.ts'
import type { InboundScope } from '../config/settings.ts'
import type { Connection } from '../listener/connection.ts'
import type { Mailbox } from '../mail/envelope.ts'
import { ValidationContext } from '../policy/context.ts'
import type { SessionFacts } from '../policy/phases.ts'
import { tlsContextKeys } from '../tls/context-keys.ts'
import type { Peer, TlsFacts } from '../tls/peer.ts'
import { PLAINTEXT } from '../tls/peer.ts'
import { LineReader } from '../wire/lines.ts'
import type { MechanismName } from './auth/mechanism.ts'
import { ClientIo } from './client-io.ts'
import type { SessionLimits, SessionServices } from './services.ts'
import { defaultLimits } from './services.ts'

export interface Hello {
  readonly kind: 'EHLO' | 'HELO'
  readonly domain: string
  /** the command as the client wrote it */
  readonly line: string
}

/** Between MAIL and the end of its data. */
export interface Transaction {
  readonly id: string
  /** undefined is `<>` */
  readonly sender: Mailbox | undefined
  readonly bodyType: '7BIT' | '8BITMIME'
  readonly recipients: AcceptedRecipient[]
  /** policy said so: the client sees success and nothing is kept */
  discarded: boolean
  /** where a pathway holds for this message alone; relay grants and limits never come from it */
  scope: InboundScope
}

export interface AcceptedRecipient {
  readonly mailbox: Mailbox
  /** `RCPT TO:<…>` as the client wrote it */
  readonly line: string
}

export class Session {
  readonly connection: Connection
  readonly services: SessionServices
  readonly limits: SessionLimits
  readonly io: ClientIo
  readonly lines: LineReader
  readonly context = new ValidationContext()
  readonly facts: SessionFacts
  /** the banner was sent */
  greeted = false
  hello: Hello | undefined
  tls: TlsFacts | undefined
  authenticated: { readonly mechanism: MechanismName; readonly user: string } | undefined
  authFailures = 0
  badCommands = 0
  internalErrors = 0
  /** messages taken on this connection */
  receptions = 0
  /** recipients accepted on this connection */
  recipients = 0
  transaction: Transaction | undefined
  /** no further command is read */
  ended = false
  /** undoes what the command under way has set, should it be refused; run after the refusal was told */
  takeBack: (() => void) | undefined

  #scope: InboundScope
  /** the scope under which the certificate was judged */
  #tlsScope: InboundScope | undefined
  /** connection keys as they stood when the client had said nothing yet */
  #keysAtConnect = new Map<string, string>()
  #scopeAtConnect: InboundScope
  /** `can_relay` was set by a rule of ours, not by a script: it goes when the rule no longer applies */
  #ruleSetRelay = false
  #ruleSetRelayAtConnect = false

  constructor(connection: Connection, services: SessionServices) {
    this.connection = connection
    this.services = services
    this.limits = { ...defaultLimits, ...services.limits }
    this.io = new ClientIo(connection.socket, this.limits)
    this.lines = new LineReader(this.limits.authLine)
    this.#scope = connection.scope
    this.#scopeAtConnect = connection.scope
    const peer = (): Peer => this.peer
    this.facts = {
      connectionId: connection.id,
      remote: connection.remote,
      local: connection.local,
      get peer() {
        return peer()
      },
      context: this.context,
    }
    this.#applyContextOption(connection.scope, undefined)
    this.context.set('connection', 'pathway', pathwayKey(connection.scope))
    this.grantRelay()
  }

  /** the options that hold for this connection */
  get scope(): InboundScope {
    return this.#scope
  }

  /** this host's name towards the client */
  get hostname(): string {
    return this.#scope.options.banner_hostname ?? this.services.hostname
  }

  /**
   * Who is on the other end, for what the present scope grants. A certificate that was judged by another scope's rules
   * says nothing here.
   */
  get peer(): Peer {
    if (this.tls === undefined) return PLAINTEXT
    if (this.#tlsScope !== undefined && sameTrust(this.#tlsScope, this.#scope)) return this.tls.peer
    return { kind: 'anonymous' }
  }

  get canRelay(): boolean {
    return this.context.get('connection', 'can_relay') === 'true'
  }

  /** Notes what is known before the client has said anything: what STARTTLS goes back to. */
  markConnected(): void {
    this.#keysAtConnect = new Map(this.context.connection)
    this.#scopeAtConnect = this.#scope
    this.#ruleSetRelayAtConnect = this.#ruleSetRelay
  }

  /**
   * Sets `can_relay` while a rule grants it to this client, and takes it back when none does any more. What a script
   * set stays as the script set it.
   */
  grantRelay(): void {
    const granted =
      this.authenticated !== undefined || mayRelay(this.peer, this.#scope, this.connection.remote.address)
    if (granted && !this.canRelay) {
      this.context.set('connection', 'can_relay', 'true')
      this.#ruleSetRelay = true
    } else if (!granted && this.#ruleSetRelay) {
      this.context.connection.delete('can_relay')
      this.#ruleSetRelay = false
    }
  }

  /** A script chose another pathway for the connection. Options already used are not read again. */
  changeScope(scope: InboundScope): void {
    this.#applyContextOption(scope, this.#scope)
    this.#scope = scope
    this.context.set('connection', 'pathway', pathwayKey(scope))
    this.grantRelay()
  }

  openTransaction(transaction: Transaction): void {
    this.transaction = transaction
  }

  /** RSET, EHLO, the end of a message: sender, recipients and message keys go (RFC 5321 §4.1.1.5). */
  resetTransaction(): void {
    this.transaction = undefined
    this.context.clearMessage()
    this.context.connection.delete('message_rcpt_count')
  }

  /**
   * A handshake is about to begin. RFC 3207 §4.2: what the client said in clear text is forgotten. Keys that policy
   * set later than `connect` may rest on it, so they go as well; the server's own counts stay, and so does the
   * pathway, which governs the handshake, with the keys of its `context` option.
   */
  forgetBeforeTls(): void {
    this.resetTransaction()
    this.hello = undefined
    this.authenticated = undefined
    const keep = ['pathway', 'connection_message_count', 'connection_rcpt_count']
    const kept = keep.map((key) => [key, this.context.connection.get(key)] as const)
    this.context.connection.clear()
    for (const [key, value] of this.#keysAtConnect) this.context.set('connection', key, value)
    this.#applyContextOption(this.#scope, this.#scopeAtConnect)
    for (const [key, value] of kept) {
      if (value !== undefined) this.context.set('connection', key, value)
    }
    for (const key of tlsContextKeys) this.context.connection.delete(key)
    this.#ruleSetRelay = this.#ruleSetRelayAtConnect
  }

  /** A handshake is complete. */
  setTls(facts: TlsFacts): void {
    this.tls = facts
    this.#tlsScope = this.#scope
    this.grantRelay()
  }

  /** Keys of the `context` option; what a broader scope has set already is not written twice. TLS is no setting. */
  #applyContextOption(scope: InboundScope, before: InboundScope | undefined): void {
    for (const [key, value] of Object.entries(scope.options.context)) {
      if (before?.options.context[key] === value || tlsContextKeys.includes(key)) continue
      this.context.set('connection', byteString(key), byteString(value))
    }
  }
}

/** A pathway's name as the context holds it: a byte string. */
export function pathwayKey(scope: InboundScope): string {
  return byteString(scope.pathway)
}

/** Text of the configuration as the context holds it. */
function byteString(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1')
}

/** The grants of Momentum §8.7 that hold for a client whatever it sends. */
function mayRelay(peer: Peer, { options }: InboundScope, address: string): boolean {
  if (options.open_relay) return true
  if (peer.kind === 'verified' && options.tls_verified_peer_can_relay) return true
  return options.relay_hosts.some((block) => cidrContains(block, address))
}

/** Whether two scopes judge certificates by the same rules. */
function sameTrust(a: InboundScope, b: InboundScope): boolean {
  if (a === b) return true
  return (
    a.options.tls_verify_mode === b.options.tls_verify_mode &&
    a.options.tls_client_ca?.path === b.options.tls_client_ca?.path &&
    a.options.tls_client_crl?.path === b.options.tls_client_crl?.path
  )
}
