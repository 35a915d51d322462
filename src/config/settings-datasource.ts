/** Databases by name, and what auth_ds asks of them (momentum: modules/ds-core, modules/auth-ds). */

import type { Position } from './diagnostic.ts'
import type { FilePath } from './settings-tls.ts'

/** How a database is reached. */
export type DatasourceUri =
  | { readonly kind: 'sqlite'; readonly file: FilePath }
  | { readonly kind: 'pgsql'; readonly login: PostgresLogin }
  /** a driver of Momentum's that is not implemented */
  | { readonly kind: 'unbuilt'; readonly driver: string }

export interface PostgresLogin {
  /** a name, an address, or the folder of a UNIX socket */
  readonly host: string
  readonly port: number
  readonly database: string
  readonly user: string
  /** '' when there is none */
  readonly password: string
  /** seconds */
  readonly connectTimeout: number
  readonly applicationName: string
  readonly ssl:
    | { readonly mode: 'disable' }
    | { readonly mode: 'require' }
    /** `servername` '' when the server is known by its address alone */
    | { readonly mode: 'verify-full'; readonly rootFile: string; readonly servername: string }
}

export interface DatasourceSettings {
  readonly name: string
  /** asked in turn: they are said to give the same answers */
  readonly uri: readonly DatasourceUri[]
  /** seconds that a result may be used again */
  readonly cache_life: number
  /** results that are kept */
  readonly cache_size: number
  /** rows of one result that are read; undefined = all */
  readonly max_rows: number | undefined
  readonly no_cache: boolean
  /** + connections to each database at once */
  readonly max_connections: number
  /** + seconds for one query, waiting for a connection included */
  readonly query_timeout: number
  readonly at: Position
}

/** How a password is kept in a database (momentum: modules/auth-ds; `phc` is an extension). */
export type PasswordType =
  | 'clear'
  /** hex or base64 */
  | 'md5'
  | 'md5_hex'
  | 'md5_base64'
  | 'smd5'
  | 'sha1_hex'
  | 'sha1_base64'
  | 'ssha1'
  | 'rfc2307'
  | 'digest-md5'
  | 'phc'
  // recognised, not implemented
  | 'ucrypt'
  | 'hmac_md5'

/** A Scheme of auth_ds: `name://` in the parameters of AUTH. */
export interface AuthSchemeSettings {
  /** in lower case */
  readonly name: string
  readonly query: string
  /** the datasource's name */
  readonly cache: string
  /** placeholder of the query → text with macros */
  readonly map: Readonly<Record<string, string>>
  readonly returns_password: boolean
  readonly password_column: string | undefined
  readonly type: PasswordType | undefined
  readonly type_column: string | undefined
  readonly type_map: Readonly<Record<string, PasswordType>>
  readonly at: Position
}

/** What asks for groups: their names are in `group_column`, one in each row. */
export interface GroupQuery {
  readonly query: string
  /** the datasource's name */
  readonly cache: string
  /** the first column unless given */
  readonly group_column: string | undefined
}

/** The groups of a Scheme of auth_ds: `name://` in AuthorizationParameters. */
export interface GroupSchemeSettings {
  /** in lower case */
  readonly name: string
  /** QueryGroups: those of a user */
  readonly ofUser: UserGroupQuery
  /** EnumGroups: those that there are */
  readonly all: GroupQuery | undefined
  readonly at: Position
}

export interface UserGroupQuery extends GroupQuery {
  /** placeholder of the query → text with macros */
  readonly map: Readonly<Record<string, string>>
}
