/** The URI schemes of a configuration besides files: those of auth_ds, those that scripts registered, and ac_auth. */

import type { Diagnostic } from '../../config/diagnostic.ts'
import type { Settings } from '../../config/settings.ts'
import type { Datasources } from '../../policy/datasource/datasource.ts'
import type { Policy } from '../../policy/phases.ts'
import { AcAuthStore } from './ac-auth-store.ts'
import { datasourceSchemes } from './ds-store.ts'
import type { HashQueue } from './hash-queue.ts'
import { ScriptStore } from './script-store.ts'
import { builtInSchemes, type SchemeOpener } from './stores.ts'

export interface SchemeSources {
  readonly settings: Settings
  readonly datasources: Datasources
  readonly policy: Pick<Policy, 'offers' | 'wants' | 'ask'>
  readonly hashes: HashQueue
}

export interface FoundSchemes {
  /** for `CredentialStores` */
  readonly schemes: ReadonlyMap<string, SchemeOpener>
  readonly diagnostics: readonly Diagnostic[]
}

/** A name means one thing: the program's own, then auth_ds, then a script's. */
export function findSchemes({ settings, datasources, policy, hashes }: SchemeSources): FoundSchemes {
  const schemes = new Map<string, SchemeOpener>(datasourceSchemes(settings.schemes, datasources, hashes))
  const diagnostics: Diagnostic[] = []
  for (const name of policy.offers?.schemes ?? []) {
    const scheme = name.toLowerCase()
    if (schemes.has(scheme) || builtInSchemes.includes(scheme)) {
      const message = `msys.registerAuth: "${name}" is the name of another scheme, and the script's is never asked`
      diagnostics.push({ severity: 'error', message })
      continue
    }
    schemes.set(
      scheme,
      (uri, parameters) =>
        new ScriptStore({
          offers: () => policy.offers,
          scheme: name,
          path: uri.slice(uri.indexOf('://') + '://'.length),
          parameters,
        }),
    )
  }
  if (policy.wants('auth_perform')) schemes.set('ac_auth', () => new AcAuthStore(policy))
  return { schemes, diagnostics }
}
