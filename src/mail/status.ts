/**
 * Replies and the errors that carry them.
 *
 * A reply is what the client is told; the cause of an error is what the log is told. The two never mix: a reply's
 * text names no mechanism, path or option.
 */

/** An SMTP reply: RFC 5321 §4.2. `text` holds the enhanced status code, if any (RFC 3463); "\n" starts a new line. */
export interface Reply {
  /** three digits, 200–599 */
  readonly code: number
  readonly text: string
}

/** Whose doing an error is: the client's, ours, or a policy's decision. */
export type Fault = 'peer' | 'us' | 'policy'

/** Thrown inside a command and caught once, in the session, which sends the reply. */
export class SmtpError extends Error {
  readonly reply: Reply
  readonly fault: Fault
  /** whether the connection is closed after the reply */
  readonly close: boolean

  constructor(
    reply: Reply,
    options: { readonly fault?: Fault; readonly close?: boolean; readonly cause?: unknown } = {},
  ) {
    super(`${reply.code} ${reply.text}`, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'SmtpError'
    this.reply = reply
    this.fault = options.fault ?? 'peer'
    this.close = options.close ?? false
  }
}
