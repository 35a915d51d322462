/** What an operator changed of the configuration in force. */

/** A value was set or unset from the console, or something became of such changes. acctlog `C`. */
export interface ConfigurationChange {
  readonly kind: 'configuration-change'
  readonly at: number
  /** `dropped`: by a reload, or by the stop; `saved`: a file of the configuration says so now */
  readonly act: 'set' | 'unset' | 'begun from scratch' | 'dropped' | 'saved'
  /** who; Unicode text, here and below */
  readonly operator: string
  /** where from: address and port, or `local` */
  readonly from: string
  /** the change's own place: `<console>:7`; the file for `saved` */
  readonly place: string
  /** `ESMTP_Listener Listen ":25"`; '' for the global scope */
  readonly scope: string
  /** '' for a scope as a whole */
  readonly option: string
  /** as a configuration file writes them, without passwords; '' where it was or is not set there */
  readonly before: string
  readonly after: string
  /** what is weaker than before; '' where nothing is */
  readonly warning: string
}
