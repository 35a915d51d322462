/**
 * Everything that a session needs from the rest of the server. `server.ts` makes one of these for each generation of
 * the configuration; the sessions of that generation share it.
 */

import type { Authenticity } from '../authenticity/authenticity.ts'
import type { Cidr, GlobalValues, InboundScope, ListenSettings, OutboundValues } from '../config/settings.ts'
import type { BindingNames, Egress, QueueGlobals } from '../config/settings-queue.ts'
import type { LiveDecisions } from '../events/decision.ts'
import type { EventSink } from '../events/events.ts'
import type { LiveSessions } from '../events/live.ts'
import type { Transcripts } from '../events/transcripts.ts'
import type { AnyPhase, Policy } from '../policy/phases.ts'
import type { LocalRecipients } from '../policy/relay.ts'
import type { NewMessage, Spool } from '../spool/spool.ts'
import type { TlsGate } from '../tls/gate.ts'
import type { Partners } from '../tls/partners/partners.ts'
import type { AuthFailures } from './auth/failures.ts'
import type { StoreDirectory } from './auth/stores.ts'

/** What the ways out have to say already at reception. */
export interface OutboundRules extends BindingNames {
  readonly global: Pick<QueueGlobals, 'default_binding'> & Pick<GlobalValues, 'bounce_suppress_list'>
  resolveOutbound(
    domain: string,
    egress?: Egress,
  ): {
    readonly options: Pick<
      OutboundValues,
      'blackhole' | 'opendkim_sign' | 'bounce_pattern' | 'bounce_behavior'
    >
  }
}

export interface SessionServices {
  /** this host's name, used where the scope names no other */
  readonly hostname: string
  /** Postern's version, for the banner and the Received field */
  readonly version: string
  readonly tls: TlsGate
  /** whose certificates are known; absent: nobody's */
  readonly partners?: Partners
  readonly policy: Policy
  readonly spool: Spool
  /** names of headers, in lower case, whose first values go with the envelope into logs; absent: none */
  readonly loggedHeaders?: readonly string[]
  /** where mail leaves; absent: by the default binding, without a rule */
  readonly outbound?: OutboundRules
  /** where mail comes from, and signatures of our own; absent: nobody asks */
  readonly authenticity?: Authenticity
  /** which recipients end here */
  readonly local: LocalRecipients
  readonly events: EventSink
  /** message and batch ids in Momentum's form */
  readonly ids: { next(): string }
  /** milliseconds since the epoch */
  readonly clock: () => number
  readonly auth: AuthServices
  /** Hands messages that are on stable storage to delivery; called after commit, before the 250 */
  readonly enqueue: (messages: readonly NewMessage[]) => void
  /** whether a newer configuration is in force than the one these services were made from */
  readonly superseded: () => boolean
  /**
   * The scope of a client, or for a pathway that a script chose for it (it stands above all other scopes).
   * undefined, or a scope of another name, when no pathway has this name: the session is then refused.
   */
  readonly resolveScope: (
    listen: ListenSettings,
    address: string,
    pathway?: string,
  ) => InboundScope | undefined
  /** how many sessions an address block has; absent where nobody counts them */
  readonly countSessions?: (block: Cidr) => number
  /** aborted when the server drains: sessions end as soon as no transaction is open */
  readonly shuttingDown: AbortSignal
  /** told of TLS connections under way; absent where nobody asks */
  readonly liveDecisions?: LiveDecisions
  /** told of all sessions under way; absent where nobody asks */
  readonly liveSessions?: LiveSessions
  /** told what sessions say, where an operator asks for it; absent where nobody can */
  readonly transcripts?: Transcripts
  /** told how long policy took over a phase, its waits included; must not throw */
  readonly policyTime?: (phase: AnyPhase, milliseconds: number) => void
  /** bounds that no option sets; `defaultLimits` where it is absent */
  readonly limits?: Partial<SessionLimits>
}

/** What AUTH needs. */
export interface AuthServices {
  /** where passwords and identities are kept */
  readonly stores: StoreDirectory
  /** of all generations of the configuration together */
  readonly failures: AuthFailures
}

/** Times in milliseconds, sizes in octets. */
export interface SessionLimits {
  /** bad commands (5xx for syntax or order) that get their own reply; the next one gets 421 */
  readonly badCommands: number
  /** failed authentications; the last one gets 421 */
  readonly authFailures: number
  /** recipients of one message where Max_Recipients_Per_Message is 0; RFC 5321 §4.5.3.1.8 asks for at least 100 */
  readonly recipients: number
  /** a command line without CR LF, AUTH excepted (RFC 5321 §4.5.3.1.4 asks for 512 and extensions add to it) */
  readonly commandLine: number
  /** an AUTH line: RFC 4954 §4 allows 12,288 octets of base64, and there is the command before it */
  readonly authLine: number
  /** the header of a message; one copy is held in memory while policy looks at it */
  readonly header: number
  /** all copies of a header together, one for each recipient: they are kept one by one, and at once */
  readonly headerCopies: number
  /** octets that are read and thrown away after a message was refused in mid-flight, before the connection is cut */
  readonly discard: number
  /** the window over which Data_Minimum_Rate is averaged */
  readonly rateWindow: number
  /** the longest wait that policy can impose on a session, all tarpits of one phase together */
  readonly tarpit: number
  /** a client that has read nothing for this long while we have something to say is cut off */
  readonly writeStall: number
  /**
   * how long, and for how many octets, a closing connection waits for the client to take the last reply. A client that
   * is in the middle of sending has megabytes under way, as much as both kernels hold: 36 MB by some tunings of Linux
   */
  readonly lingerTime: number
  readonly lingerOctets: number
}

export const defaultLimits: SessionLimits = {
  badCommands: 20,
  authFailures: 3,
  recipients: 1000,
  commandLine: 2048,
  authLine: 12_288 + 64,
  header: 256 * 1024,
  headerCopies: 16 * 1024 * 1024,
  discard: 8 * 1024 * 1024,
  rateWindow: 30_000,
  tarpit: 300_000,
  writeStall: 60_000,
  lingerTime: 2000,
  lingerOctets: 64 * 1024 * 1024,
}
