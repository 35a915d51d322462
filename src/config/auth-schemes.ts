/**
 * What the parts of an auth_ds Scheme say about one another: the datasource exists, each placeholder of the query has a
 * value, and the options go together. Whether the query makes sense to the database is for whoever can ask it.
 */

import { crossesNetworkInClear } from './codec-datasource.ts'
import type { Position } from './diagnostic.ts'
import { suggestion } from './edit-distance.ts'
import { displayName } from './known-names.ts'
import type { Model, SchemeStanza, Stanza } from './model.ts'
import { quote } from './render.ts'
import type { Report } from './report.ts'
import type { DatasourceUri, Dictionary } from './settings.ts'
import { placeholders } from './sql-placeholders.ts'

export function checkAuthSchemes(model: Model, report: Report): void {
  for (const scheme of model.authSchemes.values()) {
    const { authenticate, groups } = scheme
    for (const stanza of [authenticate, ...groups.values()]) {
      checkCache(stanza, model, report)
      if (speaksSql(stanza, model)) checkPlaceholders(stanza, report)
    }
    if (speaksSql(authenticate, model)) checkOptions(authenticate, report)
    checkGroups(scheme, report)
  }
  for (const { stanza } of model.datasources.values()) warnOfNetwork(stanza, report)
}

function checkCache({ settings }: Stanza, { datasources }: Model, report: Report): void {
  const setting = settings.get('cache')
  if (setting === undefined) return
  const name = setting.value as string
  if (datasources.has(name)) return
  report.error(`there is no datasource ${quote(name)}${suggestion(name, datasources.keys())}`, setting.at)
}

/** Drivers that are not implemented have query languages of their own. */
function speaksSql({ settings }: Stanza, { datasources }: Model): boolean {
  const name = settings.get('cache')?.value
  const uris = datasources.get(String(name))?.stanza.settings.get('uri')?.value
  return !((uris ?? []) as readonly DatasourceUri[]).some(({ kind }) => kind === 'unbuilt')
}

function checkPlaceholders({ scope, settings }: Stanza, report: Report): void {
  const query = settings.get('query')
  if (query === undefined) return
  const map = settings.get('map')
  const mapped = Object.keys(map?.value ?? {})
  const used = placeholders(query.value as string)
  for (const name of new Set(used)) {
    if (scope === 'enumgroups')
      report.error('the query of EnumGroups is about nobody: it takes no values', query.at)
    else if (name === '?')
      report.error('the query has ?, and map gives values by name: write :user', query.at)
    else if (!mapped.includes(name))
      report.error(`Map has no value for :${name} of the query${suggestion(name, mapped)}`, query.at)
  }
  for (const name of mapped) {
    if (!used.includes(name))
      report.warning(`the query has no :${name}, to which Map gives a value`, placeOf(map))
  }
}

function checkOptions({ settings }: Stanza, report: Report): void {
  const returns = settings.get('returns_password')?.value === true
  for (const name of ['password_column', 'type', 'type_column', 'type_map']) {
    const setting = settings.get(name)
    if (setting === undefined || returns) continue
    report.error(
      `${displayName(name)} needs returns_password = true: without it the query says whether the password is right`,
      setting.at,
    )
  }
  const map = settings.get('map')
  const password = Object.values((map?.value ?? {}) as Dictionary).some((text) => /%\{password\b/.test(text))
  if (settings.has('query') && !returns && !password) {
    report.error(
      'a query that does not return the password must be given it: map = [ … pass = "%{password}" ], or returns_password = true',
      settings.get('query')?.at,
    )
  }
  const type = settings.get('type')
  const column = settings.get('type_column')
  if (type !== undefined && column !== undefined)
    report.warning('Type counts, and Type_Column does not, where both are set', column.at)
  const types = settings.get('type_map')
  if (types !== undefined && column === undefined) report.error('Type_Map needs a Type_Column', types.at)
}

/** What gives groups to more than was meant. */
function checkGroups({ authenticate, groups }: SchemeStanza, report: Report): void {
  const [own, all] = [groups.get('querygroups'), groups.get('enumgroups')]
  if (own === undefined) {
    if (all !== undefined)
      report.warning('EnumGroups does nothing without QueryGroups: nobody is in any group', all.at)
    return
  }
  const map = own.settings.get('map')
  const asked = namesIn(map?.value)
  const query = own.settings.get('query')
  if (query !== undefined && !own.wrong.has('map') && !asked.some((name) => name.startsWith('username')))
    report.warning('this query is not given the name of the user: everybody is in the same groups', query.at)
  if (!asked.includes('username_localpart') || tellsDomain(asked)) return
  const login = namesIn(authenticate.settings.get('map')?.value)
  if (login.includes('username_localpart') && !tellsDomain(login)) return
  report.warning(
    'groups are asked for by the part before the @ alone: root@anywhere is in the groups of root',
    placeOf(map),
  )
}

function namesIn(map: unknown): readonly string[] {
  const texts = Object.values((map ?? {}) as Dictionary)
  return texts.flatMap((text) => [...text.matchAll(/%\{(\w+)/g)].map(([, name = '']) => name))
}

function tellsDomain(names: readonly string[]): boolean {
  return names.includes('username') || names.includes('username_domain')
}

function warnOfNetwork({ settings }: Stanza, report: Report): void {
  const setting = settings.get('uri')
  for (const uri of (setting?.value ?? []) as readonly DatasourceUri[]) {
    if (uri.kind !== 'pgsql' || !crossesNetworkInClear(uri.login)) continue
    report.warning(
      `what ${quote(uri.login.host)} answers crosses the network in clear, passwords included: sslmode=verify-full;sslrootcert=/path`,
      placeOf(setting),
    )
  }
}

function placeOf(setting: { readonly at: Position } | undefined): Position | undefined {
  return setting?.at
}
