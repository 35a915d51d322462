/**
 * EXTERNAL: RFC 4422 appendix A. The user is who a verified certificate says; what the client sends can only be that
 * name again, or nothing.
 *
 * Only a VerifiedPeer has an identity here. Which part of the certificate it is says AuthExternalParameters; a list, if
 * there is one, says who of those may, and under which name. A certificate with several names whose names lead to
 * several users leaves the choice to the client, which must then make it.
 */

import type { VerifiedPeer } from '../../tls/peer.ts'
import { type IdentityKind, normaliseIdentity } from './identities.ts'
import type { Grounds, Mechanism, Step } from './mechanism.ts'
import { challenge, outcome } from './mechanism.ts'

export function external({ peer, parameters, identities }: Grounds): Mechanism {
  const judge = async (authzid: string): Promise<Step> => {
    if (peer.kind !== 'verified') return outcome(authzid, false)
    const kind = parameters['identity']?.toLowerCase() as IdentityKind
    const names = identitiesOf(peer, kind).map((name) => normaliseIdentity(kind, name))
    const list = await identities()
    const users = new Set(names.flatMap((name) => (list === undefined ? [name] : list.usersOf(kind, name))))
    users.delete('')
    if (authzid !== '') return outcome(authzid, users.has(authzid))
    const [user = ''] = users
    return outcome(user, users.size === 1)
  }
  return {
    name: 'EXTERNAL',
    start: (initial) => (initial === undefined ? challenge('') : judge(initial)),
    next: judge,
  }
}

function identitiesOf({ certificate }: VerifiedPeer, kind: IdentityKind): readonly string[] {
  switch (kind) {
    case 'san_email':
      return certificate.sanEmail
    case 'san_dns':
      return certificate.sanDns
    case 'cn':
      return [certificate.subjectCn]
    case 'fingerprint':
      return [certificate.fingerprint]
    default:
      return []
  }
}
