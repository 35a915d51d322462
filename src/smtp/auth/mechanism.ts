/**
 * A SASL mechanism (RFC 4422) as the AUTH command sees it: a short exchange of octets that ends in an outcome.
 *
 * Octets are byte strings without base64, which is SMTP's business (`exchange.ts`). A mechanism knows no session, writes
 * to no log and grants nothing.
 */

import type { Dictionary } from '../../config/settings.ts'
import type { Peer } from '../../tls/peer.ts'
import type { Identities } from './identities.ts'
import type { MechanismName } from './mechanism-name.ts'
import { type CredentialStore, UnfitPasswordError } from './store.ts'

/** What happens next. */
export type Step = Challenge | Outcome

export interface Challenge {
  readonly kind: 'challenge'
  readonly data: string
}

/** The end. A user who failed is the one who was claimed. */
export interface Outcome {
  readonly kind: 'outcome'
  readonly status: 'pass' | 'fail'
  readonly user: string
  /** why a right password would have failed too: for the panic log */
  readonly alarm?: string
}

/** One exchange; made for each AUTH command. */
export interface Mechanism {
  readonly name: MechanismName
  /**
   * @param initial the client's initial response, undefined when it waits for a challenge. Only given to mechanisms in
   *   which the client speaks first
   * @throws MalformedResponse, AuthUnavailableError
   */
  start(initial: string | undefined): Step | Promise<Step>
  /** The client's answer to a challenge. @throws MalformedResponse, AuthUnavailableError */
  next(response: string): Step | Promise<Step>
}

/** What an exchange rests on. */
export interface Grounds {
  readonly store: CredentialStore
  /** who may use EXTERNAL; undefined: whoever has an identity */
  readonly identities: () => Promise<Identities | undefined>
  /** the scope's parameters of this mechanism, keys in lower case */
  readonly parameters: Dictionary
  /** of DIGEST-MD5's digest-uri, in small letters; `smtp` unless given */
  readonly service?: string
  /** this host's name, for challenges and as default realm */
  readonly hostname: string
  /** who is on the other end, as far as a certificate tells */
  readonly peer: Peer
  /** what counts as the client's address */
  readonly client: string
}

/** How a mechanism is offered and made. */
export interface MechanismRow {
  readonly name: MechanismName
  /** the option without which it is not offered */
  readonly option:
    | 'authplainparameters'
    | 'authloginparameters'
    | 'authcrammd5parameters'
    | 'authdigestmd5parameters'
    | 'authexternalparameters'
  /** whether the client may speak first (RFC 4954 §4: otherwise an initial response is refused) */
  readonly clientFirst: boolean
  /** whether it is for clients with a verified certificate only */
  readonly needsCertificate: boolean
  begin(grounds: Grounds): Mechanism
}

/** The client's octets are not what the mechanism prescribes: 501, and no attempt was made. */
export class MalformedResponse extends Error {
  constructor() {
    super('malformed authentication message')
    this.name = 'MalformedResponse'
  }
}

export function challenge(data: string): Challenge {
  return { kind: 'challenge', data }
}

/** A look-up that fails this user alone fails like a wrong password. */
export async function orFailure(user: string, work: () => Promise<Step>): Promise<Step> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof UnfitPasswordError)) throw error
    return { ...outcome(user, false), alarm: error.message }
  }
}

export function outcome(user: string, passed: boolean): Outcome {
  return { kind: 'outcome', status: passed ? 'pass' : 'fail', user }
}
