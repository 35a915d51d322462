/** A TLS_OCSP stanza, as everything outside `config/` sees it: part of `settings.ts`. Times are in seconds. */

import type { Position } from './diagnostic.ts'
import type { FilePath } from './settings-tls.ts'

export interface OcspSettings {
  readonly name: string
  /** certificates of the CAs whose certificates the responder knows */
  readonly ca: FilePath
  /** an http or https URL */
  readonly responder: string
  /** certificates of which one signs every answer; undefined: the CA does, or whom it has appointed */
  readonly signer: FilePath | undefined
  /** roots against which an https responder is verified */
  readonly responder_ca: FilePath | undefined
  /** for one question */
  readonly timeout: number
  /** the longest that an answer is used again; its own next update may come earlier */
  readonly cache_time: number
  /** whether a nonce is sent, and must come back; one that comes back must be ours anyway */
  readonly nonce: 'send' | 'require' | 'off'
  readonly at: Position
}
