/**
 * A policy in TypeScript: one method for each phase that it has something to say about.
 *
 * Text that came from the wire is a *byte string*, one character per octet, and so is every value of a context and of
 * a header; other text is refused there with a RangeError. `Buffer.from(text).toString('latin1')` makes a byte string
 * of any text, `Buffer.from(bytes, 'latin1').toString()` reads one as UTF-8.
 */

import type { Endpoint, Mailbox } from '../../mail/envelope.ts'
import type { HeaderBlock } from '../../mail/headers.ts'
import type { KnownPartner } from '../../tls/partners/partners.ts'
import type { Peer } from '../../tls/peer.ts'
import type { ContextKind } from '../context.ts'
import type { MessageFacts, NextHopFacts, PresentedCertificate, RecipientList } from '../phases.ts'
import type { TlsSettings } from './tls-settings.ts'
import type { Answer } from './verdicts.ts'

/** The validation context: two dictionaries of byte strings, shared with the Lua scripts, XDUMPCONTEXT and the logs. */
export interface Context {
  /** A missing key reads as ''. */
  get(kind: ContextKind, key: string): string
  /** @throws RangeError for text that is no byte string */
  set(kind: ContextKind, key: string, value: string): void
  delete(kind: ContextKind, key: string): void
}

/**
 * A connection. The same object in every callout of it, so a `WeakMap` can keep what a policy knows about it. It is the
 * same object, too, after STARTTLS (`tls` is asked) and when a proxy names another client (`connect` is asked again).
 */
export interface Session {
  readonly connectionId: string
  readonly remote: Endpoint
  readonly local: Endpoint
  /** Who is on the other end, as of now. Only `kind: 'verified'` is an identity. */
  readonly peer: Peer
  /** The partner of the configuration whose certificate that peer's is; undefined for everybody else. */
  readonly partner?: KnownPartner | undefined
  readonly context: Context
}

/** A session right after a handshake. */
export interface TlsSession extends Session {
  readonly peer: Exclude<Peer, { kind: 'plaintext' }>
}

export interface AuthAttempt {
  /** `error`: nobody could tell; the client gets a 454 whatever policy says */
  readonly status: 'pass' | 'fail' | 'error'
  /** the name that the client gave, a byte string; a claim unless the status is `pass` */
  readonly user: string
  /** `PLAIN` … */
  readonly mechanism: string
}

/** A name and a password, byte strings as the client gave them. */
export interface Login {
  readonly user: string
  readonly password: string
}

/** A message whose recipients are being named: its header and body have not been received. */
export type Message = Readonly<Omit<MessageFacts, 'headers' | 'context' | 'create'>> & {
  readonly context: Context
}

/** A message that has arrived. Its sender, recipient and header may be changed. */
export type ReceivedMessage = Omit<MessageFacts, 'headers' | 'context' | 'create'> & {
  readonly headers: HeaderBlock
  readonly context: Context
}

/** One callout under way. */
export interface Call {
  /** aborted when the callout's time is up: hand it to `fetch` and the like */
  readonly signal: AbortSignal
}

/** keywords in upper case, such as `SIZE`; undefined for one without a value */
export type MailParameters = ReadonlyMap<string, string | undefined>

/** What `definePolicy` takes. The phases in the order of a reception; see docs/policy.md. */
export interface PolicyDefinition {
  /** the script's name in the configuration; a policy under another name is then not loaded */
  readonly name?: string
  /** A connection was admitted. The answer stands in the banner's place. */
  accept?(session: Session, call: Call): Answer<'accept'>
  /** The same, after every policy's `accept`; again when a proxy has named another client, as all three are. */
  connect?(session: Session, call: Call): Answer<'connect'>
  /** The same, after every policy's `connect`. */
  connected?(session: Session, call: Call): Answer<'connected'>
  /** EHLO or HELO, the whole line. */
  ehlo?(session: Session, line: string, call: Call): Answer<'ehlo'>
  /** A handshake is about to begin. What is set stands above all scopes; a refusal is said instead of the 220. */
  tlsParameters?(session: Session, settings: TlsSettings, call: Call): Answer<'tls_parameters'>
  /**
   * Right after a handshake, once for each certificate that came, the client's own last, or once without any. `reject`
   * makes a verified peer unverified; nothing makes an unverified one verified. `session.peer` does not tell yet.
   */
  tlsVerify?(session: Session, certificate: PresentedCertificate, call: Call): Answer<'tls_verify'>
  /**
   * After a handshake with a next hop, where its certificate is verified in some way: once for each certificate that came,
   * the host's own last, or once without any. `reject` makes a verified host unverified, and mail that asks for a
   * verified one waits; nothing makes an unverified host verified.
   */
  hostVerify?(host: NextHopFacts, certificate: PresentedCertificate, call: Call): Answer<'host_verify'>
  /** A handshake is complete. */
  tls?(session: TlsSession, call: Call): Answer<'tls'>
  /** AUTH, before any credentials are looked at. */
  authBefore?(session: Session, call: Call): Answer<'auth_before'>
  /** Credentials were looked at and nothing is granted yet. Policy can refuse a success, never grant a failure. */
  auth?(session: Session, attempt: AuthAttempt, call: Call): Answer<'auth'>
  /**
   * Whether this is the user's password, where `ac_auth://` is the store: `accept(235, …)` says that it is, `reject` with
   * a 5xx that it is not, in words that the client hears; a 4xx or no answer at all means that nobody can tell.
   */
  checkPassword?(session: Session, login: Login, call: Call): Answer<'auth_perform'>
  /** The password was not the user's; what the client hears comes afterwards. @param reply its code and text */
  authFailed?(session: Session, user: string, reply: string, call: Call): Answer<'auth_failed'>
  /** MAIL. @param sender undefined is `<>` */
  mailFrom?(
    session: Session,
    sender: Mailbox | undefined,
    parameters: MailParameters,
    call: Call,
  ): Answer<'mailfrom'>
  /** RCPT, for a recipient that the relay rules allow. */
  rcptTo?(session: Session, message: Message, recipient: Mailbox, call: Call): Answer<'rcptto'>
  /** The whole message has arrived. */
  data?(session: Session, message: ReceivedMessage, call: Call): Answer<'data'>
  /** After `data`: all recipients, which may be changed. Nobody is asked about those that are added. */
  rcptToList?(
    session: Session,
    message: ReceivedMessage,
    recipients: RecipientList,
    call: Call,
  ): Answer<'rcptto_list'>
  /** The same, after every policy's `rcptToList`. */
  rcptToListFinal?(
    session: Session,
    message: ReceivedMessage,
    recipients: RecipientList,
    call: Call,
  ): Answer<'rcptto_list_final'>
  /** Once, before the message is kept. */
  dataSpool?(session: Session, message: ReceivedMessage, call: Call): Answer<'data_spool'>
  /** Once for each recipient; the message is that recipient's own copy. */
  dataSpoolEachRcpt?(session: Session, message: ReceivedMessage, call: Call): Answer<'data_spool_each_rcpt'>
  /** The same, after every policy's `dataSpoolEachRcpt`. */
  dataSpoolEachRcptFinal?(session: Session, message: ReceivedMessage, call: Call): Answer<'each_rcpt_after'>
  /** Once for each recipient's copy. */
  setBinding?(session: Session, message: ReceivedMessage, call: Call): Answer<'set_binding'>
  /** Once for each recipient's copy: the last refusal; one with a 4xx is for now. */
  finalValidation?(session: Session, message: ReceivedMessage, call: Call): Answer<'final_validation2'>
  /** Once for each recipient's copy, when nothing refuses any more. */
  afterFinalValidation?(session: Session, message: ReceivedMessage, call: Call): Answer<'final_validation'>
  /** The same, after every policy's `afterFinalValidation`. */
  postFinalValidation?(
    session: Session,
    message: ReceivedMessage,
    call: Call,
  ): Answer<'post_final_validation'>
}

/**
 * Gives a policy its types. A module that a configuration names as a script has to
 * `export const policy = definePolicy({ … })`.
 */
export function definePolicy(policy: PolicyDefinition): PolicyDefinition {
  return policy
}
