/**
 * `postern check FILE`: reads the configuration, then loads every certificate, CA, CRL and script that it names, and
 * prints everything there is to say. Listens on nothing and writes nothing.
 */

import { hostname as systemHostname } from 'node:os'
import { loadSigningKeys } from '../authenticity/signing-keys.ts'
import type { Diagnostic } from '../config/diagnostic.ts'
import { loadSettings } from '../config/load.ts'
import type { Settings } from '../config/settings.ts'
import { auditWaysOut } from '../delivery/audit-ways-out.ts'
import { auditSessions } from '../delivery/session/audit.ts'
import { SessionMaterial } from '../delivery/session/material.ts'
import { auditGroupQueries, auditRoles } from '../operator/audit-groups.ts'
import { Datasources } from '../policy/datasource/datasource.ts'
import type { Policy } from '../policy/phases.ts'
import { createPolicy } from '../policy/run.ts'
import { auditAuth } from '../smtp/auth/audit.ts'
import { HashQueue } from '../smtp/auth/hash-queue.ts'
import { findSchemes } from '../smtp/auth/schemes.ts'
import { CredentialStores } from '../smtp/auth/stores.ts'
import { auditTls } from '../tls/audit.ts'
import { auditPartners } from '../tls/partners/audit-partners.ts'
import { type Io, say, styler } from './io.ts'
import { locateConfig } from './locate.ts'
import { auditSecurity } from './privileges.ts'
import { silenceWarning } from './silence.ts'

/** @returns 0 when there are no errors, else 1 */
export async function runCheck(named: string | undefined, io: Io): Promise<number> {
  const file = locateConfig(named)
  const { settings, diagnostics } = await loadSettings(file)
  const all = settings === undefined ? diagnostics : [...diagnostics, ...(await inspect(settings))]
  say(io, all)
  const errors = all.filter(({ severity }) => severity === 'error').length
  const warnings = all.length - errors
  const paint = styler(io)
  const verdict = errors > 0 ? paint('red', 'not usable') : paint('green', 'usable')
  io.stdout.write(`${file}: ${verdict}, ${count(errors, 'error')}, ${count(warnings, 'warning')}\n`)
  return errors > 0 ? 1 : 0
}

/** What can be said only by looking at the files that the configuration names. */
async function inspect(settings: Settings): Promise<readonly Diagnostic[]> {
  const tls = await auditTls(settings, Date.now())
  const policy = await createPolicy({
    scripts: settings.scripts,
    hostname: settings.global.hostname ?? systemHostname(),
    events: { emit: () => undefined },
  })
  const auth = await inspectAuth(settings, policy.policy)
  const material = new SessionMaterial(settings.global.mta_sts_ca)
  const sessions = (await auditSessions(settings, material, Date.now())).filter((each) => !isAmong(tls, each))
  return [
    ...tls,
    ...sessions,
    ...(await auditWaysOut(settings, process.getuid?.())),
    ...(await auditPartners(settings, Date.now())),
    ...(await loadSigningKeys(settings.authenticity)).diagnostics,
    ...policy.diagnostics,
    ...unservedEndpoints(settings, policy.policy),
    ...auth,
    ...silenceWarning(settings),
    ...auditSecurity(settings),
  ]
}

async function inspectAuth(settings: Settings, policy: Policy): Promise<readonly Diagnostic[]> {
  const datasources = new Datasources(settings.datasources)
  try {
    const { schemes, diagnostics } = findSchemes({ settings, datasources, policy, hashes: new HashQueue() })
    const stores = new CredentialStores({ schemes })
    const groups = await auditGroupQueries(settings, datasources)
    // where a query is wrong, what it gives says nothing
    const roles = groups.length === 0 ? await auditRoles(settings, datasources, stores) : []
    return [...diagnostics, ...(await auditAuth(settings, stores)), ...groups, ...roles]
  } finally {
    await datasources.close()
  }
}

/** What a script registers for HTTP is served where an HTTP_Listener says so, and nowhere else. */
function unservedEndpoints({ httpListens }: Settings, { offers }: Policy): readonly Diagnostic[] {
  const [first, ...more] = offers?.endpointPaths ?? []
  const served = httpListens.some(({ scope, scriptEndpoints }) => scope.options.enable && scriptEndpoints)
  if (first === undefined || served) return []
  const others = more.length === 0 ? '' : ` and ${more.length} more`
  const message = `scripts register the endpoint ${first}${others}, and no HTTP_Listener has Script_Endpoints = true: nobody can ask`
  return [{ severity: 'warning', message }]
}

/** A global certificate is one of both sides. */
function isAmong(all: readonly Diagnostic[], { message, at }: Diagnostic): boolean {
  return all.some(
    (each) => each.message === message && each.at?.line === at?.line && each.at?.file === at?.file,
  )
}

function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? '' : 's'}`
}
