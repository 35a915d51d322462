/**
 * What is known about one session, and what each event makes it forget.
 *
 * The validation context is the part that policy sees; the fields here are what the rules go by. A key that a script
 * writes never changes a field, with two documented exceptions: `can_relay` and `pathway` (Momentum: §5.2, §2.4).
 */

import type { Origin } from '../authenticity/outcome.ts'
import type { InboundScope } from '../config/settings.ts'
import type { Connection } from '../listener/connection.ts'
import type { DsnRequest, Endpoint, Mailbox } from '../mail/envelope.ts'
import { ValidationContext } from '../policy/context.ts'
import type { SessionFacts } from '../policy/phases.ts'
import { isRelayHost, partnerMayRelay } from '../policy/relay.ts'
import { tlsContextKeys } from '../tls/context-keys.ts'
import type { KnownPartner } from '../tls/partners/partners.ts'
import type { AnonymousPeer, Peer, TlsFacts } from '../tls/peer.ts'
import { PLAINTEXT } from '../tls/peer.ts'
import { sameTrust } from '../tls/trust.ts'
import { LineReader } from '../wire/lines.ts'
import type { MechanismName } from './auth/mechanism-name.ts'
import { SessionCapabilities } from './capability-edits.ts'
import { ClientIo } from './client-io.ts'
import { LiveFacts } from './live-facts.ts'
import type { SessionLimits, SessionServices } from './services.ts'
import { defaultLimits } from './services.ts'
import { SessionDecision } from './session-decision.ts'

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
  /** addresses and header may be UTF-8 */
  readonly smtpUtf8: boolean
  readonly dsn: Pick<DsnRequest, 'ret' | 'envid'>
  /** the message as far as it came in chunks (RFC 3030) */
  reception?: ChunkedReception
  readonly recipients: AcceptedRecipient[]
  /** policy said so: the client sees success and nothing is kept */
  discarded: boolean
  /** where a pathway holds for this message alone; relay grants and limits never come from it */
  scope: InboundScope
}

/** A message of which some chunks have come. */
export interface ChunkedReception {
  /** Lets go of what was kept; never rejects. After a commit it does nothing. */
  drop(): Promise<void>
}

export interface AcceptedRecipient {
  readonly mailbox: Mailbox
  /** `RCPT TO:<…>` as the client wrote it */
  readonly line: string
  /** what was asked about it; absent for one that policy made */
  readonly dsn?: Pick<DsnRequest, 'notify' | 'originalRecipient'>
}

/** What is the same in the Received fields of a session's messages as long as what it was made from is. */
export interface ReceivedParts {
  readonly madeFrom: Pick<Session, 'connection' | 'hello' | 'tls' | 'partner' | 'authenticated'> &
    Pick<Transaction, 'scope' | 'smtpUtf8'>
  /** up to the envelope's sender, and from there to the id */
  readonly start: string
  readonly middle: string
  /** the last one that was asked for, and its second */
  date: string
  second: number
}

/** Who the client is, as a trusted proxy says (XCLIENT, XREMOTEIP). */
export interface NewClient {
  readonly remote: Endpoint
  readonly local: Endpoint
  /** the scope of its address */
  readonly scope: InboundScope
  /** the greeting that still holds */
  readonly hello: Hello | undefined
  /** what else is said of it, for policy */
  readonly keys: ReadonlyMap<string, string>
}

export class Session {
  /** whose ends change when a trusted proxy names its client */
  connection: Connection
  readonly services: SessionServices
  readonly limits: SessionLimits
  readonly io: ClientIo
  readonly lines: LineReader
  readonly context = new ValidationContext()
  /** what scripts changed in the EHLO list */
  readonly capabilities = new SessionCapabilities()
  readonly facts: SessionFacts
  /** what is told of a TLS connection when it ends */
  readonly decision: SessionDecision
  /** the banner was sent */
  greeted = false
  hello: Hello | undefined
  tls: TlsFacts | undefined
  authenticated: { readonly mechanism: MechanismName; readonly user: string } | undefined
  authFailures = 0
  badCommands = 0
  internalErrors = 0
  /** messages answered 250 on this connection, those that policy dropped among them */
  receptions = 0
  /** messages of this connection that the mainlog has, for one recipient at least */
  kept = 0
  /** recipients accepted on this connection */
  recipients = 0
  transaction: Transaction | undefined
  /** of the message under way */
  origin: Origin = UNKNOWN_ORIGIN
  /** by when the line that is awaited has to be there, by performance.now(); 0 while nobody waits for one */
  lineDue = 0
  /** of the last message's Received field */
  receivedParts: ReceivedParts | undefined
  /** keys of the connection that a trusted proxy set (XSETCONTEXT) */
  readonly toldKeys = new Map<string, string>()
  /** no further command is read */
  ended = false
  /** the client said QUIT */
  quit = false
  /** undoes what the command under way has set, should it be refused; run after the refusal was told */
  takeBack: ((session: Session) => void) | undefined

  #scope: InboundScope
  /** the scope under which the certificate was judged */
  #tlsScope: InboundScope | undefined
  /** whose certificate the handshake's was */
  #partner: KnownPartner | undefined
  /** the scope of the address that connected, once a proxy has named another client */
  #connectedScope: InboundScope | undefined
  /** connection keys as they stood when the client had said nothing yet; not needed any more once a handshake began */
  #keysAtConnect: Map<string, string> | undefined
  #scopeAtConnect: InboundScope
  /** `can_relay` was set by a rule of ours, not by a script: it goes when the rule no longer applies */
  #ruleSetRelay = false
  #ruleSetRelayAtConnect = false

  constructor(connection: Connection, services: SessionServices) {
    this.connection = connection
    this.services = services
    this.limits = services.limits === undefined ? defaultLimits : { ...defaultLimits, ...services.limits }
    this.decision = new SessionDecision(connection.id, services)
    this.io = new ClientIo(connection.socket, this.limits)
    this.lines = new LineReader(this.limits.authLine)
    this.#scope = connection.scope
    this.#scopeAtConnect = connection.scope
    this.facts = new LiveFacts(this)
    this.#applyContextOption(connection.scope, undefined)
    this.context.set('connection', 'pathway', pathwayKey(connection.scope))
    for (const [key, value] of connection.asserted ?? []) this.context.set('connection', key, value)
    this.grantRelay()
  }

  /** the options that hold for this connection */
  get scope(): InboundScope {
    return this.#scope
  }

  /** the options that held for whoever connected, before any other client was named */
  get connectedScope(): InboundScope {
    return this.#connectedScope ?? this.#scope
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
    if (this.#tlsScope !== undefined && sameTrust(this.#tlsScope.options, this.#scope.options))
      return this.tls.peer
    return ANONYMOUS
  }

  /** The partner that is on the other end, as long as its certificate counts. */
  get partner(): KnownPartner | undefined {
    return this.#partner?.peer === this.peer ? this.#partner : undefined
  }

  /**
   * TLS is up without the certificate that the scope requires: a pathway or a proxy brought another scope than the one
   * under which the handshake was made. No command is served then.
   */
  get lacksCertificate(): boolean {
    if (this.tls === undefined) return false
    // where the handshake was made, its mode is the one that counts: policy may have set another than the scope's
    const mode = this.#scope === this.#tlsScope ? this.tls.mode : this.#scope.options.tls_verify_mode
    return mode === 'require' && this.peer.kind === 'anonymous'
  }

  get canRelay(): boolean {
    return this.context.get('connection', 'can_relay') === 'true'
  }

  /** Notes what is known before the client has said anything: what STARTTLS goes back to. */
  markConnected(): void {
    const keys = new Map(this.context.connection)
    for (const key of HELLO_KEYS) keys.delete(key)
    for (const key of this.toldKeys.keys()) this.#setBack(keys, key)
    this.#keysAtConnect = keys
    this.#scopeAtConnect = this.#scope
    this.#ruleSetRelayAtConnect = this.#ruleSetRelay
  }

  /**
   * Sets `can_relay` while a rule grants it to this client, and takes it back when none does any more. What a script
   * set stays as the script set it.
   */
  grantRelay(): void {
    const granted =
      this.authenticated !== undefined ||
      (this.partner !== undefined && partnerMayRelay(this.partner)) ||
      mayRelay(this.peer, this.#scope, this.connection.remote.address)
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
    if (this.partner === undefined) this.context.connection.delete('tls_partner')
    this.grantRelay()
  }

  /**
   * A trusted proxy has named its client. What was granted to whoever was there before is withdrawn: relaying,
   * authentication, the transaction, what a script has noted; and a certificate, now or in a handshake to come, is the
   * proxy's, so it says nothing of this client. The counts of the connection stay, and what the proxy told about it.
   */
  becomeClient({ remote, local, scope, hello, keys }: NewClient): void {
    this.services.policy.forget?.(this.facts)
    this.resetTransaction()
    this.#connectedScope ??= this.#scope
    this.connection = { ...this.connection, remote, local, scope }
    this.#scope = scope
    this.hello = hello
    this.authenticated = undefined
    if (this.tls !== undefined) this.tls = { ...this.tls, peer: ANONYMOUS }
    const { connection } = this.context
    const kept = [...connection].filter(([key]) => staysWithConnection(key, hello))
    connection.clear()
    this.#ruleSetRelay = false
    this.#applyContextOption(scope, undefined)
    this.context.set('connection', 'pathway', pathwayKey(scope))
    for (const [key, value] of [...kept, ...this.toldKeys, ...keys])
      this.context.set('connection', key, value)
    this.grantRelay()
  }

  openTransaction(transaction: Transaction): void {
    this.transaction = transaction
  }

  /** RSET, EHLO, the end of a message: sender, recipients and message keys go (RFC 5321 §4.1.1.5). */
  resetTransaction(): void {
    void this.transaction?.reception?.drop()
    this.transaction = undefined
    this.origin = UNKNOWN_ORIGIN
    this.context.clearMessage()
    this.context.connection.delete('message_rcpt_count')
  }

  /**
   * A handshake is about to begin. RFC 3207 §4.2: what the client said in clear text is forgotten. Keys that policy
   * set later than `connect` may rest on it, so they go as well; the server's own counts stay, and so does the
   * pathway, which governs the handshake, with the keys of its `context` option.
   */
  forgetBeforeTls(): void {
    this.services.policy.forget?.(this.facts)
    this.resetTransaction()
    this.hello = undefined
    this.authenticated = undefined
    const keep = ['pathway', ...COUNTS]
    const kept = keep.map((key) => [key, this.context.connection.get(key)] as const)
    this.context.connection.clear()
    this.toldKeys.clear()
    for (const [key, value] of this.#keysAtConnect ?? []) this.context.set('connection', key, value)
    this.#applyContextOption(this.#scope, this.#scopeAtConnect)
    for (const [key, value] of kept) {
      if (value !== undefined) this.context.set('connection', key, value)
    }
    for (const key of tlsContextKeys) this.context.connection.delete(key)
    this.#ruleSetRelay = this.#ruleSetRelayAtConnect
    this.#keysAtConnect = undefined
  }

  /**
   * A handshake is complete.
   * @param scope the one under which it was made; policy may have moved the session since
   * @param partner whose certificate it is
   * @returns what it says of this client: nothing of a certificate once a proxy has named it
   */
  setTls(facts: TlsFacts, scope: InboundScope, partner?: KnownPartner): TlsFacts {
    this.tls = this.#connectedScope === undefined ? facts : { ...facts, peer: ANONYMOUS }
    this.#tlsScope = scope
    this.#partner = partner
    this.grantRelay()
    return this.tls
  }

  /** What a key is without the proxy's word: the `context` option's, or nothing. */
  #setBack(keys: Map<string, string>, key: string): void {
    const { context } = this.#scope.options
    if (Object.hasOwn(context, key)) keys.set(key, context[key] ?? '')
    else keys.delete(key)
  }

  /** Keys of the `context` option; what a broader scope has set already is not written twice. TLS is no setting. */
  #applyContextOption(scope: InboundScope, before: InboundScope | undefined): void {
    for (const [key, value] of Object.entries(scope.options.context)) {
      if (before?.options.context[key] === value || tlsContextKeys.includes(key)) continue
      this.context.set('connection', byteString(key), byteString(value))
    }
  }
}

/** What is left to do about a transaction that a refusal ends. */
export function endTransaction(session: Session): void {
  session.resetTransaction()
}

/** Keys of the connection that are of no client, or of the greeting that still holds. */
function staysWithConnection(key: string, hello: Hello | undefined): boolean {
  if (hello !== undefined && HELLO_KEYS.includes(key)) return true
  return COUNTS.includes(key) || (tlsContextKeys.includes(key) && !/^tls_(?:client_|partner$)/.test(key))
}

const HELLO_KEYS = ['ehlo_string', 'ehlo_domain']
const COUNTS = ['connection_message_count', 'connection_rcpt_count']
const UNKNOWN_ORIGIN: Origin = {}
const ANONYMOUS: AnonymousPeer = { kind: 'anonymous' }

/** A pathway's name as the context holds it: a byte string. */
export function pathwayKey(scope: InboundScope): string {
  return byteString(scope.pathway)
}

const ASCII = /^[\0-\x7f]*$/

/** Text of the configuration as the context holds it. */
function byteString(text: string): string {
  return ASCII.test(text) ? text : Buffer.from(text, 'utf8').toString('latin1')
}

/** The grants of Momentum §8.7 that hold for a client whatever it sends. */
function mayRelay(peer: Peer, { options }: InboundScope, address: string): boolean {
  if (options.open_relay) return true
  if (peer.kind === 'verified' && options.tls_verified_peer_can_relay) return true
  return isRelayHost(options, address)
}
