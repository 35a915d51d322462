/** Checks of where a message comes from, and its signatures, as everything outside `config/` sees them: part of `settings.ts`. */

import type { Position } from './diagnostic.ts'
import type { FilePath } from './settings-tls.ts'

/** spf_v1 */
export interface SpfSettings {
  readonly name: string
  /** key of the message's context that holds the result */
  readonly context_variable: string
  /** whether Received-SPF is added */
  readonly add_headers: boolean
  readonly add_authentication_results: boolean
  /** + seconds for all questions to the DNS */
  readonly timeout: number
  readonly at: Position
}

/** What a signature is made with: of an opendkim stanza, or of a dkim_domain in it. */
export interface SigningValues {
  readonly base_domain: string | undefined
  readonly selector: string | undefined
  /** may hold %{d} and %{s} */
  readonly key: FilePath | undefined
  readonly digest: 'rsa-sha256' | 'ed25519-sha256' | undefined
  readonly header_canon: 'simple' | 'relaxed'
  readonly body_canon: 'simple' | 'relaxed'
  /** lower case */
  readonly headerlist: readonly string[]
  readonly oversign_headerlist: readonly string[]
  readonly skip_headerlist: readonly string[]
  /** hours; 0 = for ever */
  readonly lifetime: number
  /** key of the context without which nothing is signed; `none` = everything is */
  readonly sign_condition: string
  readonly body_length_limit: false
}

/** A domain whose mail is signed: what its own stanza says, and for the rest what the one around it says. */
export interface DkimDomainSettings extends SigningValues {
  /** of the author's address, in lower case */
  readonly domain: string
  readonly at: Position
  /** where an option's value stands */
  origin(option: keyof SigningValues): Position
}

/** opendkim */
export interface OpendkimSettings {
  readonly name: string
  /** + whether signatures of mail that comes in are verified */
  readonly validate: boolean
  /** + seconds for all questions to the DNS */
  readonly timeout: number
  readonly domains: readonly DkimDomainSettings[]
  readonly at: Position
}

/** openarc; + dmarc */
export interface CheckSettings {
  readonly name: string
  /** + whether every message is looked at */
  readonly validate: boolean
  readonly at: Position
}

/** Of spf_v1, opendkim, openarc and dmarc. */
export interface AuthenticitySettings {
  readonly spf: SpfSettings | undefined
  readonly opendkim: readonly OpendkimSettings[]
  readonly openarc: CheckSettings | undefined
  readonly dmarc: CheckSettings | undefined
}
