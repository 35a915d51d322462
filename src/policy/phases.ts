/**
 * The phases of a reception, each with the facts that its callouts may see and the callout names of Momentum
 * (4-policy, 4-implementing-policy-scriptlets). One typed table; the Lua engine, `check` and the documentation's
 * tests read it.
 */

import type { BindingNames, Egress } from '../config/settings-queue.ts'
import type { Endpoint, Mailbox } from '../mail/envelope.ts'
import type { HeaderBlock } from '../mail/headers.ts'
import type { HandshakeParameters } from '../tls/gate.ts'
import type { KnownPartner } from '../tls/partners/partners.ts'
import type { Peer } from '../tls/peer.ts'
import type { ValidationContext } from './context.ts'
import type { PolicyOffers } from './offers.ts'
import type { Verdict } from './verdict.ts'

/** The session as policy sees it (Momentum's `ac` and `vctx`). One object for the life of a connection. */
export interface SessionFacts {
  readonly connectionId: string
  readonly remote: Endpoint
  readonly local: Endpoint
  /** who is on the other end, as of now: STARTTLS changes it */
  readonly peer: Peer
  /** whom the configuration knows that peer as */
  readonly partner?: KnownPartner | undefined
  readonly context: ValidationContext
  /** aborted when the client is gone: nobody waits for an answer any more */
  readonly gone?: AbortSignal
  /** what EHLO offers, for a script to change */
  readonly capabilities?: CapabilityEdits
  /** How many sessions there are; undefined for a block that makes no sense. */
  readonly count?: ((query: SessionCountQuery) => number | undefined) | undefined
}

/** A script's word on what EHLO offers; it changes what is said, never what is possible. */
export interface CapabilityEdits {
  add(capability: string): void
  remove(capability: string): void
}

export interface SessionCountQuery {
  /** `192.0.2.0/24`, `192.0.2.1`, `/24` around this client's address; '' is this client's address */
  readonly cidr: string
}

/** The message as policy sees it (Momentum's `msg`). Lives for one transaction, then one per recipient copy. */
export interface MessageFacts {
  readonly id: string
  /** undefined is `<>`; may be set from `data` on */
  sender: Mailbox | undefined
  /** the recipient at hand: the current one in `rcptto`, the copy's own from `each_rcpt` on, else the first */
  recipient: Mailbox | undefined
  /** undefined before the header has been received (phase `rcptto`) */
  readonly headers: HeaderBlock | undefined
  readonly context: ValidationContext
  /** octets received so far */
  readonly size: number
  /** of the transaction, while they may be changed: from `data` to `rcptto_list_final` */
  readonly recipients?: RecipientList | undefined
  /** of the transaction */
  readonly batchId?: string
  /** from `data` on */
  readonly content?: MessageContent
  /** lower case; where the message is sent instead of its recipient's domain */
  routingDomain?: string | undefined
  /** 1: it leaves before others that wait for the same domain */
  priority?: 0 | 1
  /** the binding by which it leaves; undefined: policy has chosen none */
  egress?: Egress | undefined
  /** those that can be chosen; absent: the default one alone */
  readonly bindings?: BindingNames
  /**
   * From `data` on: takes a message of policy's own, which is on stable storage when the promise resolves. No policy is
   * asked about it. Rejects with an Error which says why it was not taken.
   */
  readonly send?: (mail: NewMail) => Promise<void>
  /** the DKIM signatures of what was received; absent where nobody looked at them */
  readonly signatures?: readonly SignatureFacts[] | undefined
  /** From `data` on: a message without a header or a body, for policy to fill and to send. */
  readonly create?: () => MessageFacts
  /**
   * Of a recipient's copy: it gets this signature when policy has had its last word. Rejects with an Error which says
   * why there can be none. Absent where the configuration has no opendkim stanza.
   */
  readonly sign?: ((wish: SignatureWish) => Promise<void>) | undefined
}

/** A DKIM signature, as far as it can be told. */
export interface SignatureFacts {
  readonly result: 'pass' | 'fail' | 'policy' | 'neutral' | 'temperror' | 'permerror'
  readonly reason: string | undefined
  readonly domain: string | undefined
  readonly selector: string | undefined
  readonly algorithm: string | undefined
  readonly keyBits: number | undefined
  readonly identity: string | undefined
  readonly canonicalization: string | undefined
  /** the names of the fields that it covers, in lower case */
  readonly headers: readonly string[] | undefined
}

/** The DKIM signature that a script asks for; what is undefined is as in a dkim_domain stanza without it. */
export interface SignatureWish {
  /** d= and s= */
  readonly domain: string
  readonly selector: string
  /** a path, in which `%{d}` and `%{s}` stand for those two; or the key itself, DER in base64 */
  readonly key: { readonly file: string } | { readonly base64: string }
  readonly digest: string | undefined
  /** i= */
  readonly identity: string | undefined
  readonly headerCanon: string | undefined
  readonly bodyCanon: string | undefined
  /** names of fields */
  readonly headers: readonly string[] | undefined
}

/** A message that policy makes. */
export interface NewMail {
  /** undefined is `<>` */
  readonly sender: Mailbox | undefined
  readonly recipients: readonly Mailbox[]
  /** gets trace fields, and a Date and a Message-ID where they are missing */
  readonly headers: HeaderBlock
  /** a byte string */
  readonly body: string
}

/** A body, as a byte string. */
export interface MessageContent {
  /** as it stands; undefined until it has been fetched */
  readonly body: string | undefined
  /** @throws Error which says why it cannot be had */
  fetch(): Promise<void>
  /** Line ends become CR LF, and the last line gets one. @throws RangeError for what cannot be sent or kept */
  replace(body: string): void
}

export interface RecipientList {
  readonly mailboxes: readonly Mailbox[]
  /** Takes the place of all of them. @throws RangeError for no address, or more than a message may have */
  replace(mailboxes: readonly Mailbox[]): void
}

/** The facts that each phase hands to its callouts. `line` is the command line without its line ending. */
export interface PhaseFacts {
  readonly connect: { readonly session: SessionFacts }
  readonly ehlo: { readonly session: SessionFacts; readonly line: string }
  /** right after a handshake: core_inbound_smtp_tls_post_accept */
  readonly tls: { readonly session: SessionFacts }
  /** after auth_status, auth_user, auth_name are in the context: core_validate_auth[_hook] */
  readonly auth: { readonly session: SessionFacts; readonly status: 'pass' | 'fail' | 'error' }
  readonly mailfrom: {
    readonly session: SessionFacts
    readonly line: string
    /** undefined is `<>` */
    readonly sender: Mailbox | undefined
    /** keywords in upper case; undefined for one without a value */
    readonly parameters: ReadonlyMap<string, string | undefined>
  }
  readonly rcptto: { readonly session: SessionFacts; readonly message: MessageFacts; readonly line: string }
  readonly data: { readonly session: SessionFacts; readonly message: MessageFacts }
  readonly data_spool: { readonly session: SessionFacts; readonly message: MessageFacts }
  readonly data_spool_each_rcpt: { readonly session: SessionFacts; readonly message: MessageFacts }
  readonly set_binding: { readonly session: SessionFacts; readonly message: MessageFacts }
}

export type Phase = keyof PhaseFacts

/** callout names of each phase; more than one where Momentum's texts use several */
export const phaseCallouts: { readonly [P in Phase]: readonly string[] } = {
  connect: ['validate_connect'],
  ehlo: ['validate_ehlo'],
  tls: ['core_inbound_smtp_tls_post_accept'],
  auth: ['core_validate_auth', 'core_validate_auth_hook'],
  mailfrom: ['validate_mailfrom'],
  rcptto: ['validate_rcptto'],
  data: ['validate_data'],
  data_spool: ['validate_data_spool'],
  data_spool_each_rcpt: ['validate_data_spool_each_rcpt'],
  set_binding: ['validate_set_binding'],
}

/**
 * The hooks of Momentum that stand before, between and after the phases (3-api/hooks-core-*), asked and answered like
 * phases.
 */
export interface HookFacts {
  /** before `connect` */
  readonly accept: { readonly session: SessionFacts }
  /** after every script's `connect` */
  readonly connected: { readonly session: SessionFacts }
  /** before a handshake; what is set in `parameters` stands above all scopes */
  readonly tls_parameters: {
    readonly session: SessionFacts
    readonly parameters: HandshakeParameters
    /** what holds while `parameters.mode` is undefined */
    readonly scopeMode: 'unset' | 'none' | 'require'
  }
  /**
   * After a handshake, once for each certificate that came, or once without any. A verdict that refuses makes the peer
   * unverified; nothing makes an unverified peer verified.
   */
  readonly tls_verify: { readonly session: SessionFacts; readonly certificate: PresentedCertificate }
  /**
   * After a handshake with a next hop whose certificate is verified in some way, once for each certificate that came, or
   * once without any. There is no client: the session is a stand-in. A verdict that refuses makes the host unverified;
   * nothing makes an unverified host verified.
   */
  readonly host_verify: {
    readonly session: SessionFacts
    readonly certificate: PresentedCertificate
    readonly host: NextHopFacts
  }
  /** before an authentication; a reply 235 lets it succeed whatever the credentials are */
  readonly auth_before: { readonly session: SessionFacts }
  /** whether this is the user's password, for `ac_auth://`: a reply 235 says yes, a refusal no, anything else neither */
  readonly auth_perform: { readonly session: SessionFacts; readonly login: LoginAttempt }
  /** after `auth_perform` said no; `login.response` is what the client will hear */
  readonly auth_failed: { readonly session: SessionFacts; readonly login: LoginAttempt }
  /** after `data`: the recipients may still be changed */
  readonly rcptto_list: { readonly session: SessionFacts; readonly message: MessageFacts }
  readonly rcptto_list_final: { readonly session: SessionFacts; readonly message: MessageFacts }
  /** after every script's `data_spool_each_rcpt` */
  readonly each_rcpt_after: { readonly session: SessionFacts; readonly message: MessageFacts }
  /** at the end, for each recipient's copy: the only one of the three that refuses */
  readonly final_validation2: { readonly session: SessionFacts; readonly message: MessageFacts }
  readonly final_validation: { readonly session: SessionFacts; readonly message: MessageFacts }
  readonly post_final_validation: { readonly session: SessionFacts; readonly message: MessageFacts }
}

/** A name and a password, byte strings. */
export interface LoginAttempt {
  readonly user: string
  /** '' where it is not told */
  readonly password: string
  readonly response: LoginResponse
}

/** What a script wants a failure to be answered with: a reply's code and text; '' for the usual one. */
export interface LoginResponse {
  text: string
}

/** Where mail is about to go. */
export interface NextHopFacts {
  /** its name as the configuration or the MX records have it, or its address */
  readonly name: string
  readonly address: string
  /** the domain whose MX records name it; '' where the configuration does */
  readonly domain: string
}

/** One certificate of those that the client, or the next hop, sent, byte strings. */
export interface PresentedCertificate {
  /** the whole chain verifies: the same for all of them */
  readonly verified: boolean
  /** undefined when no certificate came */
  readonly subject: string | undefined
  readonly issuer: string | undefined
}

export type Hook = keyof HookFacts

export const hookCallouts: { readonly [H in Hook]: readonly string[] } = {
  accept: ['core_validate_accept'],
  connected: ['core_validate_connect'],
  tls_parameters: ['core_get_inbound_tls_parameters'],
  tls_verify: ['core_inbound_smtp_tls_verify_callback'],
  host_verify: ['core_outbound_smtp_tls_verify_callback'],
  auth_before: ['core_pre_esmtp_auth'],
  auth_perform: ['ac_auth_perform_auth'],
  auth_failed: ['ac_auth_log_auth_failure'],
  rcptto_list: ['validate_rcptto_list'],
  rcptto_list_final: ['validate_rcptto_list_final'],
  each_rcpt_after: ['core_validate_data_spool_each_rcpt'],
  final_validation2: ['core_final_validation2'],
  final_validation: ['core_final_validation'],
  post_final_validation: ['core_post_final_validation'],
}

/** Everything that policy is asked about. */
export type AnyPhase = Phase | Hook
export type AnyFacts = PhaseFacts & HookFacts
export const callouts: { readonly [P in AnyPhase]: readonly string[] } = { ...phaseCallouts, ...hookCallouts }

/**
 * Whoever answers for policy. It answers at once where it can, so that a phase without scripts costs nothing.
 * It never throws and never rejects: an error inside a script is itself a verdict
 * (`421 <host> temporary issue, please retry your message later`) and a paniclog line.
 */
export interface Policy {
  /** whether any script wants this phase; lets the session skip building facts */
  wants(phase: AnyPhase): boolean
  ask<P extends AnyPhase>(phase: P, facts: AnyFacts[P]): Verdict | Promise<Verdict>
  /**
   * Whoever spoke in this session until now is not who speaks from now on, as far as anybody knows: what scripts keep
   * for it is dropped. The session goes on, so no script is told. At once, and never throws.
   */
  forget?(session: SessionFacts): void
  /** The connection is closed: what scripts keep for this session is dropped. */
  ended?(session: SessionFacts): void
  /** Another configuration is in force: timers and the like stop. Sessions that began under this one still get answers. */
  retire?(): void
  /** what scripts offer besides answers */
  readonly offers?: PolicyOffers | undefined
  /** Nobody will ask any more: the configuration was replaced and its sessions have ended, or the server stops. */
  close?(): Promise<void>
}

/** No scripts: every phase goes on. */
export const noPolicy: Policy = {
  wants: () => false,
  ask: () => ({ kind: 'continue' }),
}
