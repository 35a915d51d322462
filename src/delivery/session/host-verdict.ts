/**
 * Who the host is that mail is about to be given to, and how do we know: the counterpart of `tls/peer.ts`.
 *
 * The verdict is a type: a `VerifiedHost` can be made only here (its class is not exported), and whatever was promised
 * a verified host takes that type, never a boolean. Being encrypted says nothing about who is at the other end.
 * RFC 5280, 7672 §3, 8461 §4.1; Momentum: config/tls-verify.
 */

import type { X509Certificate } from 'node:crypto'
import { readCertificate } from '../../tls/certificate.ts'
import { MalformedCertificate } from '../../tls/der.ts'
import { type CertificateFacts, causeOf, type VerifyCause, type VerifyFailure } from '../../tls/peer.ts'
import { certificateNames } from './host-names.ts'
import { matchTlsa, type TlsaRecord } from './tlsa.ts'

/** No TLS. */
export interface PlaintextHost {
  readonly kind: 'plaintext'
}

/** Why a host is not verified; `not-asked`: nobody wanted to know. */
export type HostCause = VerifyCause | 'not-asked' | 'no-certificate' | 'wrong-name' | 'tlsa-mismatch'

/** TLS with somebody. What the certificate says is a claim. */
export interface EncryptedHost {
  readonly kind: 'encrypted'
  readonly certificate: CertificateFacts | undefined
  readonly cause: HostCause
  /** OpenSSL's own word where it is OpenSSL that objects */
  readonly code: string
}

/** What a verification rests on. `sts`: chain and name, because the domain's MTA-STS policy asks for it. */
export type VerifiedBy = 'ca' | 'host' | 'dane' | 'sts'

class Verified {
  readonly kind = 'verified'
  readonly by: VerifiedBy
  readonly certificate: CertificateFacts | undefined
  /** keeps anything else from passing for one */
  readonly #made = true

  constructor(by: VerifiedBy, certificate: CertificateFacts | undefined) {
    this.by = by
    this.certificate = certificate
  }

  get isMadeHere(): boolean {
    return this.#made
  }
}

/** TLS with the host that was meant. */
export type VerifiedHost = Verified
export type SecuredHost = EncryptedHost | VerifiedHost
export type HostVerdict = PlaintextHost | SecuredHost

export const PLAINTEXT_HOST: PlaintextHost = { kind: 'plaintext' }

/** What is asked of a host's certificate. */
export type Verification =
  | { readonly kind: 'none' }
  /** a chain to a CA of the scope */
  | { readonly kind: 'ca' }
  /** that, and one of the names: host names as A-labels, or addresses */
  | {
      readonly kind: 'name'
      readonly by: 'host' | 'sts'
      readonly names: readonly string[]
      /** a CN counts where there is no alternative name at all */
      readonly commonName: boolean
    }
  /** one of the TLSA records, which stand at `base`; the names are for those of usage DANE-TA */
  | {
      readonly kind: 'dane'
      readonly records: readonly TlsaRecord[]
      readonly base: string
      readonly names: readonly string[]
    }

/** What a handshake brought to light. It must have been a full one: a resumed session proves nothing here. */
export interface HostEvidence {
  readonly leaf: X509Certificate | undefined
  /** what the host sent after its own certificate */
  readonly sent: readonly X509Certificate[]
  /** OpenSSL's verdict against the CAs that were given; undefined = no error */
  readonly failure: VerifyFailure | undefined
  readonly resumed: boolean
}

export async function judgeHost(evidence: HostEvidence, asked: Verification): Promise<SecuredHost> {
  const { leaf } = evidence
  if (leaf === undefined) return refused(undefined, 'no-certificate')
  let certificate: CertificateFacts
  try {
    certificate = readCertificate(leaf.raw)
  } catch (error) {
    if (error instanceof MalformedCertificate) return refused(undefined, 'malformed')
    throw error
  }
  // there are no resumed sessions: none is ever offered
  if (evidence.resumed) return refused(certificate, 'other', 'RESUMED')
  if (asked.kind === 'none') return refused(certificate, 'not-asked')
  if (asked.kind === 'dane') {
    const match = await matchTlsa({ leaf, sent: evidence.sent, facts: certificate }, asked)
    return match === 'match' ? new Verified('dane', certificate) : refused(certificate, match)
  }
  if (evidence.failure !== undefined) {
    const { cause, code } = causeOf(evidence.failure)
    return refused(certificate, cause, code)
  }
  if (asked.kind === 'ca') return new Verified('ca', certificate)
  const named = certificateNames(certificate, asked.names, asked.commonName)
  return named ? new Verified(asked.by, certificate) : refused(certificate, 'wrong-name')
}

/** What becomes of a host whose certificate policy does not accept: it can only lower. */
export function distrustHost(host: SecuredHost): SecuredHost {
  return host.kind === 'verified' ? refused(host.certificate, 'policy', 'REFUSED_BY_POLICY') : host
}

function refused(certificate: CertificateFacts | undefined, cause: HostCause, code = ''): EncryptedHost {
  return { kind: 'encrypted', certificate, cause, code }
}
