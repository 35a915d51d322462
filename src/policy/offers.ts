/**
 * What scripts offer to the rest of the server besides answers: console commands (`msys.registerControl`) and
 * authentication schemes (`msys.registerAuth`).
 */

export type AuthAnswer = 'ok' | 'fail' | 'error'

/** An attempt as a scheme of a script gets it. All strings are byte strings. */
export interface AuthAttempt {
  /** what stands behind `scheme://` in the URI */
  readonly path: string
  /** the parameters dictionary of the mechanism */
  readonly parameters: Readonly<Record<string, string>>
  readonly user: string
  readonly password: string
}

export type CommandAnswer =
  | { readonly kind: 'done'; readonly output: string }
  | { readonly kind: 'failed'; readonly output: string; readonly message: string }

export interface PolicyOffers {
  /** first words of the console commands that scripts registered */
  readonly commands: readonly string[]
  /** URI schemes that scripts authenticate */
  readonly schemes: readonly string[]
  /** Runs a console command, its own name first. Undefined when no script has it. Never rejects. */
  command(words: readonly string[]): Promise<CommandAnswer | undefined>
  /**
   * Asks a script's scheme. Undefined when no script has it. Never rejects: what goes wrong is `error` and a line of the
   * panic log.
   */
  authenticate(scheme: string, attempt: AuthAttempt): Promise<AuthAnswer | undefined>
}
