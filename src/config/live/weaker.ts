/**
 * Whether a change turns a verification off, or lets somebody in who was kept out: said in the answer and in the audit
 * line. Judged by what is effective for those whom the changed scope speaks of, not by the words alone.
 */

import { isDeepStrictEqual } from 'node:util'
import { type EvaluationPlace, evaluateValue } from '../evaluate.ts'
import { displayName } from '../known-names.ts'
import type { Settings } from '../settings.ts'
import type { LiveChange } from './change.ts'
import { findScope } from './scope-tree.ts'
import type { ScopePath } from './steps.ts'
import { rowOf } from './target.ts'
import type { ConfigurationView } from './view.ts'

/** From the weakest to the strongest; what is not among them is as strong as whatever else is not. */
const strength: Readonly<Record<string, readonly unknown[]>> = {
  tls_verify_mode: ['none', undefined, 'require'],
  require_tls: [false, true],
  tls_client_ocsp: [false, true],
  tls_client_ocsp_mode: ['soft', 'hard'],
  tls_client_crl_mode: ['soft', 'hard'],
  tls_client_eku: ['any', 'report', 'clientAuth'],
  starttls_injection_policy: ['allow', 'ignore', 'reject'],
  allow_plaintext_auth: [true, false],
  always_allow: [true, false],
  always_deny: [false, true],
  open_relay: [true, false],
  tls_verified_peer_can_relay: [true, false],
  proxy_protocol: [true, false],
  use_ssl: [false, true],
  enable_authentication: [false, undefined, true],
  enable_authorization: [false, undefined, true],
  tls: ['no', 'ifavailable', 'required'],
  tls_verify: ['no', 'optional', 'ca', 'host'],
  use_dane: [false, true],
  enable_dane: [false, undefined, true],
  use_mta_sts: [false, true],
  enable_mta_sts: [false, undefined, true],
  outbound_smtp_auth_plaintext: [true, false],
  validate: [false, true],
}

/** Without a value there is no check, or nothing to check against. */
const checks: readonly string[] = [
  'tls_client_crl',
  'tls_client_ca',
  'tls_verify_depth',
  'authorizationparameters',
]

/** Who may do what: an entry that was not there gives more. */
const grants: readonly string[] = ['allow', 'page_operators']

const logins: readonly string[] = [
  'authplainparameters',
  'authloginparameters',
  'authcrammd5parameters',
  'authdigestmd5parameters',
  'authexternalparameters',
]
/** Who operators are, and in which groups, is told there: by the outermost scope. */
const tellers: Readonly<Record<string, readonly string[]>> = {
  control_listener: [...logins, 'authorizationparameters'],
  http_listener: [...logins, 'authorizationparameters'],
  auth_ds: [
    'query',
    'cache',
    'map',
    'group_column',
    'returns_password',
    'password_column',
    'type',
    'type_column',
    'type_map',
  ],
  datasource: ['uri'],
}

export interface Weakening {
  /** in lower case */
  readonly option: string
  readonly message: string
}

/** @returns for each option of the change that is weaker afterwards, one sentence */
export function weakerBy(
  change: LiveChange,
  before: ConfigurationView,
  after: ConfigurationView,
): readonly Weakening[] {
  if (change.kind === 'scratch')
    return [{ option: '', message: 'everything that the files of the configuration say no longer holds' }]
  const { path, option: only } = change
  // another pathway, or a scope that is gone: anything may be another thing
  const all = only === undefined || only === 'pathway'
  const names = all ? [...Object.keys(strength), ...checks] : [only]
  return names.flatMap((option) => {
    if (grants.includes(option) || option === 'file_mode') {
      const [was, is] = [before, after].map((view) => valueAt(view, { path, option }, undefined))
      const message = `${displayName(option)} gives more than before`
      return givesMore(was, is) ? [{ option, message }] : []
    }
    if (tellsOfOthers(option, path, { before, after }))
      return [{ option, message: `${displayName(option)} says who may do what, and is another than before` }]
    if (!Object.hasOwn(strength, option) && !checks.includes(option)) return []
    for (const place of placesOf(path, after.settings)) {
      const [was, is] = [valueAt(before, { path, option }, place), valueAt(after, { path, option }, place)]
      if (was === NOT_THERE || is === NOT_THERE || !isWeaker(option, was, is)) continue
      const message = `${displayName(option)} is weaker than before: ${shown(was)} became ${shown(is)}`
      return [{ option, message }]
    }
    return []
  })
}

/** Another file or query than before may let in anybody, and give him anything. */
function tellsOfOthers(
  option: string,
  path: ScopePath,
  { before, after }: { readonly before: ConfigurationView; readonly after: ConfigurationView },
): boolean {
  if (tellers[path[0]?.name ?? '']?.includes(option) !== true) return false
  const [was, is] = [before, after].map((view) => {
    const value = valueAt(view, { path, option }, undefined)
    return value === NOT_THERE ? undefined : value
  })
  // a further way to log in lets somebody in, and where there is none any more nobody is asked for one
  return (logins.includes(option) || (was !== undefined && is !== undefined)) && !isDeepStrictEqual(was, is)
}

const NOT_THERE = Symbol('not there')

/** @param place undefined: what the scope says itself */
function valueAt(
  { settings, tree }: ConfigurationView,
  target: { readonly path: ScopePath; readonly option: string },
  place: EvaluationPlace | undefined,
): unknown {
  const { path, option } = target
  if (place === undefined) {
    const row = rowOf(target)
    const scope = findScope(tree, path)
    if (row === undefined || scope === undefined) return NOT_THERE
    const set = scope.options.get(option)
    const silent = { directory: '/', error: () => undefined, warning: () => undefined }
    return set === undefined ? row.default : row.codec(set.value, silent)?.value
  }
  try {
    return settings === undefined ? NOT_THERE : evaluateValue(settings, option, place)
  } catch {
    // such a client or destination is new, or gone
    return NOT_THERE
  }
}

function isWeaker(option: string, was: unknown, is: unknown): boolean {
  if (checks.includes(option)) return was !== undefined && is === undefined
  const order = strength[option] ?? []
  const [before, after] = [order.indexOf(was), order.indexOf(is)]
  return after !== -1 && before !== -1 && after < before
}

function givesMore(was: unknown, is: unknown): boolean {
  if (typeof is === 'number') return typeof was === 'number' && (is & ~was) !== 0
  const before = new Set(Array.isArray(was) ? was.map(String) : [])
  return Array.isArray(is) && is.some((each) => !before.has(String(each)))
}

function shown(value: unknown): string {
  if (value === undefined) return 'unset'
  return typeof value === 'string' || typeof value === 'boolean' ? String(value) : 'a value'
}

const outboundScopes: readonly string[] = ['domain', 'binding', 'binding_group', 'host']
const inboundScopes: readonly string[] = ['esmtp_listener', 'pathway', 'pathway_group']

/** Whom a scope speaks of: one client of each Listen, or the destination; undefined stands for the scope itself. */
function placesOf(path: ScopePath, settings: Settings | undefined): readonly (EvaluationPlace | undefined)[] {
  const instanceOf = (name: string): string | undefined => path.find((step) => step.name === name)?.instance
  const [first] = path
  const [domain, binding, group] = [instanceOf('domain'), instanceOf('binding'), instanceOf('binding_group')]
  const outbound: EvaluationPlace = {
    domain: domain ?? '',
    ...(binding !== undefined && { binding: group === undefined ? binding : `${group}/${binding}` }),
  }
  if (first !== undefined && outboundScopes.includes(first.name)) return [outbound]
  if (first !== undefined && !inboundScopes.includes(first.name)) return [undefined]
  const [peer, pathway, named] = [
    instanceOf('peer')?.split('/')[0],
    instanceOf('pathway'),
    instanceOf('listen'),
  ]
  const listens = named === undefined ? (settings?.listens ?? []).map(({ instance }) => instance) : [named]
  const inbound = listens.map((listen) => ({
    listen,
    ...(peer !== undefined && { peer }),
    ...(pathway !== undefined && { pathway }),
  }))
  return first === undefined ? [...inbound, outbound] : inbound
}
