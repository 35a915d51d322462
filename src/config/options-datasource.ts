/**
 * The options of `datasource`, and of `Authenticate`, `QueryGroups` and `EnumGroups` in a Scheme of auth_ds. Names and defaults are Momentum's
 * (modules/ds-core, modules/auth-ds); rows marked + are extensions.
 */

import { bool, type Codec, count, line, longSeconds } from './codec.ts'
import {
  datasourceUris,
  expansionMap,
  groupMap,
  passwordType,
  passwordTypeMap,
  sqlText,
} from './codec-datasource.ts'
import { type OptionTable, type ScopeName, within } from './option-row.ts'
import type { AuthSchemeSettings, DatasourceSettings } from './settings.ts'
import type { GroupQuery, UserGroupQuery } from './settings-datasource.ts'

const datasource: readonly ScopeName[] = ['datasource']

/** Momentum: -1 is "unlimited". */
const rows: Codec<number | undefined> = (value, context) =>
  value.kind === 'scalar' && value.text === '-1'
    ? { value: undefined }
    : count('-1 for all, or a number of rows', { min: 1 })(value, context)

export const datasourceOptions: OptionTable<Omit<DatasourceSettings, 'name' | 'at'>> = {
  /** required: the default is never used */
  uri: { codec: datasourceUris, default: Object.freeze([]), scopes: datasource },
  cache_life: { codec: longSeconds, default: 3600, scopes: datasource },
  cache_size: { codec: count('a whole number', { max: 1_000_000 }), default: 1000, scopes: datasource },
  max_rows: { codec: rows, default: 100, scopes: datasource },
  no_cache: { codec: bool, default: false, scopes: datasource },
  /** + */
  max_connections: {
    codec: count('a whole number', { min: 1, max: 100 }),
    default: 4,
    scopes: datasource,
  },
  /** + */
  query_timeout: {
    codec: count('a whole number of seconds', { min: 1, max: 300 }),
    default: 10,
    scopes: datasource,
  },
}

const authenticate: readonly ScopeName[] = ['authenticate']
const column = { codec: line, default: undefined, scopes: authenticate }

export const authenticateOptions: OptionTable<Omit<AuthSchemeSettings, 'name' | 'at'>> = {
  /** required, as is cache: the defaults are never used */
  query: { codec: sqlText, default: '', scopes: authenticate },
  cache: { codec: line, default: '', scopes: authenticate },
  map: { codec: expansionMap, default: Object.freeze({}), scopes: authenticate },
  returns_password: { codec: bool, default: false, scopes: authenticate },
  password_column: column,
  type: { codec: passwordType, default: undefined, scopes: authenticate },
  type_column: column,
  type_map: { codec: passwordTypeMap, default: Object.freeze({}), scopes: authenticate },
}

/** required are query and cache, here too */
const groups: readonly ScopeName[] = ['querygroups']
const allGroups: readonly ScopeName[] = ['enumgroups']

export const queryGroupsOptions: OptionTable<UserGroupQuery> = {
  query: within(authenticateOptions.query, groups),
  cache: within(authenticateOptions.cache, groups),
  group_column: { codec: line, default: undefined, scopes: groups },
  map: { codec: groupMap, default: Object.freeze({}), scopes: groups },
}

export const enumGroupsOptions: OptionTable<GroupQuery> = {
  query: within(authenticateOptions.query, allGroups),
  cache: within(authenticateOptions.cache, allGroups),
  group_column: { codec: line, default: undefined, scopes: allGroups },
}
