/** Who may use a console, as a Control_Listener says it (momentum: control-auth, control-authz). */

import type { Position } from './diagnostic.ts'
import type { FilePath } from './settings-tls.ts'

type LoginOption =
  | 'authplainparameters'
  | 'authloginparameters'
  | 'authcrammd5parameters'
  | 'authdigestmd5parameters'
  | 'authexternalparameters'

/** What holds for one client of a console. */
export interface ControlAccess {
  /** by the option that gives them, the parameters of the mechanisms that there are */
  readonly mechanisms: Readonly<Partial<Record<LoginOption, Readonly<Record<string, string>>>>>
  /** of failed logins: how many, in how many seconds, and the longest wait before one is answered, seconds */
  readonly failures: { readonly limit: number; readonly window: number; readonly delay: number }
  /** nobody comes in, whatever he knows */
  readonly denied: boolean
  /** a Peer names a network of this address: somebody is expected from there */
  readonly expected: boolean
  /** whether a client must log in before its first command */
  readonly loginNeeded: boolean
  /** undefined: whoever is in may do everything */
  readonly authorization: ControlAuthorization | undefined
  /** seconds that a client may be silent; 0 = for ever */
  readonly timeout: number
}

export interface ControlAuthorization {
  /** which users are in which groups; undefined: a role is a user's name */
  readonly groups: GroupsSource | undefined
}

/** `text`: the uri as it is written */
export type GroupsSource =
  /** `groups:///path` */
  | (FilePath & { readonly kind: 'file' })
  /** QueryGroups of a Scheme of auth_ds, whose name is in lower case */
  | { readonly kind: 'scheme'; readonly scheme: string; readonly text: string }

/** A Role of Authorization: for the user, or the group, of that name. */
export interface RoleSettings {
  readonly name: string
  readonly at: Position
  /** commands that begin so, or otherwise match; searched, as Perl does, and not anchored */
  readonly allow: readonly RegExp[]
}

/** What a Control_Listener says besides what sessions of mail have too. */
export interface ControlOwnValues {
  /** undefined: on TCP, and where parameters of a mechanism are given */
  readonly enable_authentication: boolean | undefined
  /** undefined: where AuthorizationParameters are given */
  readonly enable_authorization: boolean | undefined
  readonly authorizationparameters: GroupsSource | undefined
  /** seconds; undefined: Control_Client_Timeout */
  readonly timeout: number | undefined
}
