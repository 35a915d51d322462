/**
 * Policy around a handshake (Momentum: hooks-core-get-inbound-tls-parameters, hooks-core-inbound-smtp-tls-verify-callback).
 *
 * Before it, policy may set its parameters, which stand above all scopes. Right after it, before anything that rests on
 * a certificate is known to the session, policy is asked about each certificate that came; it can make a verified peer
 * an unverified one and nothing else. A ticket knows of neither, so none is given where policy has a say.
 */

import type { HookFacts } from '../policy/phases.ts'
import type { HandshakeAdjustments, HandshakeParameters, SecureConnection } from '../tls/gate.ts'
import { TlsHandshakeError } from '../tls/gate.ts'
import { type CertificateFacts, distrust, type TlsFacts } from '../tls/peer.ts'
import { ClientGoneError } from './client-io.ts'
import { notDiscardable } from './command.ts'
import { consult } from './consult.ts'
import type { ReceptionState } from './reception-states.ts'
import { Refusal, refuse, tellPanic, tellRejection } from './reject.ts'
import type { Session } from './session-state.ts'

/**
 * Asks for the parameters of the handshake to come, and sees that they can be used.
 * @throws Refusal when policy wants no TLS, or something that cannot be had
 */
export async function handshakeAdjustments(session: Session): Promise<HandshakeAdjustments> {
  const { policy, tls } = session.services
  if (!policy.wants('tls_parameters')) return policy.wants('tls_verify') ? { withoutTickets: true } : {}
  const parameters: HandshakeParameters = {
    use: true,
    mode: undefined,
    certificate: undefined,
    key: undefined,
    ca: undefined,
    ciphers: undefined,
  }
  const scopeMode = session.scope.options.tls_verify_mode ?? 'unset'
  const facts: HookFacts['tls_parameters'] = { session: session.facts, parameters, scopeMode }
  notDiscardable(await consult(session, 'tls_parameters', facts))
  if (!parameters.use) {
    throw refuse(454, '4.7.0 TLS not available', { fault: 'policy', module: 'scriptlet' })
  }
  // what policy sets once it has answered counts for nothing
  const adjustments = { withoutTickets: true, parameters: { ...parameters } }
  try {
    await tls.prepare?.(session.scope, adjustments)
  } catch (error) {
    if (!(error instanceof TlsHandshakeError)) throw error
    tellPanic(session, 'tls', error.reason)
    throw refuse(454, '4.7.0 TLS not available due to temporary reason', {
      fault: 'us',
      module: 'tls',
      cause: error,
    })
  }
  return adjustments
}

/**
 * The same where TLS comes before the banner: whom nothing can be said to is left without a word.
 * @throws ClientGoneError
 */
export async function adjustmentsBeforeBanner(
  session: Session,
  state: ReceptionState,
): Promise<HandshakeAdjustments> {
  try {
    return await handshakeAdjustments(session)
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    tellRejection(session, { ...error.reply, module: error.module, state })
    throw new ClientGoneError()
  }
}

/** What policy makes of a handshake. */
export interface Judgement {
  readonly facts: TlsFacts
  /** the session ends with this: policy wants it so, or a script failed */
  readonly refusal: Refusal | undefined
}

/**
 * Asks about each certificate, the farthest from the client's own first, as OpenSSL walks a chain; once without any
 * when none came. The first that is not accepted decides.
 */
export async function judgeByPolicy(session: Session, secure: SecureConnection): Promise<Judgement> {
  const { facts } = secure
  if (!session.services.policy.wants('tls_verify')) return { facts, refusal: undefined }
  const chain = secure.chain().toReversed()
  const presented = chain.length === 0 ? [undefined] : chain
  try {
    for (const certificate of presented) await ask(session, facts, certificate)
    return { facts, refusal: undefined }
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    return {
      facts: { ...facts, peer: distrust(facts.peer) },
      refusal: error.close ? error : undefined,
    }
  }
}

async function ask(
  session: Session,
  { peer }: TlsFacts,
  certificate: CertificateFacts | undefined,
): Promise<void> {
  const oneline = session.scope.options.tls_dn_format === 'oneline'
  notDiscardable(
    await consult(session, 'tls_verify', {
      session: session.facts,
      certificate: {
        verified: peer.kind === 'verified',
        subject: oneline ? certificate?.subjectOneline : certificate?.subject,
        issuer: oneline ? certificate?.issuerOneline : certificate?.issuer,
      },
    }),
  )
}
