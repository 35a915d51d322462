/**
 * What scripts have to say about the certificate of a next hop (Momentum:
 * 3-api/hooks-core-outbound-smtp-tls-verify-callback).
 *
 * A script can only take trust away: it is asked after everything else has been, and nothing that it answers makes a host
 * verified that is not. A script that fails has not accepted the certificate.
 */

import { ValidationContext } from '../../policy/context.ts'
import type { Policy, SessionFacts } from '../../policy/phases.ts'
import type { Verdict } from '../../policy/verdict.ts'
import { readCertificate } from '../../tls/certificate.ts'
import { MalformedCertificate } from '../../tls/der.ts'
import type { CertificateFacts } from '../../tls/peer.ts'
import type { Host } from '../mx.ts'
import { distrustHost, type HostEvidence, type SecuredHost } from './host-verdict.ts'

export class HostWord {
  readonly #policy: Policy

  constructor(policy: Policy) {
    this.#policy = policy
  }

  /**
   * Asks about each certificate that the host sent, its own last, or once without any. The first that is not accepted
   * decides. Never rejects.
   */
  async judge(host: Host, evidence: HostEvidence, peer: SecuredHost): Promise<SecuredHost> {
    const policy = this.#policy
    if (!policy.wants('host_verify')) return peer
    const verified = peer.kind === 'verified'
    const about = { name: host.name, address: host.address, domain: host.mx?.domain ?? '' }
    const session = standIn(about)
    try {
      for (const shown of presented(evidence)) {
        const certificate = { verified, subject: shown?.subject, issuer: shown?.issuer }
        const verdict = await policy.ask('host_verify', { session, certificate, host: about })
        if (refuses(verdict)) return distrustHost(peer)
      }
      return peer
    } finally {
      policy.forget?.(session)
    }
  }
}

function presented({ leaf, sent }: HostEvidence): readonly (CertificateFacts | undefined)[] {
  const all = leaf === undefined ? [] : [leaf, ...sent]
  const read = all.flatMap(({ raw }) => {
    try {
      return [readCertificate(raw)]
    } catch (error) {
      // it has verified nothing, and has no names that could be told
      if (error instanceof MalformedCertificate) return []
      throw error
    }
  })
  return read.length === 0 ? [undefined] : read.toReversed()
}

function refuses(verdict: Verdict): boolean {
  if (verdict.kind === 'tarpit') return refuses(verdict.then)
  if (verdict.kind === 'reply') return verdict.code >= 400
  return verdict.kind !== 'continue' && verdict.kind !== 'done'
}

/** There is no client: what a script finds in its place says where mail is about to go. */
function standIn(host: {
  readonly name: string
  readonly address: string
  readonly domain: string
}): SessionFacts {
  const context = new ValidationContext()
  context.set('connection', 'outbound_host', host.name)
  context.set('connection', 'outbound_address', host.address)
  context.set('connection', 'outbound_domain', host.domain)
  const nowhere = { address: '', port: 0 }
  return { connectionId: '', remote: nowhere, local: nowhere, peer: { kind: 'plaintext' }, context }
}
