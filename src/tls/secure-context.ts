/** One context of OpenSSL for one plan. Whoever calls sees to it that everything in it is part of the digest. */

import { constants } from 'node:crypto'
import { createSecureContext, type SecureContext, type SecureContextOptions } from 'node:tls'
import type { ContextFacts } from './context-cache.ts'
import type { ClientCas, ServerCertificate } from './material.ts'
import { toPem } from './pem.ts'
import type { Plan } from './plan.ts'
import { chainOf, issued } from './session-facts.ts'
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
  const options: SecureContextOptions = {
    cert: server.cert,
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
  }
  const issuers = issuersOf(server, cas)
  if (issuers === '') return createSecureContext(options)
  try {
    return createSecureContext({ ...options, cert: server.cert + issuers })
  } catch {
    // an issuer that is too weak for OpenSSL's security level: clients are told so in their handshakes
    return createSecureContext(options)
  }
}

/**
 * A leaf alone is followed by its issuers where they are among the CAs: OpenSSL shows them anyway, and would look for them
 * and check their signatures anew in each handshake. Where a CA is there twice, as after it was renewed, OpenSSL has to choose
 * by their dates when a client comes. A file with a chain is shown as it is.
 */
function issuersOf({ alone }: ServerCertificate, cas: ClientCas | undefined): string {
  if (alone === undefined || cas === undefined) return ''
  const chain = chainOf([alone], cas.certificates)
  if (chain.some((child) => cas.certificates.filter((ca) => issued(ca, child)).length > 1)) return ''
  const [, ...issuers] = chain
  return issuers.map(({ raw }) => toPem('CERTIFICATE', raw)).join('')
}

/** What an operator is told of a context. */
export function contextFacts(plan: Plan, made: number): ContextFacts {
  const { tls_ciphers: ciphers } = plan.scope.options
  const { subject, notAfter } = plan.server.leaf
  return { made, certificate: subject, notAfter, clientCa: plan.caPath, crl: plan.crlPath, ciphers }
}
