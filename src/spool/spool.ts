/**
 * Keep what was accepted.
 *
 * create → append* → commit | abort. When `commit` resolves, envelope, header and body of every message are on stable
 * storage, and they come back after a kill at any instant. One flush serves all sessions that wait at that moment.
 * A body is shared by the messages of its transaction that do not bring one of their own. Nothing here knows SMTP.
 */

import type { Envelope } from '../mail/envelope.ts'

/** What becomes durable for one recipient. */
export interface NewMessage {
  readonly envelope: Envelope
  /** the header as it will be sent: trace fields first, ends with the empty line (CRLF CRLF) */
  readonly header: Uint8Array
  /**
   * in the place of the body that was received; messages with the same array share it. Counted against nothing: who
   * makes one bounds it
   */
  readonly body?: Uint8Array
}

/** as many as a record can count */
export const MAX_DELAY_NOTICES = 15

/** Where a message stands on its way out. */
export interface DeliveryState {
  readonly attempts: number
  /** milliseconds since the epoch; 0 = at once */
  readonly nextAttempt: number
  /** kept, not tried again: its end, and the notice of it, is not settled yet */
  readonly failed: boolean
  /** it did not fail at all: it has left, and its sender is to be told (RFC 3461 §5.2) */
  readonly success?: 'delivered' | 'relayed'
  /** how often its sender was told that it is late; absent = never. At most MAX_DELAY_NOTICES */
  readonly delayNotices?: number
  /** the last answer, '' before the first attempt */
  readonly lastText: string
}

export interface StoredMessage {
  readonly envelope: Envelope
  readonly state: DeliveryState
}

/** The bytes of a kept message, to be sent or copied. */
export interface StoredContent {
  readonly header: Uint8Array
  /** octets of the body (what follows the header's empty line) */
  readonly bodySize: number
  body(): AsyncIterable<Uint8Array>
}

/** A message under reception. Small bodies stay in memory until commit, larger ones stream to a file. */
export interface ReceptionWriter {
  /** octets of body appended so far */
  readonly size: number
  /**
   * Takes body bytes; the chunk is copied or written before the call settles. A promise comes back only when the
   * caller must wait (file I/O, memory budget).
   * @throws SpoolFullError when the reserve would be touched
   */
  append(chunk: Uint8Array): void | Promise<void>
  /**
   * Writes what waits for a body's file, so that a full disk is known before anybody reads the body; undefined where nothing
   * waits. @throws SpoolFullError, or what the file reported
   */
  settle(): Promise<void> | undefined
  /**
   * The whole body so far, in memory. Whoever wants it takes room for it first.
   * @throws when appending has failed or is under way
   */
  read(): Promise<Uint8Array>
  /**
   * The body so far, piece by piece: it takes no more memory however large it is. Nothing may be appended meanwhile.
   * @throws when appending has failed or is under way
   */
  chunks(): AsyncIterable<Uint8Array>
  /** Takes memory from the budget that all receptions share, until commit or abort; false when there is none. */
  reserve(octets: number): boolean
  /** Makes the messages durable. Resolves after the flush. The writer is used up. @throws SpoolFullError */
  commit(messages: readonly NewMessage[]): Promise<void>
  /** Forgets everything. Harmless after commit. */
  abort(): Promise<void>
}

/** The reserve (`Spool_Min_Free`) would be touched: 452 4.3.1. */
export class SpoolFullError extends Error {
  constructor(message = 'the spool has no room') {
    super(message)
    this.name = 'SpoolFullError'
  }
}

export interface Spool {
  /** whether a new message may be taken now: checked before MAIL */
  hasRoom(): boolean
  create(): ReceptionWriter
  /** every message kept here, in no particular order; after a start, all that was recovered */
  messages(): Iterable<StoredMessage>
  /** One of them. undefined when it is gone */
  message(id: string): Promise<StoredMessage | undefined>
  /**
   * Tells equal content cheaply: messages for which it is the same have the same header and the same body, octet for
   * octet. undefined when the message is gone
   */
  contentKey(id: string): number | undefined
  /** undefined when the message is gone */
  read(id: string): Promise<StoredContent | undefined>
  /**
   * Makes a new state durable. Resolves after the flush; at once when the message is gone.
   * @param envelope in the place of the one that is kept, with the same id
   */
  update(id: string, state: DeliveryState, envelope?: Envelope): Promise<void>
  /** Forgets a message; its body goes with the last message that shares it. Resolves after the flush. */
  remove(id: string): Promise<void>
  close(): Promise<void>
}
