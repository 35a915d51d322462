/**
 * Who stands at the console's door, and what he may do: asked by the server for every connection and every command.
 * Implemented where passwords, certificates and the configuration are known (`console-doors.ts`).
 */

import type { Operator } from './operator.ts'
import type { Room } from './waiting-room.ts'

/** Of one connection. */
export interface Door {
  /** the Listen as configured */
  readonly listener: string
  /**
   * what counts as one client's address: of IPv6 a whole /64; on a UNIX socket the user of the system, '' before he has shown
   * himself
   */
  readonly network: string
  /** where he waits who has to log in */
  readonly room: Room
  /** milliseconds that the client may be silent; 0 = for ever. As the configuration in force has it */
  readonly timeout: number
  /** who may come in as he is; undefined: he has to log in */
  readonly operator: Operator | undefined
  readonly offer: LoginOffer
  /** Begins a login. @param initial base64 of the client's first words; undefined: it waits for a challenge */
  begin(mechanism: string, initial: string | undefined): Promise<LoginStep>
  /** The client's answer to a challenge, base64; `*` gives up. */
  next(response: string): Promise<LoginStep>
  /**
   * Before a command runs, and accounted for.
   * @param command as it is run, which rules of authorization read
   * @param shown the same without its secrets, for accounts
   */
  admit(operator: Operator, command: string, shown: string): Promise<Admission>
  /** Of a command that goes on: whether it would still be allowed. */
  stillAllows(operator: Operator, command: string): Promise<boolean>
  /** What somebody may, and why. */
  standingOf(operator: Operator): Promise<Standing>
  /** A command has ended. @param shown as in `admit` */
  ended(operator: Operator, shown: string, good: boolean): void
}

/** By AuthorizationParameters and Authorization, as they are now. */
export interface Standing {
  /** that he is in; undefined: nobody can tell at the moment */
  readonly groups: readonly string[] | undefined
  /** the uri that says so; undefined: none does */
  readonly source: string | undefined
  /** that he has; undefined: nobody asks for roles, and he may do everything */
  readonly roles: readonly string[] | undefined
}

/** Told to a client when it connects. */
export interface LoginOffer {
  readonly needed: boolean
  readonly mechanisms: readonly string[]
  /**
   * What a client on a UNIX socket makes, with mode 0700, to show whose process it is: `login SYSTEM-USER` then looks
   * at the owner. It takes the folder away afterwards. Where a login is needed, it comes before it: failures count by user.
   */
  readonly folder?: string
}

export type LoginStep =
  /** base64 */
  | { readonly kind: 'challenge'; readonly data: string }
  | { readonly kind: 'passed'; readonly operator: Operator }
  /** whose process it is, where a login is needed all the same */
  | { readonly kind: 'noted' }
  /** `close`: and nothing more is heard */
  | { readonly kind: 'failed'; readonly reason: string; readonly close: boolean }

export type Admission =
  | { readonly kind: 'allowed' }
  /** `close`: who he is no longer counts, since the configuration has changed */
  | { readonly kind: 'denied'; readonly reason: string; readonly close: boolean }
