/**
 * Whether a change turns a verification off, or lets somebody in who was kept out: said in the answer and in the audit
 * line. Judged by what is effective for those whom the changed scope speaks of, not by the words alone.
 */

import { type EvaluationPlace, evaluateValue } from '../evaluate.ts'
import { displayName } from '../known-names.ts'
import type { Settings } from '../settings.ts'
import type { LiveChange } from './change.ts'
import { pathKey, type ScopePath } from './steps.ts'

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
  enable_authentication: [false, true],
  enable_authorization: [false, true],
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
const checks: readonly string[] = ['tls_client_crl', 'tls_client_ca', 'tls_verify_depth']

export interface Weakening {
  /** in lower case */
  readonly option: string
  readonly message: string
}

/** @returns for each option of the change that is weaker afterwards, one sentence */
export function weakerBy(change: LiveChange, before: Settings, after: Settings): readonly Weakening[] {
  if (change.kind === 'scratch')
    return [{ option: '', message: 'everything that the files of the configuration say no longer holds' }]
  const names = change.option === undefined ? [...Object.keys(strength), ...checks] : [change.option]
  return names.flatMap((option) => {
    if (!Object.hasOwn(strength, option) && !checks.includes(option)) return []
    for (const place of placesOf(change.path, after)) {
      const [was, is] = [valueAt(before, option, place), valueAt(after, option, place)]
      if (was === NOT_THERE || is === NOT_THERE) continue
      if (isWeaker(option, was, is))
        return [
          {
            option,
            message: `${displayName(option)} is weaker than before: ${shown(was)} became ${shown(is)}`,
          },
        ]
    }
    return []
  })
}

const NOT_THERE = Symbol('not there')

function valueAt(settings: Settings, option: string, place: EvaluationPlace): unknown {
  try {
    return evaluateValue(settings, option, place)
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

function shown(value: unknown): string {
  if (value === undefined) return 'unset'
  return typeof value === 'string' || typeof value === 'boolean' ? String(value) : 'a value'
}

/** Whom a scope speaks of: one client of each Listen, or the destination. */
function placesOf(path: ScopePath, settings: Settings): readonly EvaluationPlace[] {
  const instanceOf = (name: string): string | undefined => path.find((step) => step.name === name)?.instance
  const [domain, binding, group] = [instanceOf('domain'), instanceOf('binding'), instanceOf('binding_group')]
  const outbound: EvaluationPlace = {
    domain: domain ?? '',
    ...(binding !== undefined && { binding: group === undefined ? binding : `${group}/${binding}` }),
  }
  const [peer, pathway] = [instanceOf('peer')?.split('/')[0], instanceOf('pathway')]
  const key = pathKey(path)
  const listens = settings.listens.map(({ instance }) => instance)
  const named = instanceOf('listen')
  const inbound = (key.includes('listen ') && named !== undefined ? [named] : listens).map((listen) => ({
    listen,
    ...(peer !== undefined && { peer }),
    ...(pathway !== undefined && { pathway }),
  }))
  if (path.some(({ name }) => ['domain', 'binding', 'binding_group', 'host'].includes(name)))
    return [outbound]
  return path.length === 0 ? [...inbound, outbound] : inbound
}
