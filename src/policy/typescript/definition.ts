/**
 * A policy in TypeScript: one method for each phase that it has something to say about.
 *
 * Text that came from the wire is a *byte string*, one character per octet, and so is every value of a context and of
 * a header; other text is refused there with a RangeError. `Buffer.from(text).toString('latin1')` makes a byte string
 * of any text, `Buffer.from(bytes, 'latin1').toString()` reads one as UTF-8.
 */

import type { Endpoint, Mailbox } from '../../mail/envelope.ts'
import type { HeaderBlock } from '../../mail/headers.ts'
import type { Peer } from '../../tls/peer.ts'
import type { ContextKind } from '../context.ts'
import type { MessageFacts } from '../phases.ts'
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

/** A message whose recipients are being named: its header and body have not been received. */
export type Message = Readonly<Omit<MessageFacts, 'headers' | 'context'>> & { readonly context: Context }

/** A message that has arrived. Its sender, recipient and header may be changed. */
export type ReceivedMessage = Omit<MessageFacts, 'headers' | 'context'> & {
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
  connect?(session: Session, call: Call): Answer<'connect'>
  /** EHLO or HELO, the whole line. */
  ehlo?(session: Session, line: string, call: Call): Answer<'ehlo'>
  /** A handshake is complete. */
  tls?(session: TlsSession, call: Call): Answer<'tls'>
  /** Credentials were looked at and nothing is granted yet. Policy can refuse a success, never grant a failure. */
  auth?(session: Session, attempt: AuthAttempt, call: Call): Answer<'auth'>
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
  /** Once, before the message is kept. */
  dataSpool?(session: Session, message: ReceivedMessage, call: Call): Answer<'data_spool'>
  /** Once for each recipient; the message is that recipient's own copy. */
  dataSpoolEachRcpt?(session: Session, message: ReceivedMessage, call: Call): Answer<'data_spool_each_rcpt'>
  /** Once for each recipient's copy, at last. */
  setBinding?(session: Session, message: ReceivedMessage, call: Call): Answer<'set_binding'>
}

/**
 * Gives a policy its types. A module that a configuration names as a script has to
 * `export const policy = definePolicy({ … })`.
 */
export function definePolicy(policy: PolicyDefinition): PolicyDefinition {
  return policy
}
