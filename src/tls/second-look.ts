/**
 * A second verification of a chain that OpenSSL refused in the handshake, where the scope asks for less than OpenSSL does.
 *
 * TLS_Client_EKU: public CAs give out certificates for servers alone. The chain is verified once more as a server's,
 * against the same CAs and revocation lists. `any` takes it when that ends without any error at all; `report` takes
 * nothing and tells. No code is ever excused: OpenSSL tells only the last of several errors, so that "wrong usage" may
 * hide that the chain leads to an attacker's own root.
 */

import { createHash } from 'node:crypto'
import type { InboundValues } from '../config/settings.ts'
import type { ClientCas } from './material.ts'
import type { SecondVerdict } from './peer.ts'
import type { Presented } from './presented.ts'
import type { RevocationLists } from './revocation.ts'
import { ChainVerifier } from './verify-without-key.ts'

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
}

/** sets of CAs and lists that are kept ready; each holds its own copy */
const MAX_VERIFIERS = 8

const NOTHING: SecondLook = { verdict: undefined, serverOnly: false }

export class SecondLooks {
  readonly #verifiers = new Map<string, ChainVerifier>()

  /** Never throws for what a client sent: what cannot be verified is not. */
  async look(presented: Presented, basis: SecondLookBasis): Promise<SecondLook> {
    const { tls_client_eku: eku } = basis.options
    // a resumed session tells nothing of the intermediates
    if (eku === 'clientAuth' || presented.failure === undefined || presented.resumed) return NOTHING
    if (presented.leaf === undefined || basis.cas === undefined) return NOTHING
    const chain = [presented.leaf, ...presented.sent].map(({ raw }) => raw)
    const failure = await this.#verifier(basis).verify(chain, 'serverAuth')
    return { verdict: eku === 'any' ? { failure } : undefined, serverOnly: failure === undefined }
  }

  #verifier({ cas, crls, ciphers }: SecondLookBasis): ChainVerifier {
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
