/**
 * Asks policy and turns its verdict into what the session does next.
 *
 * Fails closed: an answer that makes no sense, an exception, or a pathway that does not exist refuses the command.
 */

import { setTimeout as delay } from 'node:timers/promises'
import type { InboundScope } from '../config/settings.ts'
import type { Reply } from '../mail/status.ts'
import type { AnyFacts, AnyPhase } from '../policy/phases.ts'
import type { Verdict } from '../policy/verdict.ts'
import { ClientGoneError } from './client-io.ts'
import { noteChange } from './note-change.ts'
import { certificateMissing, refuse, tellPanic } from './reject.ts'
import type { Session } from './session-state.ts'
import { pathwayKey } from './session-state.ts'

export type Answer =
  /** proceed; `reply` is what policy wants to be said instead of the usual success */
  | { readonly kind: 'proceed'; readonly reply: Reply | undefined }
  /** say success, keep nothing */
  | { readonly kind: 'discard'; readonly text: string; readonly module: string }

const PROCEED: Answer = { kind: 'proceed', reply: undefined }

/**
 * Asks about one phase. A promise only where there is something to wait for.
 * @throws Refusal when policy refuses
 * @throws ClientGoneError when the client left during a tarpit
 */
export function consult<P extends AnyPhase>(
  session: Session,
  phase: P,
  facts: AnyFacts[P],
): Answer | Promise<Answer> {
  const { policy, policyTime } = session.services
  if (!policy.wants(phase)) return PROCEED
  const began = performance.now()
  let verdict: Verdict | Promise<Verdict>
  try {
    verdict = policy.ask(phase, facts)
  } catch (error) {
    throw failed(session, phase, error)
  }
  if (verdict instanceof Promise) return awaited(session, phase, { verdict, began })
  policyTime?.(phase, performance.now() - began)
  return conclude(session, phase, verdict)
}

async function awaited(
  session: Session,
  phase: AnyPhase,
  asked: { readonly verdict: Promise<Verdict>; readonly began: number },
): Promise<Answer> {
  // what waits is told when the client is gone
  watch(session)
  let verdict: Verdict
  try {
    verdict = await asked.verdict
  } catch (error) {
    throw failed(session, phase, error)
  } finally {
    session.services.policyTime?.(phase, performance.now() - asked.began)
  }
  return await conclude(session, phase, verdict)
}

function conclude(session: Session, phase: AnyPhase, verdict: Verdict): Answer | Promise<Answer> {
  session.decision.answered(phase, verdict)
  if (verdict.kind === 'tarpit')
    return servePenance(session, verdict).then((settled) => follow(session, settled))
  return follow(session, verdict)
}

function follow(session: Session, settled: Exclude<Verdict, { kind: 'tarpit' }>): Answer {
  // first, because a refusal ends here and the pathway holds all the same
  followPathway(session)
  return judge(session, settled)
}

/** Not foreseen: policy never throws. */
function failed(session: Session, phase: AnyPhase, error: unknown): Error {
  tellPanic(session, 'policy', `phase ${phase}: ${error instanceof Error ? error.message : String(error)}`)
  return temporaryIssue(session)
}

/** The reply to whatever went wrong inside policy (Momentum: message-responses). */
function temporaryIssue(session: Session): Error {
  const text = `${session.hostname} temporary issue, please retry your message later`
  return refuse(421, text, { fault: 'us', module: 'policy', close: true })
}

/**
 * Waits out tarpits, all of them together no longer than the limit. Nobody waits for a client that has left, or while
 * the server drains.
 */
async function servePenance(
  session: Session,
  verdict: Verdict,
): Promise<Exclude<Verdict, { kind: 'tarpit' }>> {
  let budget = session.limits.tarpit
  let current = verdict
  while (current.kind === 'tarpit') {
    const wanted = Number.isFinite(current.seconds) ? Math.max(0, current.seconds * 1000) : budget
    const wait = Math.min(wanted, budget)
    budget -= wait
    watch(session)
    await session.io.flush()
    const signal = AbortSignal.any([session.io.departed, session.services.shuttingDown])
    await delay(wait, undefined, { signal }).catch(() => undefined)
    if (session.io.gone.aborted) throw new ClientGoneError()
    current = current.then
  }
  return current
}

/** Where TLS comes first the socket must stay untouched: an end that was read here would never reach the handshake. */
function watch(session: Session): void {
  if (session.tls !== undefined || !session.scope.options.use_ssl) session.io.watch()
}

function judge(session: Session, verdict: Exclude<Verdict, { kind: 'tarpit' }>): Answer {
  switch (verdict.kind) {
    case 'continue':
    case 'done':
      return PROCEED
    case 'discard':
      return verdict
    default:
      return judgeReply(session, verdict)
  }
}

function judgeReply(session: Session, verdict: Extract<Verdict, { kind: 'reply' | 'disconnect' }>): Answer {
  const { kind, code, text, module } = verdict
  const whole = Number.isInteger(code)
  const success = whole && code >= 200 && code <= 299
  if (success && kind === 'reply') return { kind: 'proceed', reply: { code, text } }
  // RFC 5321 §3.8: 421 announces that the channel is closed. So does a disconnect, whatever code it was given.
  if (success) throw refuse(421, text, { fault: 'policy', module, close: true })
  if (whole && code >= 400 && code <= 599) {
    throw refuse(code, text, { fault: 'policy', module, close: kind === 'disconnect' || code === 421 })
  }
  tellPanic(session, module, `${code} is no code that policy can answer with`)
  throw refuse(451, '4.3.0 transaction failed', { fault: 'policy', module })
}

/** A script moves a connection or a message to another pathway by its context key (Momentum: config/ref-pathway). */
export function followPathway(session: Session): void {
  const wanted = session.context.get('connection', 'pathway')
  if (wanted !== '' && wanted !== pathwayKey(session.scope)) {
    const scope = scopeFor(session, wanted)
    session.changeScope(scope)
    if (session.tls !== undefined) noteChange(session, 'pathway', session.connection.remote)
    if (session.transaction !== undefined) session.transaction.scope = scope
    if (session.lacksCertificate) throw certificateMissing()
  }
  followMessagePathway(session)
}

/** For a message: only options that are read from now on, never relay grants or limits. */
export function followMessagePathway(session: Session): void {
  const transaction = session.transaction
  const forMessage = session.context.get('message', 'pathway')
  if (transaction !== undefined && forMessage !== '' && forMessage !== pathwayKey(transaction.scope)) {
    transaction.scope = scopeFor(session, forMessage)
  }
}

function scopeFor(session: Session, key: string): InboundScope {
  const pathway = Buffer.from(key, 'latin1').toString('utf8')
  const { connection, services } = session
  const scope = services.resolveScope(connection.listen, connection.remote.address, pathway)
  if (scope?.pathway === pathway) return scope
  tellPanic(session, 'policy', `a script chose the pathway "${pathway}", which does not exist`)
  throw temporaryIssue(session)
}
