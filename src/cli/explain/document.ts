/**
 * What an explanation is: steps in the order in which a client meets them, and one conclusion. `--json` prints it as it
 * stands (docs/explain.md describes the shape); `render.ts` makes text of it.
 *
 * All text in it is Unicode in which nothing is left that a terminal would obey: `plain` and `fromBytes` see to that.
 */

export interface Explanation {
  /** of this shape; a field that is added does not change it */
  readonly version: 1
  readonly postern: string
  /** the main configuration file */
  readonly configuration: string
  readonly client: {
    readonly listen: string
    /** '' for a client of a UNIX socket */
    readonly address: string
    /** subject of the certificate that it shows, RFC 4514 */
    readonly certificate?: string
  }
  readonly steps: readonly Step[]
  readonly conclusion: Conclusion
  /** of all steps, in their order */
  readonly withheld: readonly WithheldEffect[]
}

export type StepName =
  | 'policy'
  | 'listen'
  | 'admission'
  | 'scope'
  | 'connect'
  | 'hello'
  | 'starttls'
  | 'handshake'
  | 'context'
  | 'auth'
  | 'mail'
  | 'rcpt'
  | 'later'

export interface Step {
  readonly step: StepName
  readonly title: string
  /** FILE:LINE of what decides it */
  readonly from?: string
  readonly details: readonly Detail[]
  /** what was said, in its order */
  readonly dialogue: readonly Exchange[]
  readonly policy: readonly PolicyAnswer[]
  readonly withheld: readonly WithheldEffect[]
  /** lines that a live server would write to its panic log */
  readonly alarms: readonly string[]
  /** something that was withheld before may have changed it */
  readonly conditional: boolean
}

export interface Detail {
  readonly name: string
  readonly value: string
  /** FILE:LINE, `default`, or who says so */
  readonly from?: string
}

export interface Exchange {
  /** absent where the server speaks first */
  readonly client?: string
  /** the lines of the reply with their code; empty: the connection ends without a word */
  readonly server: readonly string[]
}

export interface AnsweringScript {
  readonly name: string
  readonly callout: string
  /** of the call that answered */
  readonly from?: string
  /** where the function begins that answered by what it returned */
  readonly defined?: string
}

export interface PolicyAnswer {
  readonly phase: string
  readonly answer: 'continue' | 'done' | 'reply' | 'disconnect' | 'discard'
  readonly code?: number
  readonly text?: string
  readonly module?: string
  /** seconds that the client would wait first */
  readonly tarpit?: number
  readonly script?: AnsweringScript
}

export interface WithheldEffect {
  /** the function that was called, such as `client:do_request` */
  readonly effect: string
  readonly arguments: readonly string[]
  /** what the caller got instead */
  readonly answered: string
}

export interface Conclusion {
  readonly outcome: 'let-in' | 'refused' | 'handshake-failed' | 'no-tls' | 'not-served'
  readonly text: string
  /** whether anything was withheld on the way */
  readonly conditional: boolean
  /** of the peer at the end */
  readonly peer: 'plaintext' | 'anonymous' | 'unverified' | 'verified'
  /** why the certificate does not verify, or what ends the handshake */
  readonly cause?: string
  /** the reply that refused */
  readonly code?: number
}

/** Takes the sting out of a text: controls, bidirectional and other invisible characters are written as `\u{…}`. */
export function plain(text: string): string {
  return text
    .toWellFormed()
    .replaceAll(HARMFUL, (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`)
}

/** A byte string, read as UTF-8 where it is that. */
export function fromBytes(octets: string): string {
  const bytes = Buffer.from(octets, 'latin1')
  const text = bytes.toString('utf8')
  return plain(Buffer.from(text, 'utf8').equals(bytes) ? text : octets)
}

/** no letter, mark, number, punctuation, symbol or plain blank */
const HARMFUL = /[\p{C}\p{Zl}\p{Zp}]/gu
