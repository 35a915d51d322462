/**
 * What is wrong with the groups of operators, as far as the databases and files of this machine tell: queries that make no
 * sense, and roles that nobody can have. Nothing is asked over a network.
 */

import { readFile } from 'node:fs/promises'
import { accessOf } from '../config/control-access.ts'
import type { Diagnostic } from '../config/diagnostic.ts'
import type { Settings } from '../config/settings.ts'
import type { ControlAccess, GroupsSource } from '../config/settings-control.ts'
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
  const sources = restrictedAccesses(settings).map(({ access }) => access.authorization?.groups)
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
  const accesses = restrictedAccesses(settings)
  if (accesses.length === 0) return []
  const found: Diagnostic[] = []
  const groups = new OperatorGroups(settings, datasources)
  for (const { name, at } of settings.roles) {
    if (await mayBeSomebody(name, { settings, groups, stores, accesses })) continue
    const message = `Role "${name}" is for nobody: no group and no user has this name`
    found.push({ severity: 'warning', message, at })
  }
  return found
}

interface Restricted {
  readonly access: ControlAccess
  readonly unix: boolean
}

interface Places {
  readonly settings: Settings
  readonly groups: OperatorGroups
  readonly stores: CredentialStores
  readonly accesses: readonly Restricted[]
}

function restrictedAccesses({ controlListens }: Settings): readonly Restricted[] {
  const consoles = controlListens.map(({ scope, address }) => {
    const unix = address.kind === 'unix'
    return { unix, access: accessOf(scope, !unix, 0) }
  })
  return consoles.filter(({ access }) => access.authorization !== undefined && !access.denied)
}

async function mayBeSomebody(name: string, { accesses, ...places }: Places): Promise<boolean> {
  for (const { access, unix } of accesses) {
    const source = access.authorization?.groups
    try {
      if (source !== undefined && (await mayBeGroup(name, source, places))) return true
      if (await mayBeUser(name, access, places)) return true
    } catch (error) {
      // what cannot be looked at has been told, or is elsewhere
      if (error instanceof AuthUnavailableError) return true
      throw error
    }
    if (unix && !access.loginNeeded && (await isSystemUser(name))) return true
  }
  return false
}

async function mayBeGroup(
  name: string,
  source: GroupsSource,
  { settings, groups }: Omit<Places, 'accesses'>,
): Promise<boolean> {
  const scheme = settings.groupSchemes.find((each) => source.kind === 'scheme' && each.name === source.scheme)
  if (source.kind === 'scheme' && !isNear(settings, scheme?.all?.cache)) return true
  return (await groups.all(source))?.includes(name) ?? true
}

async function mayBeUser(
  name: string,
  { mechanisms }: ControlAccess,
  { settings, stores }: Omit<Places, 'accesses'>,
): Promise<boolean> {
  // the names that certificates give are anybody's guess
  if (mechanisms.authexternalparameters !== undefined) return true
  const user = Buffer.from(name, 'utf8').toString('latin1')
  for (const parameters of Object.values(mechanisms)) {
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
