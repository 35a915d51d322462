/**
 * A second verification of a chain that OpenSSL refused in the handshake, where the scope asks for less than OpenSSL does.
 *
 * TLS_Client_EKU: public CAs give out certificates for servers alone. The chain is verified once more as a server's,
 * against the same CAs and revocation lists. `any` takes it when that ends without any error at all; `report` takes
 * nothing and tells. No code is ever excused: OpenSSL tells only the last of several errors, so that "wrong usage" may
 * hide that the chain leads to an attacker's own root.
 *
 * TLS_Client_CRL_Mode = soft: a revocation list that is missing or out of date is forgiven. The chain is verified once more
 * without lists, which must end without any error, and nothing of it may be listed by the last good lists.
 */

import { createHash } from 'node:crypto'
import type { InboundValues } from '../config/settings.ts'
import { lacksOnlyLists } from './chain-walk.ts'
import type { ClientCas } from './material.ts'
import type { SecondVerdict } from './peer.ts'
import type { Presented } from './presented.ts'
import type { RevocationLists } from './revocation.ts'
import { ChainVerifier, type Purpose } from './verify-without-key.ts'

export interface SecondLookBasis {
  readonly options: InboundValues
  readonly cas: ClientCas | undefined
  readonly crls: RevocationLists | undefined
  /** the cipher list in force, which may set OpenSSL's security level */
  readonly ciphers: string
}

export interface SecondLook {
  /** what counts instead of the first verdict; undefined: nothing does */
  readonly verdict: SecondVerdict | undefined
  /** the chain verifies as a server's and not as a client's */
  readonly serverOnly: boolean
  /** it counts although a revocation list is missing or out of date */
  readonly crlForgiven: boolean
}

/** sets of CAs and lists that are kept ready; each holds its own copy */
const MAX_VERIFIERS = 8

const NOTHING: SecondLook = { verdict: undefined, serverOnly: false, crlForgiven: false }

const GOOD: SecondVerdict = { failure: undefined }

/** What a certificate for servers is worth: with `report` only the news. */
function servers(eku: InboundValues['tls_client_eku'], crlForgiven: boolean): SecondLook {
  const taken = eku === 'any'
  return { verdict: taken ? GOOD : undefined, serverOnly: true, crlForgiven: taken && crlForgiven }
}

export class SecondLooks {
  readonly #verifiers = new Map<string, ChainVerifier>()

  /** Never throws for what a client sent: what cannot be verified is not. */
  look(presented: Presented, basis: SecondLookBasis, now: number): SecondLook | Promise<SecondLook> {
    const { resumed, failure } = presented
    // a resumed session tells nothing of the intermediates
    return failure === undefined || resumed ? NOTHING : this.#lookAgain(presented, basis, now)
  }

  async #lookAgain(presented: Presented, basis: SecondLookBasis, now: number): Promise<SecondLook> {
    const { tls_client_eku: eku, tls_client_crl_mode: mode } = basis.options
    const { leaf, sent, resumed } = presented
    const soft = mode === 'soft' && basis.crls !== undefined
    if (eku === 'clientAuth' && !soft) return NOTHING
    if (leaf === undefined || basis.cas === undefined) return NOTHING
    const chain = [leaf, ...sent].map(({ raw }) => raw)
    const good = async (purpose: Purpose, lists: RevocationLists | undefined): Promise<boolean> =>
      (await this.verifier({ ...basis, crls: lists }).verify(chain, purpose)) === undefined
    const forServers = eku !== 'clientAuth'
    if (forServers && (await good('serverAuth', basis.crls))) return servers(eku, false)
    const { cas, crls } = basis
    if (!soft || !lacksOnlyLists({ leaf, sent, resumed, cas, lists: crls?.parsed, now })) return NOTHING
    if (await good('clientAuth', undefined)) return { verdict: GOOD, serverOnly: false, crlForgiven: true }
    return forServers && (await good('serverAuth', undefined)) ? servers(eku, true) : NOTHING
  }

  /** Verdicts by a scope's CAs and lists. */
  verifier({ cas, crls, ciphers }: Omit<SecondLookBasis, 'options'>): ChainVerifier {
    const securityLevel = securityLevelOf(ciphers)
    const parts = [cas?.digest ?? '', crls?.digest ?? '', securityLevel ?? '']
    const key = createHash('sha256').update(JSON.stringify(parts)).digest('hex')
    const found = this.#verifiers.get(key)
    this.#verifiers.delete(key)
    const verifier = found ?? new ChainVerifier({ ca: cas?.pem ?? [], crls: crls?.pem, securityLevel })
    this.#verifiers.set(key, verifier)
    const [oldest] = this.#verifiers.keys()
    if (this.#verifiers.size > MAX_VERIFIERS && oldest !== undefined) this.#verifiers.delete(oldest)
    return verifier
  }
}

function securityLevelOf(ciphers: string): number | undefined {
  const level = /^.*@SECLEVEL=(\d)/i.exec(ciphers)?.[1]
  return level === undefined ? undefined : Number(level)
}
