/**
 * TLS for all inbound scopes of one configuration: from files to `TlsGate`.
 *
 * All files are loaded and checked up front; OpenSSL's contexts are made when a scope is first met. A session ticket is
 * good only for the trust that issued it: both the session id context, without which OpenSSL ends a resumption with an
 * error, and the ticket keys come from a digest of everything that a verdict rests on. A ticket from anywhere else, from
 * before a change of any of this, or from another hour leads to a full handshake.
 *
 * What policy sets for one handshake takes the place of the scope's own values, and such a handshake gives no ticket.
 *
 * Without TLS_Client_CA nothing verifies: an empty list is handed to OpenSSL, never "nothing", which would mean Node's
 * own roots.
 */

import type { Socket } from 'node:net'
import type { SecureContext, TLSSocket } from 'node:tls'
import { ConfigError, type Diagnostic, describeOrigin } from '../config/diagnostic.ts'
import type { LimitCounts } from '../config/limit-counts.ts'
import type { InboundScope, InboundValues, Settings } from '../config/settings.ts'
import type { EventSink } from '../events/events.ts'
import type { Ending } from '../events/expiry.ts'
import { CertificateMemory } from './certificate-memory.ts'
import { checkCipherOptions, cipherText, protocolRange } from './cipher-options.ts'
import { ContextCache, type ContextFacts, HandshakeSlots } from './context-cache.ts'
import { CrlWatch } from './crl-watch.ts'
import { type HandshakeAdjustments, type SecureConnection, type TlsGate, TlsHandshakeError } from './gate.ts'
import { type HandshakeOptions, handshake, untilClosed } from './handshake.ts'
import { inventoryOf } from './inventory.ts'
import type { ServerCertificate } from './material.ts'
import type { OcspMemory } from './ocsp/client.ts'
import { OcspGate, type OcspGateOptions } from './ocsp/gate.ts'
import { loadResponders, type Responder } from './ocsp/responders.ts'
import type { TlsFacts } from './peer.ts'
import { type Plan, turningPointsOf } from './plan.ts'
import { PlanContexts } from './plan-contexts.ts'
import { PolicyFiles } from './policy-files.ts'
import { type Presented, readClient } from './presented.ts'
import { readLink } from './session-facts.ts'
import { type JudgedSession, SessionJudge } from './session-judge.ts'
import type { TicketSecret } from './ticket-secret.ts'
import { type LoadedFiles, loadTlsFiles, serverKey, sniKey, type TlsFiles } from './tls-files.ts'
import { givesTickets } from './trust.ts'
import { trustSources } from './trust-sources.ts'

export interface LoadTlsOptions {
  readonly ticketSecret: TicketSecret
  readonly events: EventSink
  /** milliseconds since the epoch */
  readonly clock: () => number
  /** what is in force, on a reload: its CAs and CRLs stand in for files that fail */
  readonly previous?: TlsContexts | undefined
  /** where relative paths that policy sets start; the working directory unless given */
  readonly folder?: string
  /** told instead of OCSP's responders, which then have nothing against anybody */
  readonly withheldOcsp?: OcspGateOptions['withheld']
  /** milliseconds between two looks at the revocation lists */
  readonly watchInterval?: number
  /** what handshakes under way are counted by; of this process alone unless given */
  readonly counts?: LimitCounts | undefined
}

/** milliseconds */
const WATCH_INTERVAL = 1000

/**
 * Loads every certificate, key, CA and CRL of a configuration and checks the other TLS options.
 * @throws ConfigError with all findings; a CA or CRL that was good before a reload raises an alarm instead
 */
export async function loadTls(settings: Settings, options: LoadTlsOptions): Promise<TlsContexts> {
  const loaded = await loadTlsFiles(settings, options.previous?.files)
  const { responders, diagnostics: more } = await loadResponders(settings)
  const diagnostics = [...loaded.diagnostics, ...more]
  if (diagnostics.some(({ severity }) => severity === 'error')) throw new ConfigError(diagnostics)
  for (const { path, reason } of loaded.kept) {
    options.events.emit({
      kind: 'panic',
      at: options.clock(),
      level: 'critical',
      module: 'tls',
      text: `${path}: ${reason}; what was loaded from it before stays in force`,
    })
  }
  return new TlsContexts({ ...loaded, diagnostics, responders }, options)
}

export class TlsContexts implements TlsGate {
  /** what is in force; revocation lists change under `watch` */
  files: TlsFiles
  /** warnings from loading */
  readonly diagnostics: readonly Diagnostic[]
  readonly #options: LoadTlsOptions
  readonly #cache: ContextCache
  readonly #contexts: PlanContexts
  readonly #slots: HandshakeSlots
  #plans = new WeakMap<InboundScope, Plan | 'none'>()
  readonly #withoutTickets = new WeakMap<Plan, Plan>()
  readonly #crlWatch: CrlWatch
  readonly #policyFiles: PolicyFiles
  readonly #certificates = new CertificateMemory()
  readonly #ocsp: OcspGate
  readonly #judge: SessionJudge

  /** Made by `loadTls`. */
  constructor(loaded: LoadedFiles & { readonly responders: readonly Responder[] }, options: LoadTlsOptions) {
    this.files = loaded.files
    this.diagnostics = loaded.diagnostics
    this.#policyFiles = new PolicyFiles(options.folder ?? '.')
    this.#cache = options.previous?.shared.cache ?? new ContextCache()
    this.#contexts = new PlanContexts(this.#cache, options.ticketSecret)
    this.#slots = options.previous?.shared.slots ?? new HandshakeSlots(options.counts)
    this.#crlWatch = new CrlWatch({
      uses: loaded.crlUses,
      current: (path) => this.files.crls.get(path),
      replace: (path, lists) => {
        this.files = { ...this.files, crls: new Map(this.files.crls).set(path, lists) }
        // what was made of the old lists is made anew; their tickets end, since the digest of trust is another
        this.#plans = new WeakMap()
        this.#ocsp.listsChanged()
      },
      events: options.events,
      clock: options.clock,
      interval: options.watchInterval ?? WATCH_INTERVAL,
    })
    this.#ocsp = new OcspGate({
      responders: loaded.responders,
      lists: () => [...this.files.crls.values()].flatMap(({ parsed }) => parsed),
      events: options.events,
      clock: options.clock,
      memory: options.previous?.shared.ocsp,
      withheld: options.withheldOcsp,
    })
    const memory = this.#certificates
    this.#judge = new SessionJudge({ ocsp: this.#ocsp, memory, clock: options.clock })
    // without its predecessor, which would hold on to its own
    this.#options = { ticketSecret: options.ticketSecret, events: options.events, clock: options.clock }
  }

  /** What a reload takes over. */
  get shared(): { readonly cache: ContextCache; readonly slots: HandshakeSlots; readonly ocsp: OcspMemory } {
    return { cache: this.#cache, slots: this.#slots, ocsp: this.#ocsp.memory }
  }

  /** The contexts that are kept for the next handshake, the least recently used first. */
  get contexts(): readonly (ContextFacts & { readonly sessions: number })[] {
    return this.#cache.list()
  }

  /** What has an end, as it is in force now. */
  get inventory(): readonly Ending[] {
    return inventoryOf(this.files, this.#ocsp.responders)
  }

  /** Follows the revocation lists as their files change, until `close`. */
  watch(): this {
    this.#crlWatch.start()
    return this
  }

  /** A reload: `next` follows the lists that both have, for the sessions of both. */
  handOver(next: TlsContexts): void {
    this.#crlWatch.handOver(next.#crlWatch)
  }

  close(): Promise<void> {
    return this.#crlWatch.stop()
  }

  offers(scope: InboundScope): boolean {
    return this.#plan(scope) !== undefined
  }

  async prepare(scope: InboundScope, adjustments: HandshakeAdjustments): Promise<void> {
    const plan = this.#plan(scope)
    if (plan === undefined) throw new TlsHandshakeError('TLS is not available in this scope')
    const adjusted = await this.#adjust(plan, adjustments)
    try {
      this.#contexts.of(adjusted, this.#options.clock())
    } catch (error) {
      throw new TlsHandshakeError('OpenSSL does not take what policy set', { cause: error })
    }
  }

  async accept(
    socket: Socket,
    scope: InboundScope,
    clientAddress: string,
    adjustments: HandshakeAdjustments = {},
  ): Promise<SecureConnection & { readonly socket: TLSSocket }> {
    const own = this.#plan(scope)
    if (own === undefined) {
      socket.destroy()
      throw new TlsHandshakeError('TLS is not available in this scope')
    }
    if (!this.#slots.take(clientAddress, scope.options.tls_max_handshakes_per_address)) {
      socket.destroy()
      const sources = trustSources(own)
      throw new TlsHandshakeError('too many handshakes under way from this address', { sources })
    }
    let plan = own
    try {
      plan =
        adjustments.parameters === undefined
          ? this.#plain(own, adjustments)
          : await this.#adjust(own, adjustments)
      return await this.#shake(socket, plan)
    } catch (error) {
      socket.destroy()
      if (error instanceof TlsHandshakeError) error.sources = trustSources(plan)
      throw error
    } finally {
      this.#slots.release(clientAddress)
    }
  }

  async #shake(raw: Socket, plan: Plan): Promise<SecureConnection & { readonly socket: TLSSocket }> {
    const options = this.#handshakeOptions(plan, plan.mode)
    const socket = await handshake(raw, options)
    if (socket.destroyed) throw new TlsHandshakeError('connection closed during the handshake')
    this.#cache.hold(socket.chosenContext, socket)
    const judged = this.#judge.judge(plan, readLink(socket), this.#presentedBy(socket, plan))
    const { facts, chain, leaf } = judged instanceof Promise ? await untilClosed(socket, judged) : judged
    if (socket.destroyed) throw new TlsHandshakeError('connection closed during the handshake')
    return { socket, facts, chain, leaf, sources: trustSources(plan) }
  }

  /** Where tickets are given, the leaf and OpenSSL's code decide alone: a ticket carries no more. */
  #presentedBy(socket: TLSSocket, { mode, tickets }: Plan): Presented {
    return readClient(socket, { mode, wholeChain: !tickets, memory: this.#certificates })
  }

  /**
   * What would come of a handshake with a client that shows this chain (DER), whose key nobody here has.
   * @param raw leads to a client that shows none: what is negotiated is seen there. @throws TlsHandshakeError
   */
  async examine(
    raw: Socket,
    scope: InboundScope,
    chain: readonly Buffer[],
    adjustments: HandshakeAdjustments = {},
  ): Promise<JudgedSession & { readonly socket: TLSSocket }> {
    const own = this.#plan(scope)
    if (own === undefined) throw new TlsHandshakeError('TLS is not available in this scope')
    const plan = await this.#adjust(own, adjustments)
    const asked = plan.mode !== 'none' && chain.length > 0
    const socket = await handshake(raw, this.#handshakeOptions(plan, asked ? 'none' : plan.mode))
    try {
      const link = readLink(socket)
      const presented = asked
        ? await this.#judge.verifier(plan).present(chain, 'clientAuth')
        : this.#presentedBy(socket, plan)
      if (asked && presented.leaf === undefined) {
        throw new TlsHandshakeError(presented.failure?.message ?? 'the certificate cannot be read')
      }
      return { socket, ...(await this.#judge.judge(plan, link, presented)) }
    } catch (error) {
      socket.destroy()
      throw error
    }
  }

  #handshakeOptions(plan: Plan, mode: TlsFacts['mode']): HandshakeOptions {
    return {
      secureContext: this.#contexts.of(plan, this.#options.clock()),
      contextFor: plan.sni.size === 0 ? undefined : (name) => this.#contextFor(plan, name),
      mode,
      timeout: plan.scope.options.tls_handshake_timeout * 1000,
    }
  }

  /** The name chooses the certificate and nothing else: everything that a client is judged by is the scope's. */
  #contextFor(plan: Plan, name: string): SecureContext | undefined {
    const server = plan.sni.get(name)
    return server && this.#contexts.of({ ...plan, server }, this.#options.clock())
  }

  /** The plan with what policy wants for one handshake. @throws TlsHandshakeError */
  async #adjust(plan: Plan, adjustments: HandshakeAdjustments): Promise<Plan> {
    const { parameters } = adjustments
    if (parameters === undefined) return this.#plain(plan, adjustments)
    const { server, cas } = await this.#policyFiles.load(parameters)
    const options =
      parameters.ciphers === undefined
        ? plan.scope.options
        : { ...plan.scope.options, tls_ciphers: parameters.ciphers }
    const [problem] = checkCipherOptions(options).filter(({ severity }) => severity === 'error')
    if (problem !== undefined) throw new TlsHandshakeError(`policy's cipher list: ${problem.message}`)
    return {
      ...plan,
      mode: parameters.mode ?? plan.mode,
      modeFrom: parameters.mode === undefined ? plan.modeFrom : 'policy',
      server: server ?? plan.server,
      sni: server === undefined ? plan.sni : new Map(),
      cas: cas ?? plan.cas,
      caPath: parameters.ca ?? plan.caPath,
      ciphers: cipherText(options),
      tickets: false,
      turningPoints: [...plan.turningPoints, ...turningPointsOf(cas)],
    }
  }

  /** Where policy sets no parameters. */
  #plain(plan: Plan, { withoutTickets = false }: HandshakeAdjustments): Plan {
    return withoutTickets ? this.#ticketless(plan) : plan
  }

  #ticketless(plan: Plan): Plan {
    const without = this.#withoutTickets.get(plan) ?? { ...plan, tickets: false }
    this.#withoutTickets.set(plan, without)
    return without
  }

  #plan(scope: InboundScope): Plan | undefined {
    let plan = this.#plans.get(scope)
    if (plan === undefined) {
      plan = this.#makePlan(scope) ?? 'none'
      this.#plans.set(scope, plan)
    }
    return plan === 'none' ? undefined : plan
  }

  #makePlan(scope: InboundScope): Plan | undefined {
    const { options } = scope
    const key = serverKey(options)
    if (key === undefined) return undefined
    const server = this.files.servers.get(key)
    const { tls_client_ca: caFile, tls_client_crl: crlFile } = options
    const cas = caFile && this.files.cas.get(caFile.path)
    const crls = crlFile && this.files.crls.get(crlFile.path)
    const sni = this.#sniOf(options)
    const lacksTrust = (caFile && cas === undefined) || (crlFile && crls === undefined)
    if (server === undefined || sni === undefined || lacksTrust) {
      this.#alarm(`the TLS files of scope ${scope.id} were not loaded; TLS is not available there`)
      return undefined
    }
    return {
      scope,
      mode: options.tls_verify_mode ?? 'unset',
      modeFrom: describeOrigin(scope.origin('tls_verify_mode')),
      server,
      sni,
      cas,
      caPath: caFile?.path,
      crls,
      crlPath: crlFile?.path,
      range: protocolRange(options.tls_protocols),
      ciphers: cipherText(options),
      tickets: givesTickets(options),
      turningPoints: turningPointsOf(cas, crls),
    }
  }

  /** undefined when one was not loaded */
  #sniOf({ tls_sni: entries }: InboundValues): Map<string, ServerCertificate> | undefined {
    const all = new Map<string, ServerCertificate>()
    for (const entry of entries) {
      const server = this.files.servers.get(sniKey(entry))
      if (server === undefined) return undefined
      all.set(entry.host, server)
    }
    return all
  }

  #alarm(text: string): void {
    const { events, clock } = this.#options
    events.emit({ kind: 'panic', at: clock(), level: 'error', module: 'tls', text })
  }
}
