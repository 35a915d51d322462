/**
 * What scripts offer to the rest of the server besides answers: console commands (`msys.registerControl`),
 * authentication schemes (`msys.registerAuth`) and endpoints of HTTP (`msys.httpsrv.register`).
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

/** What is asked of an endpoint. Byte strings. */
export interface EndpointRequest {
  readonly method: string
  /** of the URL, without its query */
  readonly path: string
  /** path and query, as the client wrote them */
  readonly url: string
}

export type EndpointAnswer =
  | {
      readonly kind: 'answered'
      /** 200 to 599 */
      readonly status: number
      readonly contentType: string
      /** octets */
      readonly body: string
    }
  | { readonly kind: 'wrong-method'; readonly allowed: readonly string[] }
  | { readonly kind: 'failed' }
  /** too many are under way */
  | { readonly kind: 'busy' }

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
  /** callouts that scripts registered, with FILE:LINE of each function */
  readonly functions: readonly { readonly script: string; readonly callout: string; readonly at: string }[]
  /** paths of the endpoints that scripts registered */
  readonly endpointPaths: readonly string[]
  /**
   * Asks a script's endpoint. Undefined when no script has the path. Never rejects.
   * @param gone aborted when nobody waits for the answer any more: a script that waits then ends
   */
  request(request: EndpointRequest, gone?: AbortSignal): Promise<EndpointAnswer | undefined>
}
