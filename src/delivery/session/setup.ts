/**
 * From a host to a session that a message can be handed over on: connect, banner, EHLO, STARTTLS and EHLO again, XCLIENT,
 * AUTH (RFC 3207, 4954; Momentum: config/ref-tls, tls-ifavailable-fallback, tls-verify).
 *
 * Plain text is fallen back to only where the demand allows it, and then because TLS could not be had, never because the
 * host turned out to be somebody else: a certificate that does not verify, where that was asked for, ends the session.
 * After a handshake that failed the fallback takes a new connection always.
 */

import { isIP } from 'node:net'
import type { OutboundTlsFacts, TlsResultType } from '../../events/outbound-tls.ts'
import type { Transcript } from '../../events/transcripts.ts'
import { readPresented } from '../../tls/presented.ts'
import { type Link, readLink } from '../../tls/session-facts.ts'
import type { Host } from '../mx.ts'
import { AttemptEnd, type ClientOptions, type Extensions, replyText, SmtpClient } from '../smtp-client.ts'
import { SmtpConnection, TlsFailure } from '../smtp-connection.ts'
import { type Stage, stages } from '../transport.ts'
import { type HostVerdict, judgeHost, PLAINTEXT_HOST, type SecuredHost } from './host-verdict.ts'
import { type Login, logIn } from './login.ts'
import type { TlsPlan } from './tls-plan.ts'
import { type Introduction, introduce } from './xclient.ts'

/** Everything that two sessions must have in common for one to stand in for the other. */
export interface SessionPlan {
  readonly host: Host
  /** our own address; undefined = the system chooses */
  readonly from: string | undefined
  readonly client: ClientOptions
  /** undefined: in clear */
  readonly tls: TlsPlan | undefined
  readonly login: Login | undefined
  readonly introduction: Introduction | undefined
  /** begins a transcript of what is said, where an operator asks for it; two sessions need not have it in common */
  readonly trace?: () => Transcript | undefined
}

export interface Session {
  readonly connection: SmtpConnection
  readonly extensions: Extensions
  /** who is at the other end */
  readonly peer: HostVerdict
  /** absent where nobody asked for TLS */
  readonly tls?: OutboundTlsFacts
}

/** A session did not come about. */
export class SetupEnd extends AttemptEnd {
  /** octets that were sent, 0 when there was no connection */
  readonly bytes: number
  /** how far TLS had come; absent where nobody asked for it, or before it was its turn */
  readonly tls: OutboundTlsFacts | undefined

  constructor(end: AttemptEnd, bytes: number, tls: OutboundTlsFacts | undefined) {
    super(end.kind, end.stage, end.text, { broken: true, cause: end.cause })
    this.bytes = end.stage === stages.notConnected ? 0 : bytes
    this.tls = tls
  }
}

/** TLS could not be had, and the demand allows to do without. */
class FallBack extends Error {}

/** @throws SetupEnd, or the signal's reason */
export async function setUp(plan: SessionPlan, signal: AbortSignal): Promise<Session> {
  let clear = false
  for (;;) {
    const connection = new SmtpConnection({ ...plan.host, from: plan.from }, signal)
    connection.transcript = plan.trace?.()
    const setup = new Setup(connection, plan, clear)
    try {
      return await setup.run()
    } catch (error) {
      const bytes = connection.bytesSent
      if (error instanceof AttemptEnd && !error.broken) connection.quit()
      else connection.destroy()
      if (error instanceof AttemptEnd) throw new SetupEnd(error, bytes, setup.tls)
      if (!(error instanceof FallBack)) throw error
      clear = true
    }
  }
}

interface Secured {
  readonly extensions: Extensions
  readonly peer: HostVerdict
}

class Setup {
  readonly #connection: SmtpConnection
  readonly #plan: SessionPlan
  readonly #client: SmtpClient
  /** TLS failed on an earlier connection, and this one does without */
  readonly #clear: boolean
  #tls: OutboundTlsFacts | undefined

  constructor(connection: SmtpConnection, plan: SessionPlan, clear: boolean) {
    this.#connection = connection
    this.#plan = plan
    this.#clear = clear
    this.#client = new SmtpClient(connection, plan.client)
  }

  /** how the connection is protected, as far as it has come */
  get tls(): OutboundTlsFacts | undefined {
    return this.#tls
  }

  async run(): Promise<Session> {
    const { tls, introduction, login } = this.#plan
    const offered = await this.#client.greet()
    if (tls !== undefined) this.#tls = factsOf(tls.use, PLAINTEXT_HOST, undefined)
    const secured = tls === undefined || this.#clear ? undefined : await this.#secure(tls, offered)
    const peer = secured?.peer ?? PLAINTEXT_HOST
    let extensions = secured?.extensions ?? offered
    if (introduction !== undefined) extensions = await introduce(this.#client, introduction, extensions)
    if (login !== undefined) await logIn(this.#client, login, { extensions, peer })
    return {
      connection: this.#connection,
      extensions,
      peer,
      ...(this.#tls === undefined ? {} : { tls: this.#tls }),
    }
  }

  /** undefined: the session goes on in clear, on this connection */
  async #secure(tls: TlsPlan, offered: Extensions): Promise<Secured | undefined> {
    const { use, fallback, fallbackOnNewConnection } = tls
    if (!offered.has('STARTTLS')) {
      this.#tell(tls, 'starttls-not-supported', 'STARTTLS is not offered')
      if (use === 'required') throw this.#end(stages.afterEhlo, NOT_ADVERTISED)
      return undefined
    }
    const reply = await this.#client.ask('STARTTLS')
    if (reply.code !== 220) {
      const text = replyText(reply)
      this.#tell(tls, 'starttls-not-supported', text)
      if (use === 'required' || !fallback) throw this.#end(stages.afterStarttls, `${FAILED} (${text})`)
      if (fallbackOnNewConnection) throw new FallBack()
      return undefined
    }
    const secured = await this.#handshake(tls)
    this.#judge(tls, secured.peer)
    return secured
  }

  async #handshake(tls: TlsPlan): Promise<Secured & { readonly peer: SecuredHost }> {
    const { verify } = tls
    // RFC 7672 §8.1: the name at which the host's TLSA records stand
    const name = verify.kind === 'dane' ? verify.base : this.#plan.host.name
    try {
      const socket = await this.#client.startTls(
        tls.secureContext,
        // RFC 6066 §3: no address, and no dot at the end
        isIP(name) === 0 ? name.replace(/\.$/, '') : undefined,
      )
      const link = readLink(socket)
      const evidence = readPresented(socket, 'unset')
      const judged = await judgeHost(evidence, tls.verify)
      const peer = tls.judge === undefined ? judged : await tls.judge(evidence, judged)
      this.#tls = factsOf(tls.use, peer, link)
      // nothing is said to a host that is not the one that was meant
      const refused = tls.insist && peer.kind !== 'verified'
      // a host that does not like our certificate says so only now (TLS 1.3)
      const extensions = refused ? new Map<string, string>() : await this.#client.hello()
      return { extensions, peer }
    } catch (error) {
      if (!(error instanceof AttemptEnd && error.cause instanceof TlsFailure)) throw error
      this.#tell(tls, 'validation-failure', error.cause.reason)
      if (tls.use === 'required' || !tls.fallback) throw error
      throw new FallBack()
    }
  }

  #judge(tls: TlsPlan, peer: SecuredHost): void {
    const { verify } = tls
    if (peer.kind === 'verified' || verify.kind === 'none') {
      this.#tell(tls, undefined, '')
      return
    }
    this.#tell(tls, resultTypeOf(peer.cause), `${peer.cause}${peer.code === '' ? '' : ` ${peer.code}`}`)
    if (!tls.insist) return
    const text = peer.cause === 'wrong-name' ? WRONG_NAME : verify.kind === 'dane' ? NO_TLSA : UNTRUSTED
    throw this.#end(stages.tlsHandshake, `${text} (${peer.cause})`, true)
  }

  #tell(tls: TlsPlan, failure: TlsResultType | undefined, reason: string): void {
    tls.tell({ failure, reason, sendingIp: this.#connection.localAddress })
  }

  #end(stage: Stage, text: string, broken = false): AttemptEnd {
    return new AttemptEnd('transient', stage, text, { broken })
  }
}

function factsOf(
  demand: OutboundTlsFacts['demand'],
  peer: HostVerdict,
  link: Link | undefined,
): OutboundTlsFacts {
  const certificate = peer.kind === 'plaintext' ? undefined : peer.certificate
  return {
    demand,
    protocol: link?.protocol ?? '',
    cipher: link?.cipher ?? '',
    cipherAlgorithmBits: link?.cipherAlgorithmBits ?? 0,
    cipherUsedBits: link?.cipherUsedBits ?? 0,
    ...(peer.kind === 'verified' ? { verifiedBy: peer.by } : {}),
    cause: peer.kind === 'encrypted' ? peer.cause : '',
    subject: certificate?.subject ?? '',
    issuer: certificate?.issuer ?? '',
  }
}

/** RFC 8460 §4.3.2 */
function resultTypeOf(cause: string): TlsResultType {
  switch (cause) {
    case 'wrong-name':
      return 'certificate-host-mismatch'
    case 'expired':
    case 'not-yet-valid':
      return 'certificate-expired'
    case 'untrusted':
      return 'certificate-not-trusted'
    default:
      return 'validation-failure'
  }
}

/** Momentum: message-responses */
const NOT_ADVERTISED = '451 4.7.6 [internal] STARTTLS required but not advertised'
const FAILED = '451 4.7.5 [internal] TLS negotiation failed'
const WRONG_NAME = '451 4.7.5 [internal] SSL certificate subject does not match host'
const UNTRUSTED = '451 4.7.5 [internal] SSL cert must be signed by a valid CA'
const NO_TLSA = '451 4.7.5 [internal] The certificate matches none of the TLSA records'
