/**
 * What a verdict on a client's certificate rests on: one list, from which follows when two scopes judge alike, which
 * scopes give tickets, and what a ticket is bound to.
 */

import { createHash } from 'node:crypto'
import type { InboundValues } from '../config/settings.ts'
import type { ClientCas } from './material.ts'
import type { TlsFacts } from './peer.ts'
import type { RevocationLists } from './revocation.ts'

/** Whether two scopes judge certificates by the same rules. */
export function sameTrust(a: InboundValues, b: InboundValues): boolean {
  return a === b || rules(a) === rules(b)
}

function rules(options: InboundValues): string {
  return JSON.stringify([
    options.tls_verify_mode ?? 'unset',
    options.tls_client_ca?.path ?? '',
    options.tls_client_crl?.path ?? '',
    options.tls_verify_depth ?? 'unlimited',
    options.tls_client_eku,
    options.tls_client_crl_mode,
    options.tls_client_ocsp,
    options.tls_client_ocsp_mode,
  ])
}

/**
 * Whether a scope gives session tickets. A ticket carries the leaf and OpenSSL's code: where a verdict needs more than
 * that it cannot be given again.
 */
export function givesTickets(options: InboundValues): boolean {
  const { tls_verify_depth: depth, tls_client_eku: eku, tls_client_crl_mode: crl } = options
  const plain = depth === undefined && eku === 'clientAuth' && crl === 'hard' && !options.tls_client_ocsp
  return options.tls_session_tickets && plain
}

/** What one handshake is judged by. */
export interface TrustBasis {
  readonly scopeId: string
  readonly options: InboundValues
  readonly mode: TlsFacts['mode']
  readonly cas: ClientCas | undefined
  readonly crls: RevocationLists | undefined
  readonly tickets: boolean
  /** when a CA or CRL begins or ceases to be valid, milliseconds */
  readonly turningPoints: readonly number[]
}

/**
 * Everything that a verdict rests on: mode, CAs, revocation lists, which of them are valid at the moment (a ticket does
 * not know that a CRL has expired since), the scope's rules and its identity. Two scopes without tickets may share a
 * context.
 */
export function trustDigest(basis: TrustBasis, now: number): Buffer {
  const { options, mode, cas, crls, turningPoints, tickets, scopeId } = basis
  const passed = turningPoints.filter((point) => point <= now).length
  const parts = [
    'postern trust 2',
    mode,
    cas?.digest ?? '',
    crls?.digest ?? '',
    passed,
    rules(options),
    tickets ? scopeId : '',
  ]
  return createHash('sha256').update(JSON.stringify(parts)).digest()
}

/** OpenSSL takes 32 octets at most, and Node takes a text: 24 octets of the digest in base64. */
export function sessionIdContext(trust: Buffer): string {
  return trust.subarray(0, 24).toString('base64')
}
