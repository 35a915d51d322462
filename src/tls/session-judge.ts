/**
 * The verdict on one session, from all that it rests on: what OpenSSL said, the second look where the scope asks for less
 * than OpenSSL does, the chain, and OCSP. Most sessions have nothing to wait for, and then nothing is waited for.
 */

import type { CertificateMemory } from './certificate-memory.ts'
import { TlsHandshakeError } from './gate.ts'
import type { OcspGate } from './ocsp/gate.ts'
import type { TlsFacts, VerifyFailure } from './peer.ts'
import type { Plan } from './plan.ts'
import type { Presented } from './presented.ts'
import { type SecondLook, SecondLooks } from './second-look.ts'
import { judgeSession, type Link, type SessionJudgement } from './session-facts.ts'
import type { ChainVerifier } from './verify-without-key.ts'

/** A judgement with what it rests on. */
export interface JudgedSession extends SessionJudgement {
  /** OpenSSL's first verdict; undefined: no error */
  readonly failure: VerifyFailure | undefined
  readonly second: SecondLook
  /** whether session tickets are given */
  readonly tickets: boolean
}

export interface SessionJudgeOptions {
  readonly ocsp: OcspGate
  readonly memory: CertificateMemory
  /** milliseconds since the epoch */
  readonly clock: () => number
}

export class SessionJudge {
  readonly #options: SessionJudgeOptions
  readonly #secondLooks = new SecondLooks()

  constructor(options: SessionJudgeOptions) {
    this.#options = options
  }

  /** Verdicts by a plan's CAs and lists on a chain whose key nobody here has. */
  verifier(plan: Plan): ChainVerifier {
    return this.#secondLooks.verifier(plan)
  }

  /** @throws TlsHandshakeError, or rejects with one, when the session must not be */
  judge(plan: Plan, link: Link, presented: Presented): JudgedSession | Promise<JudgedSession> {
    const { options } = plan.scope
    const second = this.#secondLooks.look(presented, { ...plan, options }, this.#options.clock())
    return second instanceof Promise || options.tls_client_ocsp
      ? this.#judgeAfter(plan, link, { presented, second })
      : permitted(this.#judged(plan, link, { presented, second }), plan)
  }

  async #judgeAfter(
    plan: Plan,
    link: Link,
    {
      presented,
      second,
    }: { readonly presented: Presented; readonly second: SecondLook | Promise<SecondLook> },
  ): Promise<JudgedSession> {
    const judged = this.#judged(plan, link, { presented, second: await second })
    return permitted({ ...judged, facts: await this.#askOcsp(plan, presented, judged.facts) }, plan)
  }

  #judged(
    plan: Plan,
    link: Link,
    { presented, second }: { readonly presented: Presented; readonly second: SecondLook },
  ): JudgedSession {
    const { memory, clock } = this.#options
    const { mode, modeFrom, cas, crls, scope, tickets } = plan
    const maxDepth = scope.options.tls_verify_depth
    const surroundings = { mode, modeFrom, cas, crls, maxDepth, second, memory, now: clock() }
    const { leaf, facts, chain } = judgeSession(link, presented, surroundings)
    return { leaf, facts, chain, second, failure: presented.failure, tickets }
  }

  async #askOcsp(plan: Plan, { leaf, sent, resumed }: Presented, facts: TlsFacts): Promise<TlsFacts> {
    const { tls_client_ocsp: asks, tls_client_ocsp_mode: mode } = plan.scope.options
    if (!asks || leaf === undefined) return facts
    const { ocsp, clock } = this.#options
    const { cas, crls } = plan
    return await ocsp.judge(facts, { leaf, sent, resumed, cas, lists: crls?.parsed, now: clock() }, mode)
  }
}

/** OpenSSL sees to this; whatever may slip past it ends here. @throws TlsHandshakeError */
function permitted(judged: JudgedSession, { mode }: Plan): JudgedSession {
  if (mode === 'require' && judged.facts.peer.kind === 'anonymous') {
    throw new TlsHandshakeError('peer did not return a certificate')
  }
  return judged
}
