/** One line of meaning for every option of databases, and of users in them. */

import type { AuthSchemeSettings, DatasourceSettings } from '../../src/config/settings.ts'
import type { Notes } from './notes.ts'

export const datasourceNotes: Notes<Omit<DatasourceSettings, 'name' | 'at'>> = {
  uri: '`( "sqlite:/path" )` or `( "pgsql:host=…;dbname=…;user=…;password=…" )`; several are asked in turn',
  cache_life: 'seconds that a result may be used again',
  cache_size: 'results that are kept; the one used longest ago goes first',
  max_rows: 'rows of one result that are read; `-1` reads all',
  no_cache: 'whether every query goes to the database',
  max_connections: '+ connections to each database at once',
  query_timeout: '+ seconds for one query, waiting for a connection included',
}

export const authenticateNotes: Notes<Omit<AuthSchemeSettings, 'name' | 'at'>> = {
  query: 'SQL with `:name` where values go',
  cache: 'name of the datasource',
  map: '`[ user = "%{username}" ]`: what each `:name` of the query is',
  returns_password: 'whether the query returns the password, rather than whether it is right',
  password_column: 'column of the password; the first one unless given',
  type: 'how passwords are kept',
  type_column: 'column that says how this password is kept',
  type_map: '`[ S = "ssha1" ]`: what the values of that column mean',
}
