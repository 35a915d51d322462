/**
 * What is wrong with the groups of operators, as far as the databases and files of this machine tell: queries that make no
 * sense, and roles that nobody can have. Nothing is asked over a network.
 */

import { readFile } from 'node:fs/promises'
import { accessOf } from '../config/control-access.ts'
import type { Diagnostic } from '../config/diagnostic.ts'
import type { Dictionary, Settings } from '../config/settings.ts'
import type { GroupsSource } from '../config/settings-control.ts'
import type { Datasources } from '../policy/datasource/datasource.ts'
import { DatasourceError } from '../policy/datasource/driver.ts'
import { AuthUnavailableError } from '../smtp/auth/store.ts'
import { type CredentialStores, schemeOf } from '../smtp/auth/stores.ts'
import { OperatorGroups } from './groups.ts'

/** Queries that cannot work, of Schemes that are asked: for `check` and for start-up. */
export async function auditGroupQueries(
  settings: Settings,
  datasources: Datasources,
): Promise<readonly Diagnostic[]> {
  const sources = restricted(settings).map(({ groups }) => groups)
  const asked = (name: string): boolean =>
    sources.some((source) => source?.kind === 'scheme' && source.scheme === name)
  const found: Diagnostic[] = []
  for (const { name, ofUser, all, at } of settings.groupSchemes.filter((each) => asked(each.name))) {
    for (const [what, group] of [['QueryGroups', ofUser] as const, ['EnumGroups', all] as const]) {
      if (group === undefined) continue
      for (const { severity, text } of await examine(datasources, group.cache, group.query))
        found.push({ severity, message: `${what} of Scheme "${name}": ${text}`, at })
    }
  }
  return found
}

async function examine(
  datasources: Datasources,
  cache: string,
  query: string,
): ReturnType<ReturnType<Datasources['open']>['examine']> {
  try {
    return await datasources.open(cache).examine(query)
  } catch (error) {
    // a driver that is not implemented: nobody is in any group
    if (error instanceof DatasourceError) return [{ severity: 'error', text: error.message }]
    throw error
  }
}

/** Roles that no group gives and whose name nobody has. Silent where that cannot be told. */
export async function auditRoles(
  settings: Settings,
  datasources: Datasources,
  stores: CredentialStores,
): Promise<readonly Diagnostic[]> {
  const places = restricted(settings)
  if (places.length === 0) return []
  const found: Diagnostic[] = []
  const groups = new OperatorGroups(settings, datasources)
  for (const { name, at } of settings.roles) {
    if (await mayBeSomebody(name, { settings, groups, stores, places })) continue
    const message = `Role "${name}" is for nobody: no group and no user has this name`
    found.push({ severity: 'warning', message, at })
  }
  return found
}

/** A console or a page where roles are asked for. */
interface Restricted {
  readonly groups: GroupsSource | undefined
  /** the stores of its users */
  readonly users: readonly Dictionary[]
  /** certificates name users too, and what they say is anybody's guess */
  readonly certificates: boolean
  /** so does this machine */
  readonly system: boolean
}

interface Places {
  readonly settings: Settings
  readonly groups: OperatorGroups
  readonly stores: CredentialStores
  readonly places: readonly Restricted[]
}

function restricted({ controlListens, httpListens }: Settings): readonly Restricted[] {
  const consoles = controlListens.flatMap(({ scope, address }) => {
    const unix = address.kind === 'unix'
    const { authorization, denied, loginNeeded, mechanisms } = accessOf(scope, !unix, 0)
    if (authorization === undefined || denied) return []
    const { authexternalparameters: certificates, ...users } = mechanisms
    return {
      groups: authorization.groups,
      users: Object.values(users),
      certificates: certificates !== undefined,
      system: unix && !loginNeeded,
    }
  })
  const pages = httpListens.flatMap(({ page }) => {
    if (page?.authorization === undefined) return []
    const { users, authorization } = page
    const certificates = users === undefined
    return { groups: authorization.groups, users: certificates ? [] : [users], certificates, system: false }
  })
  return [...consoles, ...pages]
}

async function mayBeSomebody(name: string, { places, ...sources }: Places): Promise<boolean> {
  for (const { groups, users, certificates, system } of places) {
    if (certificates) return true
    try {
      if (groups !== undefined && (await mayBeGroup(name, groups, sources))) return true
      if (await mayBeUser(name, users, sources)) return true
    } catch (error) {
      // what cannot be looked at has been told, or is elsewhere
      if (error instanceof AuthUnavailableError) return true
      throw error
    }
    if (system && (await isSystemUser(name))) return true
  }
  return false
}

async function mayBeGroup(
  name: string,
  source: GroupsSource,
  { settings, groups }: Omit<Places, 'places'>,
): Promise<boolean> {
  const scheme = settings.groupSchemes.find((each) => source.kind === 'scheme' && each.name === source.scheme)
  if (source.kind === 'scheme' && !isNear(settings, scheme?.all?.cache)) return true
  return (await groups.all(source))?.includes(name) ?? true
}

async function mayBeUser(
  name: string,
  users: readonly Dictionary[],
  { settings, stores }: Omit<Places, 'places'>,
): Promise<boolean> {
  const user = Buffer.from(name, 'utf8').toString('latin1')
  for (const parameters of users) {
    const uri = parameters['uri'] ?? ''
    const scheme = settings.schemes.find((each) => each.name === schemeOf(uri))
    if (scheme !== undefined && !isNear(settings, scheme.cache)) return true
    const store = stores.open(uri, parameters)
    if (store.stamp === undefined || (await store.stamp(user)) !== undefined) return true
  }
  return false
}

/** Whether a datasource is nothing but files of this machine. */
function isNear({ datasources }: Settings, cache: string | undefined): boolean {
  const uris = datasources.find(({ name }) => name === cache)?.uri ?? []
  return uris.length > 0 && uris.every(({ kind }) => kind === 'sqlite')
}

async function isSystemUser(name: string): Promise<boolean> {
  const text = await readFile('/etc/passwd', 'utf8').catch(() => undefined)
  return text === undefined || text.split('\n').some((line) => line.startsWith(`${name}:`))
}
