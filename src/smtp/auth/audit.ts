/**
 * What is wrong with the files that authentication names, as far as looking at them tells: for `check` and for start-up.
 * Each finding once, at the option that names the file; of a line its number is told and never what stands in it.
 *
 * Errors are what can never let anybody in although the configuration says so. A file that is not there (yet) is a
 * warning: its users are answered 454 until it is.
 */

import { stat } from 'node:fs/promises'
import { type Diagnostic, describeOrigin } from '../../config/diagnostic.ts'
import { displayName } from '../../config/known-names.ts'
import type { InboundScope, Settings } from '../../config/settings.ts'
import { CachedFile } from './cached-file.ts'
import { parseUserList, type UserList } from './file-store.ts'
import { parseDigestList } from './htdigest-store.ts'
import { Identities, type IdentityKind, normaliseIdentity } from './identities.ts'
import type { MechanismRow } from './mechanism.ts'
import { MECHANISMS } from './mechanisms.ts'
import { configuredMechanisms } from './offer.ts'
import { AuthUnavailableError, type CredentialStore } from './store.ts'
import { type CredentialStores, filePath, schemeOf } from './stores.ts'

interface Finding {
  readonly severity: Diagnostic['severity']
  readonly text: string
}

/** @param stores knows the schemes that can be used */
export async function auditAuth(settings: Settings, stores: CredentialStores): Promise<Diagnostic[]> {
  const found = new Map<string, Diagnostic>()
  const looked = new Map<string, Promise<readonly Finding[]>>()
  for (const { scope, rows } of scopesWithLogins(settings)) {
    for (const row of rows) {
      const parameters = scope.options[row.option] ?? {}
      const key = `${row.name} ${parameters['uri'] ?? ''} ${parameters['identity'] ?? ''}`
      const findings = looked.get(key) ?? look(row, parameters, stores)
      looked.set(key, findings)
      for (const finding of await findings) add(found, scope, row, finding)
    }
  }
  return [...found.values()]
}

/** Those of mail, and the Listens of the console and of the page. */
function* scopesWithLogins(
  settings: Settings,
): Iterable<{ readonly scope: InboundScope; readonly rows: readonly MechanismRow[] }> {
  for (const { scope } of settings.inboundScopes()) yield { scope, rows: configuredMechanisms(scope) }
  for (const { scope } of settings.controlListens)
    yield { scope, rows: MECHANISMS.filter(({ option }) => scope.options[option] !== undefined) }
  for (const { scope, page } of settings.httpListens)
    if (page?.users !== undefined) yield { scope, rows: MECHANISMS.filter(({ name }) => name === 'LOGIN') }
}

// oxlint-disable-next-line max-params -- where it goes, and the parts of one diagnostic
function add(
  found: Map<string, Diagnostic>,
  scope: InboundScope,
  { option }: MechanismRow,
  { severity, text }: Finding,
): void {
  const origin = scope.origin(option)
  const message = `${displayName(option)}: ${text}`
  const key = `${describeOrigin(origin)}\0${message}`
  found.set(key, { severity, message, ...(origin === 'default' ? {} : { at: origin }) })
}

async function look(
  row: MechanismRow,
  parameters: Readonly<Record<string, string>>,
  stores: CredentialStores,
): Promise<readonly Finding[]> {
  const { uri, identity } = parameters
  if (uri === undefined) return []
  try {
    if (row.needsCertificate)
      return await lookAtIdentities(filePath(uri), identity?.toLowerCase() as IdentityKind)
    return await review(stores.open(uri, parameters), uri, row)
  } catch (error) {
    if (!(error instanceof AuthUnavailableError)) throw error
    return [{ severity: 'error', text: error.message }]
  }
}

/** Files are looked at here; other stores know best themselves. */
async function review(store: CredentialStore, uri: string, row: MechanismRow): Promise<readonly Finding[]> {
  const scheme = schemeOf(uri)
  if (scheme === 'file' || scheme === 'digest') return lookAtUsers(filePath(uri), scheme, row)
  return (await store.review?.(row.name)) ?? []
}

async function lookAtUsers(
  path: string,
  scheme: 'file' | 'digest',
  row: MechanismRow,
): Promise<readonly Finding[]> {
  return reading(path, async () => {
    if (scheme === 'digest') {
      const { strays } = await new CachedFile(path, parseDigestList).read()
      return strayLines(path, strays, 'user:realm:hash')
    }
    const list = await new CachedFile(path, parseUserList).read()
    return [...strayLines(path, list.strays, 'user:password'), ...unusable(path, list, row)]
  })
}

function unusable(path: string, { users }: UserList, { name }: MechanismRow): Finding[] {
  const entries = [...users.values()]
  const findings: Finding[] = []
  const hashed = name === 'PLAIN' || name === 'LOGIN' ? [] : entries.filter(({ kind }) => kind === 'hash')
  const [first] = hashed
  if (first !== undefined) {
    const others = hashed.length > 1 ? `, as ${hashed.length - 1} more lines have` : ''
    findings.push({
      severity: 'error',
      text: `${path}:${first.line} has a hashed password${others}, and ${name} needs clear text`,
    })
  }
  const unread = entries.find((entry) => entry.kind === 'unusable')
  if (unread?.kind === 'unusable') {
    findings.push({
      severity: 'warning',
      text: `${path}:${unread.line}: a hash "$${unread.what}$" of a kind or cost that is not read; nobody can log in with it (postern passwd makes $argon2id$ and $scrypt$)`,
    })
  }
  return findings
}

function strayLines(path: string, strays: readonly number[], form: string): Finding[] {
  const [first] = strays
  if (first === undefined) return []
  const others = strays.length > 1 ? ` (nor are ${strays.length - 1} more)` : ''
  return [{ severity: 'warning', text: `${path}:${first} is not ${form}${others}` }]
}

async function lookAtIdentities(path: string, kind: IdentityKind): Promise<readonly Finding[]> {
  return reading(path, async () => {
    const text = await new CachedFile(path, (whole) => whole).read()
    const list = new Identities(text)
    if (list.size === 0)
      return [{ severity: 'warning', text: `${path} names nobody: EXTERNAL lets nobody in` }]
    const odd = list.identities.find((each) => normaliseIdentity(kind, each) === '')
    if (odd === undefined) return []
    return [{ severity: 'warning', text: `${path}: "${odd}" is no ${kind}` }]
  })
}

/** Whoever can read the file has the passwords. */
async function reading(path: string, work: () => Promise<Finding[]>): Promise<readonly Finding[]> {
  try {
    const findings = await work()
    const { mode } = await stat(path)
    if ((mode & 0o007) === 0) return findings
    return [
      ...findings,
      {
        severity: 'warning',
        text: `${path} can be used by every user of this machine (chmod o= would keep them out)`,
      },
    ]
  } catch (error) {
    if (error instanceof AuthUnavailableError) return [{ severity: 'warning', text: error.message }]
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}
