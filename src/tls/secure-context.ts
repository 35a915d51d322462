/** One context of OpenSSL for one plan. Whoever calls sees to it that everything in it is part of the digest. */

import { constants } from 'node:crypto'
import { createSecureContext, type SecureContext } from 'node:tls'
import type { ContextFacts } from './context-cache.ts'
import type { ClientCas, ServerCertificate } from './material.ts'
import { toPem } from './pem.ts'
import type { Plan } from './plan.ts'
import { chainOf } from './session-facts.ts'
import { sessionIdContext } from './trust.ts'

/** seconds */
const TICKET_LIFETIME = 3600

/**
 * @param trust the digest of everything that a verdict rests on
 * @param ticketKeys undefined where no tickets are given
 */
export function makeContext(plan: Plan, trust: Buffer, ticketKeys: Buffer | undefined): SecureContext {
  const { server, cas, crls, range, ciphers, scope } = plan
  const curves = scope.options.tls_ec_curve_names
  return createSecureContext({
    cert: shown(server, cas),
    key: server.key,
    // never undefined, which would mean Node's own roots
    ca: [...(cas?.pem ?? [])],
    ...(crls === undefined ? {} : { crl: [...crls.pem] }),
    ciphers,
    honorCipherOrder: true,
    dhparam: 'auto',
    ...(curves === undefined ? {} : { ecdhCurve: curves }),
    minVersion: range.minVersion,
    maxVersion: range.maxVersion,
    secureOptions:
      range.secureOptions |
      constants.SSL_OP_NO_RENEGOTIATION |
      (ticketKeys === undefined ? constants.SSL_OP_NO_TICKET : 0),
    sessionIdContext: sessionIdContext(trust),
    sessionTimeout: TICKET_LIFETIME,
    ...(ticketKeys === undefined ? {} : { ticketKeys }),
  })
}

/**
 * A leaf alone is followed by its issuers where they are among the CAs: OpenSSL shows them anyway, and would look for them
 * and check their signatures anew in each handshake. A file with a chain is shown as it is.
 */
function shown({ cert, alone }: ServerCertificate, cas: ClientCas | undefined): string {
  if (alone === undefined || cas === undefined) return cert
  const [, ...issuers] = chainOf([alone], cas.certificates)
  return cert + issuers.map(({ raw }) => toPem('CERTIFICATE', raw)).join('')
}

/** What an operator is told of a context. */
export function contextFacts(plan: Plan, made: number): ContextFacts {
  const { tls_ciphers: ciphers } = plan.scope.options
  const { subject, notAfter } = plan.server.leaf
  return { made, certificate: subject, notAfter, clientCa: plan.caPath, crl: plan.crlPath, ciphers }
}
