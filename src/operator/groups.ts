/**
 * The groups that operators are in (momentum: control-authz, modules/auth-ds): lines of a file, or QueryGroups of a Scheme.
 *
 * A group gives rights, and must not give them any longer than the database does: it is asked each time, and nothing that
 * it said before counts. Whatever goes wrong is AuthUnavailableError, which the caller takes for "no rights at all". Of a
 * user's name a value is made and never SQL.
 */

import { expandMap } from '../config/codec-datasource.ts'
import type { Settings } from '../config/settings.ts'
import type { GroupsSource } from '../config/settings-control.ts'
import type { GroupQuery, GroupSchemeSettings } from '../config/settings-datasource.ts'
import { parseGroups } from '../console/authorization.ts'
import { Datasources } from '../policy/datasource/datasource.ts'
import { DatasourceError, type DbParameters, type DbRows, type DbValue } from '../policy/datasource/driver.ts'
import { CachedFile } from '../smtp/auth/cached-file.ts'
import { AuthUnavailableError } from '../smtp/auth/store.ts'

/** of one user; what comes after them is left out */
const MAX_GROUPS = 1000
/** characters; a longer one is no group */
const MAX_NAME = 256

/** The databases of a configuration, for operators: what they answered before is never used again. */
export function operatorDatasources({ datasources }: Settings): Datasources {
  return new Datasources(datasources.map((each) => ({ ...each, no_cache: true })))
}

export class OperatorGroups {
  readonly #schemes: ReadonlyMap<string, GroupSchemeSettings>
  readonly #datasources: Datasources
  /** by path */
  readonly #files = new Map<string, CachedFile<ReadonlyMap<string, readonly string[]>>>()

  /** @param datasources of `operatorDatasources` */
  constructor({ groupSchemes }: Pick<Settings, 'groupSchemes'>, datasources: Datasources) {
    this.#schemes = new Map(groupSchemes.map((each) => [each.name, each]))
    this.#datasources = datasources
  }

  /** The groups of a user, as they are now. @throws AuthUnavailableError */
  async of(source: GroupsSource, user: string): Promise<readonly string[]> {
    if (source.kind === 'file') return (await this.#file(source.path)).get(user) ?? []
    // no database holds such a name
    if (user.includes('\0') || !user.isWellFormed()) return []
    const { ofUser } = this.#scheme(source)
    const at = user.lastIndexOf('@')
    const values = {
      username: user,
      username_localpart: at === -1 ? user : user.slice(0, at),
      username_domain: at === -1 ? '' : user.slice(at + 1),
      uri: source.text,
      password: '',
      realm: '',
      crypt: '',
    }
    const parameters = Object.entries(ofUser.map).map(([key, text]) => [key, expandMap(text, values)])
    return await this.#ask(source.scheme, ofUser, Object.fromEntries(parameters) as DbParameters)
  }

  /** The groups that there are; undefined: nobody says. @throws AuthUnavailableError */
  async all(source: GroupsSource): Promise<readonly string[] | undefined> {
    if (source.kind === 'file') return [...new Set([...(await this.#file(source.path)).values()].flat())]
    const { all } = this.#scheme(source)
    return all && (await this.#ask(source.scheme, all, {}))
  }

  #scheme({ scheme }: Extract<GroupsSource, { kind: 'scheme' }>): GroupSchemeSettings {
    const found = this.#schemes.get(scheme)
    if (found === undefined)
      throw new AuthUnavailableError(`no Scheme "${scheme}" of auth_ds has QueryGroups`)
    return found
  }

  async #file(path: string): Promise<ReadonlyMap<string, readonly string[]>> {
    let file = this.#files.get(path)
    if (file === undefined) {
      file = new CachedFile(path, (text) => parseGroups(Buffer.from(text, 'latin1').toString('utf8')))
      this.#files.set(path, file)
    }
    return await file.read()
  }

  async #ask(
    scheme: string,
    { query, cache, group_column }: GroupQuery,
    parameters: DbParameters,
  ): Promise<readonly string[]> {
    try {
      const rows = await this.#datasources.open(cache).query(query, parameters, { fresh: true })
      return namesOf(rows, group_column)
    } catch (error) {
      if (!(error instanceof DatasourceError)) throw error
      throw new AuthUnavailableError(`groups of auth_ds Scheme "${scheme}": ${error.message}`, {
        cause: error,
      })
    }
  }
}

/** Each once. @throws DatasourceError when there is no such column */
function namesOf({ columns, rows }: DbRows, column: string | undefined): readonly string[] {
  const exact = column === undefined ? 0 : columns.indexOf(column)
  // SQL folds names that are not quoted
  const at = exact === -1 ? columns.findIndex((each) => each.toLowerCase() === column?.toLowerCase()) : exact
  if (at === -1) throw new DatasourceError(`the query returns no column "${column}"`)
  const names = new Set<string>()
  for (const row of rows) {
    if (names.size === MAX_GROUPS) break
    const name = textOf(row[at])
    if (name !== undefined && name !== '' && name.length <= MAX_NAME) names.add(name)
  }
  return [...names]
}

/** undefined: no name of a group. A role has exactly the name: nothing is trimmed or folded */
function textOf(value: DbValue | undefined): string | undefined {
  if (typeof value === 'string') return value
  if (typeof value === 'number') return String(value)
  if (!(value instanceof Uint8Array)) return undefined
  const text = Buffer.from(value).toString('utf8')
  return Buffer.from(text, 'utf8').equals(value) ? text : undefined
}
