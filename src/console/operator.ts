/**
 * Who gives a command: what commands, audit lines and the accounting log call the operator. It is as sure as the way in
 * which it was found, and never taken from what a client merely says.
 */

export interface Operator {
  /**
   * The user who logged in, the user of the system at the other end of a UNIX socket, or the subject of a verified client
   * certificate (RFC 4514, escaped); `console` where nothing says who it is. Unicode text.
   */
  readonly name: string
  /** how that is known */
  readonly known: 'password' | 'certificate' | 'system-user' | 'not'
  /** where from: `192.0.2.7:4711`, or `local` for a UNIX socket */
  readonly from: string
}

/** Whoever may connect to a socket that asks for nothing more. */
export const anonymousOperator: Operator = { name: 'console', known: 'not', from: 'local' }
