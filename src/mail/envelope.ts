/**
 * The envelope of a message, from the moment it is accepted until it is delivered.
 *
 * One message goes to one recipient: a transaction with three recipients makes three messages with ids of their own
 * and one batch id, as in Momentum (mainlog has one R line per recipient).
 *
 * All strings here that came from the wire are *byte strings*: one character per byte, 0–255.
 */

/** A mailbox as written by the client (RFC 5321 §4.1.2). `local` is unquoted; its case is kept. */
export interface Mailbox {
  readonly local: string
  /** lower case, ASCII (A-labels); '' only for `<postmaster>` without a domain */
  readonly domain: string
}

/** An address and port of a socket. For a UNIX socket the address is its path (or '') and the port 0. */
export interface Endpoint {
  readonly address: string
  readonly port: number
}

/** The two dictionaries of a validation context as they travel with a message (keys and values are byte strings). */
export type ContextSnapshot = Readonly<Record<string, string>>

/** When a sender wants to hear of a recipient (RFC 3461 §4.1). */
export type NotifyWhen = 'SUCCESS' | 'FAILURE' | 'DELAY'

/** What the sender asks to be told, and with which of its own words (RFC 3461). Absent: nothing was asked. */
export interface DsnRequest {
  /** how much of the message a failure notice brings along */
  readonly ret?: 'FULL' | 'HDRS'
  /** the sender's name for this transaction, decoded: printable ASCII */
  readonly envid?: string
  readonly notify?: 'NEVER' | readonly NotifyWhen[]
  /** the recipient as the sender knows it */
  readonly originalRecipient?: {
    /** lower case */
    readonly type: string
    /** decoded; UTF-8 for the type `utf-8`, otherwise printable ASCII */
    readonly address: string
  }
}

export interface Envelope {
  /** Momentum's form `CC/CC-PPPPP-TTTTTTTT`; unique */
  readonly id: string
  readonly batchId: string
  readonly connectionId: string
  /** undefined is the null reverse path `<>` */
  readonly sender: Mailbox | undefined
  readonly recipient: Mailbox
  readonly bodyType: '7BIT' | '8BITMIME'
  /** it came with SMTPUTF8 (RFC 6531): its addresses and its header may be UTF-8 */
  readonly smtpUtf8?: true
  readonly dsn?: DsnRequest
  /** milliseconds since the epoch */
  readonly receivedAt: number
  /** octets of header and body as they will be sent, before transparency dots */
  readonly size: number
  readonly client: Endpoint
  readonly local: Endpoint
  readonly bindingGroup: string
  readonly binding: string
  /** lower case; where the message is sent instead of the recipient's domain, when policy says so */
  readonly routingDomain?: string
  /** 1: it leaves before others that wait for the same domain */
  readonly priority?: 1
  /** milliseconds since the epoch: an operator had it wait until then, also over a restart */
  readonly notBefore?: number
  /** first values of the headers that a custom_logger writes, by name in lower case; as they came in */
  readonly loggedHeaders?: Readonly<Record<string, string>>
  readonly connectionContext: ContextSnapshot
  readonly messageContext: ContextSnapshot
}

/** The domain by which a message is queued and routed. */
export function routingDomain({ routingDomain: chosen, recipient }: Envelope): string {
  return chosen ?? recipient.domain
}
