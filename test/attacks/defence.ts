/** What a row of `defences.ts` holds. */

export interface Defence {
  /** identifiers or the name of the class; what is not an identifier of a product's own list stays a description */
  readonly known: string
  readonly attack: string
  /** a test file, and the beginning of a test's title in it as the source writes it */
  readonly test: readonly [file: string, title: string]
  readonly source: string
  /**
   * Texts of `source`, or of another file where the defence has two layers, each there once, and what takes the defence
   * away; none: OpenSSL or Node defends, the test watches
   */
  readonly mutation?: readonly (readonly [text: string, replacement: string, file?: string])[]
}
