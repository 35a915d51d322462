/** The ways out that are stanzas of their own, as everything outside `config/` sees them: part of `settings.ts`. */

import type { Position } from './diagnostic.ts'
import type { FilePath } from './settings-tls.ts'

/** What a macro stands for; the values are a stranger's, besides the id. */
export type PipeMacro =
  | 'id'
  | 'sender'
  | 'sender_local'
  | 'sender_domain'
  | 'recipient'
  | 'recipient_local'
  | 'recipient_domain'

/** Text with macros, taken apart. */
export interface Template {
  /** as written */
  readonly text: string
  readonly parts: readonly (string | { readonly macro: PipeMacro })[]
}

/** `pipe_transport "name" { }`. Names are Momentum's (modules/pipe-transport); those marked + are extensions. */
export interface PipeValues {
  /** an absolute path; never looked for, and never run by a shell */
  readonly program_name: FilePath
  /** domains in lower case whose mail ends here */
  readonly domain: readonly string[]
  /** exit status → a reply of SMTP, in place of what sysexits.h says */
  readonly code: Readonly<Record<string, string>>
  /** what the program writes is appended there; undefined: it goes into the outcome */
  readonly output_file: FilePath | undefined
  readonly error_file: FilePath | undefined
  /** + */
  readonly arguments: readonly Template[]
  /** + all of it */
  readonly environment: Readonly<Record<string, Template>>
  /** + where the program runs */
  readonly directory: FilePath
  /** + seconds for one run */
  readonly timeout: number
  /** + runs at once */
  readonly max_concurrent: number
}

export interface PipeSettings extends PipeValues {
  readonly name: string
  readonly at: Position
}

/** + `webhook "name" { }` */
export interface WebhookValues {
  /** as written; nothing of a message is ever put into it */
  readonly url: string
  /** in lower case */
  readonly domains: readonly string[]
  /** one, or with its predecessor or successor two: each of them signs */
  readonly key_file: readonly FilePath[]
  /** who vouches for the receiver */
  readonly tls_ca: FilePath | undefined
  /** shown to the receiver */
  readonly tls_certificate: FilePath | undefined
  readonly tls_key: FilePath | undefined
  /** names of the validation context that are told to the receiver */
  readonly context_keys: readonly string[]
  /** seconds for one request, from the connection to the answer */
  readonly timeout: number
  /** requests at once */
  readonly max_concurrent: number
}

export interface WebhookSettings extends WebhookValues {
  readonly name: string
  readonly at: Position
}

export interface WaysOut {
  readonly pipes: readonly PipeSettings[]
  readonly webhooks: readonly WebhookSettings[]
}
