/**
 * STARTTLS (RFC 3207) and what every handshake has in common, the implicit one included.
 *
 * Bytes that came in clear text behind the STARTTLS line are a command injection (CVE-2011-0411): the scope's
 * starttls_injection_policy says what becomes of them. After a handshake that failed nothing more is said on this
 * connection, in clear text or otherwise; so with TLS_Verify_Mode = require a client without a certificate never gets
 * to speak SMTP inside TLS.
 */

import { describeOrigin } from '../config/diagnostic.ts'
import type { TlsFact } from '../events/events.ts'
import { tlsContextEntries } from '../tls/context-keys.ts'
import type { HandshakeAdjustments, SecureConnection } from '../tls/gate.ts'
import { TlsHandshakeError } from '../tls/gate.ts'
import type { KnownPartner } from '../tls/partners/partners.ts'
import type { TlsFacts } from '../tls/peer.ts'
import type { TrustSources } from '../tls/trust-sources.ts'
import { formatReply } from '../wire/reply.ts'
import { atShutdown } from './at-shutdown.ts'
import { listed } from './capabilities.ts'
import { ClientGoneError } from './client-io.ts'
import type { Command } from './command.ts'
import { command, noArguments, notDiscardable } from './command.ts'
import { consult } from './consult.ts'
import { findPartner, notePartner, takePartnerPathway } from './partner.ts'
import type { ReceptionState } from './reception-states.ts'
import { receptionState } from './reception-states.ts'
import { describe, Refusal, refuse, tellPanic, tellRejection } from './reject.ts'
import type { Session } from './session-state.ts'
import { handshakeAdjustments, judgeByPolicy } from './tls-policy.ts'

export const starttls: Command = command({
  verb: 'STARTTLS',
  needsHello: false,
  beforeTls: true,
  parse: noArguments('5.5.4 Syntax error (no parameters allowed)'),
  check(session) {
    const { scope, services } = session
    if (session.tls !== undefined) throw refuse(503, '5.5.1 TLS is active already', { module: 'tls' })
    if (scope.options.use_ssl || !listed(session, 'STARTTLS')) {
      throw refuse(502, '5.5.1 STARTTLS is not offered', { module: 'tls' })
    }
    if (session.transaction !== undefined)
      throw refuse(503, '5.5.1 bad sequence of commands', { module: 'tls' })
    if (!services.tls.offers(scope)) {
      throw refuse(454, '4.7.0 TLS not available due to temporary reason', { fault: 'us', module: 'tls' })
    }
  },
  async proceed(session) {
    const adjustments = await handshakeAdjustments(session)
    treatInjection(session)
    session.io.send(formatReply({ code: 220, text: '2.0.0 Ready to start TLS' }))
    await session.io.flush()
    const state = receptionState(session)
    session.forgetBeforeTls()
    await handshake(session, state, adjustments)
    await askAfterHandshake(session)
    return undefined
  },
})

/** RFC 3207 §4: a client waits for the answer to STARTTLS before it sends anything. */
function treatInjection(session: Session): void {
  const late = session.io.takeBuffered()
  const injected = session.lines.buffered > 0 || late.length > 0
  switch (session.scope.options.starttls_injection_policy) {
    case 'reject':
      if (!injected) return
      throw refuse(421, '4.7.0 commands after STARTTLS are not accepted', { module: 'tls', close: true })
    case 'ignore':
      session.lines.drain()
      return
    case 'allow':
      session.lines.push(late)
  }
}

/**
 * Runs a handshake and notes who the peer is.
 * @throws ClientGoneError when it failed, for whatever reason: that has been told, and nobody must hear more
 * @throws Refusal when policy ends the session, inside TLS
 */
export async function handshake(
  session: Session,
  state: ReceptionState,
  adjustments: HandshakeAdjustments,
): Promise<void> {
  const { scope, services } = session
  const began = services.clock()
  const secure = await shakeHands(session, state, adjustments)
  const { sources } = secure
  const { facts: judged, refusal } = await judgeByPolicy(session, secure).catch((error: unknown) => {
    // the client left while policy looked at its certificate
    session.decision.shook(session.connection, scope, { kind: 'done', facts: secure.facts, sources })
    throw error
  })
  const facts = session.setTls(judged, scope, findPartner(session, judged, secure))
  session.decision.shook(session.connection, scope, { kind: 'done', facts, sources })
  const { context } = session
  tlsContextEntries(facts, scope.options.tls_dn_format).forEach((value, key) => {
    context.set('connection', key, value)
  })
  session.decision.partner = session.partner?.name
  notePartner(session)
  tellHandshake(session, facts, { began })
  session.io.transcript?.note(`TLS: ${facts.protocol} ${facts.cipher}, the client is ${facts.peer.kind}`)
  if (refusal !== undefined) throw refusal
  takePartnerPathway(session)
}

async function shakeHands(
  session: Session,
  state: ReceptionState,
  adjustments: HandshakeAdjustments,
): Promise<SecureConnection> {
  const { connection, services, scope } = session
  const began = services.clock()
  try {
    const secure = await endedByShutdown(session, () =>
      services.tls.accept(session.io.detach(), scope, connection.remote.address, adjustments),
    )
    session.io.attach(secure.socket)
    return secure
  } catch (error) {
    const foreseen = error instanceof TlsHandshakeError
    if (!foreseen) tellPanic(session, 'tls', describe(error))
    const reason = foreseen ? error.reason : 'internal error'
    const sources = foreseen ? error.sources : undefined
    session.decision.shook(connection, scope, {
      kind: 'failed',
      error: foreseen ? error : undefined,
      reason,
    })
    tellHandshake(session, reason, { began, sources })
    tellRejection(session, { code: 421, text: reason, module: 'tls', state })
    throw new ClientGoneError()
  }
}

/** A handshake has nothing that a draining server would have to wait for, and its client may never say another word. */
async function endedByShutdown<T>(session: Session, work: () => Promise<T>): Promise<T> {
  const { shuttingDown } = session.services
  const cut = (): void => void session.connection.socket.destroy()
  if (shuttingDown.aborted) cut()
  const unheard = atShutdown(shuttingDown, cut)
  try {
    return await work()
  } finally {
    unheard()
  }
}

/** Momentum's core_inbound_smtp_tls_post_accept: whatever policy refuses here ends the session, inside TLS. */
export async function askAfterHandshake(session: Session): Promise<void> {
  try {
    notDiscardable(await consult(session, 'tls', { session: session.facts }))
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    const { reply, fault, module, cause } = error
    throw new Refusal(reply, { fault, module, cause, close: true })
  }
}

/** @param about when the handshake began, and for one that failed what its verdict would have rested on */
function tellHandshake(
  session: Session,
  result: TlsFacts | string,
  about: { readonly began: number; readonly sources?: TrustSources | undefined },
): void {
  const { connection, services, scope } = session
  const { began, sources } = about
  const failed = typeof result === 'string'
  services.events.emit({
    kind: 'tls',
    at: services.clock(),
    connectionId: connection.id,
    remote: connection.remote,
    listen: connection.listen.instance,
    milliseconds: Math.max(0, services.clock() - began),
    // policy may have set another mode than the scope's, also for a handshake that failed
    mode: failed ? (sources?.mode ?? scope.options.tls_verify_mode ?? 'unset') : result.mode,
    modeFrom: failed
      ? (sources?.modeFrom ?? describeOrigin(scope.origin('tls_verify_mode')))
      : result.modeFrom,
    outcome: failed ? 'failed' : result.peer.kind,
    cause: failed ? result : result.peer.kind === 'unverified' ? result.peer.cause : '',
    protocol: failed ? '' : result.protocol,
    resumed: failed ? false : result.resumed,
    issuer: failed || result.peer.kind === 'anonymous' ? '' : result.peer.certificate.issuer,
    ...(failed ? {} : serverOnly(result)),
    ...(failed ? {} : verifiedCertificate(result)),
    ...partnerFact(session.partner),
  })
}

function partnerFact(partner: KnownPartner | undefined): Pick<TlsFact, 'partner'> {
  if (partner === undefined) return {}
  const { name, peer } = partner
  const { fingerprint, notAfter } = peer.certificate
  const pins = partner.pins.map(({ option, place, digest }) => ({ option, place, digest }))
  return { partner: { name, pins, fingerprint, notAfter } }
}

function verifiedCertificate({ peer }: TlsFacts): Pick<TlsFact, 'certificate'> {
  if (peer.kind !== 'verified') return {}
  const { subject, issuer, fingerprint, notBefore, notAfter } = peer.certificate
  return { certificate: { subject, issuer, fingerprint, notBefore, notAfter } }
}

function serverOnly({ peer, serverOnly: only }: TlsFacts): Pick<TlsFact, 'serverOnly'> {
  if (only !== true || peer.kind === 'anonymous') return {}
  const { subject, issuer, fingerprint } = peer.certificate
  return { serverOnly: { subject, issuer, fingerprint } }
}
