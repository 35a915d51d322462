/**
 * Every fact that the server can report, as plain data, and the one bus that carries them.
 *
 * Telling is not asking: a listener cannot change anything. An error that a listener throws is dropped after it was
 * handed to `onListenerError`; it never reaches who told the fact.
 */

import type { ContextSnapshot, Endpoint, Envelope, Mailbox } from '../mail/envelope.ts'
import type { ConfigurationChange } from './configuration.ts'
import type { DecisionRecord } from './decision.ts'
import type { ExpiryWarning } from './expiry.ts'
import type { OutboundTlsFacts, TlsSessionFact } from './outbound-tls.ts'

/** A message was accepted and is on stable storage (one per recipient). mainlog `R`. */
export interface Reception {
  readonly kind: 'reception'
  readonly at: number
  readonly envelope: Envelope
  /** how it came in; `internal` is a message of our own. ESMTP unless given */
  readonly protocol?: 'esmtp' | 'internal'
  /** who handed it over, as far as TLS says; absent for a message of our own */
  readonly tls?: 'plaintext' | 'anonymous' | 'unverified' | 'verified'
}

/** What a delivery attempt led to. mainlog `D`, `T` and `P`. */
export interface DeliveryOutcome {
  readonly kind: 'delivery' | 'transient-failure' | 'permanent-failure'
  readonly at: number
  readonly envelope: Envelope
  /** id of this attempt's outbound connection */
  readonly connectionId: string
  /** the domain that was routed to: the recipient's, or what policy set */
  readonly domain: string
  /** bytes sent, 0 when no connection came about */
  readonly bytes: number
  /** attempts before this one */
  readonly retries: number
  /** Momentum's stage number (log-formats-connection-stages); 0 = not connected */
  readonly stage: number
  /** the remote host's address, '' when there was none (maildir, no connection) */
  readonly remote: string
  /** what the next hop answered, or our own `[internal]` text; '' for a plain success */
  readonly text: string
  /** our own address on that connection; absent without one */
  readonly local?: string
  /** how the session was protected; absent where nobody asked for TLS, and where there was none */
  readonly tls?: OutboundTlsFacts
}

/** A report came back that mail of ours was not delivered elsewhere. bouncelog `B`, stage 21. */
export interface OutOfBandBounce {
  readonly kind: 'out-of-band-bounce'
  readonly at: number
  /** of the report */
  readonly messageId: string
  readonly batchId: string
  readonly connectionId: string
  /** of the mail that it is about, as it says; undefined: it names none that counts */
  readonly recipient: Mailbox | undefined
  /** of that mail: the address to which the report came */
  readonly sender: Mailbox
  readonly bindingGroup: string
  readonly binding: string
  /** octets of the report */
  readonly size: number
  /** address of the client that brought it */
  readonly remote: string
  /** `5.1.1`; '' when there is none */
  readonly status: string
  /** the answer that it reports; a byte string on one line */
  readonly text: string
}

/** A command, message or connection was refused. One rejectlog line. */
export interface Rejection {
  readonly kind: 'rejection'
  readonly at: number
  readonly connectionId: string
  readonly remote: Endpoint
  readonly local: Endpoint
  readonly pathway: string
  readonly pathwayGroup: string
  /** Momentum's reception state name: the state in which the refused command was awaited */
  readonly state: string
  readonly code: number
  /** the module that decided: `scriptlet`, `core`, `tls`, `relay`, `auth`, … */
  readonly module: string
  readonly connectionContext: ContextSnapshot
  readonly messageContext: ContextSnapshot
  /** the reply's text, or for a failed handshake what went wrong */
  readonly text: string
}

/** Something that an operator must know. paniclog. */
export interface Panic {
  readonly kind: 'panic'
  readonly at: number
  readonly level: 'debug' | 'info' | 'notice' | 'warning' | 'error' | 'critical'
  /** who says so: `scriptlet`, `tls`, `spool`, `core`, … */
  readonly module: string
  readonly text: string
}

/** A connection was admitted or has ended. */
export interface ConnectionFact {
  readonly kind: 'connected' | 'disconnected'
  readonly at: number
  readonly connectionId: string
  readonly remote: Endpoint
  readonly local: Endpoint
}

/** A TLS handshake came to an end. */
export interface TlsFact {
  readonly kind: 'tls'
  readonly at: number
  readonly connectionId: string
  readonly remote: Endpoint
  /** the Listen's instance; Unicode text */
  readonly listen: string
  /** that the handshake took, policy's look at the certificate included */
  readonly milliseconds: number
  /** effective TLS_Verify_Mode */
  readonly mode: 'unset' | 'none' | 'require'
  /** FILE:LINE of the value that decided the mode, or `default` */
  readonly modeFrom: string
  readonly outcome: 'failed' | 'anonymous' | 'unverified' | 'verified'
  /** the typed cause when unverified, or what ended the handshake; '' otherwise */
  readonly cause: string
  readonly protocol: string
  readonly resumed: boolean
  /** the client's certificate, where it verified */
  readonly certificate?: {
    /** RFC 4514, escaped */
    readonly subject: string
    readonly issuer: string
    /** SHA-256, hex */
    readonly fingerprint: string
    /** milliseconds since the epoch */
    readonly notBefore: number
    readonly notAfter: number
  }
  /** of the client's certificate: RFC 4514, escaped; '' without one. Only where the outcome is `verified` is it more than a claim */
  readonly issuer: string
  /** whom the configuration knows the verified certificate as */
  readonly partner?: {
    readonly name: string
    /** that the certificate fits, one of each kind that is configured */
    readonly pins: readonly {
      readonly option: 'SPKI_Pin' | 'Certificate_Pin'
      readonly place: 'current' | 'successor'
      /** SHA-256, hex */
      readonly digest: string
    }[]
    /** SHA-256 of the certificate, hex */
    readonly fingerprint: string
    /** of the certificate, milliseconds since the epoch */
    readonly notAfter: number
  }
  /** a certificate that verifies as a TLS server's and not as a client's: told where TLS_Client_EKU is any or report */
  readonly serverOnly?: {
    /** RFC 4514, escaped */
    readonly subject: string
    readonly issuer: string
    /** SHA-256, hex */
    readonly fingerprint: string
  }
}

/** An authentication attempt. acctlog `N`, or `T` when the client fell silent in the middle. */
export interface AuthenticationFact {
  readonly kind: 'authentication'
  readonly at: number
  readonly connectionId: string
  readonly remote: Endpoint
  readonly listener: string
  readonly mechanism: string
  readonly user: string
  readonly status: 'pass' | 'fail' | 'error' | 'timeout'
  /** log_authentication: acctlog gets a line */
  readonly account: boolean
}

/** What an operator does at the console. acctlog `N` for a login, `Z` for a command before it runs, `E` for its end. */
export interface OperatorFact {
  readonly kind: 'operator'
  readonly at: number
  readonly act: 'login' | 'command' | 'end'
  /** the Listen as configured */
  readonly listener: string
  /** no address: a UNIX socket */
  readonly remote: Endpoint
  readonly user: string
  /** the login was good, the command allowed, or its end without an error; undefined: nobody asks whether it is allowed */
  readonly good: boolean | undefined
  /** with what looks like a secret masked; empty for a login */
  readonly command: string
  /** the role that allows it */
  readonly role: string
}

/** An operator has acted on mail that waits. acctlog `A`. */
export interface OperatorAct {
  readonly kind: 'operator-act'
  readonly at: number
  /** who; Unicode text, here and below */
  readonly operator: string
  /** where from: address and port, or `local` */
  readonly from: string
  /** the command as it was understood: `fail domain a.example` */
  readonly act: string
  /** messages to which it was done */
  readonly messages: number
  /** messages that it left alone because they were being delivered */
  readonly underWay: number
  /** why something was not done; '' when everything was */
  readonly broken: string
}

export type ServerEvent =
  | Reception
  | DeliveryOutcome
  | OutOfBandBounce
  | TlsSessionFact
  | Rejection
  | Panic
  | ConnectionFact
  | TlsFact
  | DecisionRecord
  | AuthenticationFact
  | OperatorAct
  | OperatorFact
  | ConfigurationChange
  | ExpiryWarning

/** Where facts are told. `mail`, `bounce` and so on never read from it. */
export interface EventSink {
  emit(event: ServerEvent): void
}

/** Hands each fact to every listener, in the order in which they subscribed. */
export class EventBus implements EventSink {
  readonly #listeners = new Set<(event: ServerEvent) => void>()
  readonly #onListenerError: (error: unknown) => void

  constructor(onListenerError: (error: unknown) => void) {
    this.#onListenerError = onListenerError
  }

  /** Adds a listener; the function that comes back removes it. */
  subscribe(listener: (event: ServerEvent) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  emit(event: ServerEvent): void {
    for (const listener of this.#listeners) {
      try {
        listener(event)
      } catch (error) {
        this.#onListenerError(error)
      }
    }
  }
}
