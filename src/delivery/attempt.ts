/**
 * Delivery by SMTP: the hosts of a route in order, and the addresses of each, until one takes or refuses the message.
 *
 * A host that cannot be reached, or that ends things before MAIL FROM, is passed over for the next one; the last such
 * answer stands when there is none left. From MAIL FROM on, what the host says is the outcome.
 */

import { isIP } from 'node:net'
import type { Resolver } from '../dns/resolver.ts'
import { LookupError } from '../dns/resolver.ts'
import type { StoredContent, StoredMessage } from '../spool/spool.ts'
import type { NextHop, SmtpRoute } from './route.ts'
import { AttemptEnd, SmtpClient } from './smtp-client.ts'
import { SmtpConnection } from './smtp-connection.ts'
import { type AttemptContext, type AttemptResult, stages, type Transport } from './transport.ts'

interface Host {
  readonly address: string
  readonly port: number
}

export class SmtpTransport implements Transport<SmtpRoute> {
  readonly #resolver: Resolver
  readonly #hostname: string

  /** @param options.hostname what EHLO says where Ehlo_Hostname is not set */
  constructor(options: { readonly resolver: Resolver; readonly hostname: string }) {
    this.#resolver = options.resolver
    this.#hostname = options.hostname
  }

  async deliver(
    message: StoredMessage,
    content: StoredContent,
    context: AttemptContext<SmtpRoute>,
  ): Promise<AttemptResult> {
    let last: AttemptResult = { kind: 'transient', stage: 0, text: NO_HOSTS, bytes: 0, remote: '' }
    for (const hop of context.route.hosts) {
      const addresses = await this.#resolve(hop, context)
      if (typeof addresses === 'string') {
        if (last.stage === stages.notConnected) last = { ...last, text: addresses }
        continue
      }
      for (const address of addresses) {
        const { result, final } = await this.#try({ address, port: hop.port }, message, content, context)
        if (final) return result
        last = result
      }
    }
    return last
  }

  /** Addresses of a host; our text when it has none. */
  async #resolve(hop: NextHop, context: AttemptContext<SmtpRoute>): Promise<readonly string[] | string> {
    if (isIP(hop.host) !== 0) return [hop.host]
    const { connect_timeout } = context.options
    const patience = new AbortController()
    const end = (): void => patience.abort()
    const deadline =
      connect_timeout === 0 ? undefined : setTimeout(end, Math.min(connect_timeout * 1000, 2 ** 31 - 1))
    context.signal.addEventListener('abort', end, { once: true })
    try {
      const found = await this.#resolver.lookupHost(hop.host, patience.signal)
      return found.map(({ address }) => address)
    } catch (error) {
      context.signal.throwIfAborted()
      if (error instanceof LookupError && error.kind === 'not-found') return NO_HOSTS
      if (error instanceof LookupError || patience.signal.aborted) return LOOKUP_FAILED
      throw error
    } finally {
      clearTimeout(deadline)
      context.signal.removeEventListener('abort', end)
    }
  }

  async #try(
    host: Host,
    message: StoredMessage,
    content: StoredContent,
    context: AttemptContext<SmtpRoute>,
  ): Promise<{ readonly result: AttemptResult; readonly final: boolean }> {
    const connection = new SmtpConnection(host, context.signal)
    const client = new SmtpClient(connection, {
      timeouts: context.options,
      ehloHostname: this.#ehloHostname(message, context),
    })
    let greeted = false
    try {
      const extensions = await client.greet()
      greeted = true
      const text = await client.send(message.envelope, content, extensions)
      connection.quit()
      const bytes = content.header.length + content.bodySize
      return {
        result: { kind: 'delivered', stage: stages.confirmation, text, bytes, remote: host.address },
        final: true,
      }
    } catch (error) {
      if (!(error instanceof AttemptEnd)) {
        connection.destroy()
        throw error
      }
      const { kind, stage, text } = error
      const bytes = stage === stages.notConnected ? 0 : connection.bytesSent
      if (error.broken) connection.destroy()
      else connection.quit()
      return { result: { kind, stage, text, bytes, remote: host.address }, final: greeted }
    }
  }

  /** Momentum: config/ref-ehlo-hostname */
  #ehloHostname(message: StoredMessage, context: AttemptContext<SmtpRoute>): string {
    const name = context.options.ehlo_hostname ?? '__hostname__'
    if (name === '__hostname__') return this.#hostname
    if (name === '__message__') return message.envelope.sender?.domain || this.#hostname
    return name
  }
}

const NO_HOSTS = '451 4.4.1 [internal] No valid hosts'
const LOOKUP_FAILED = '451 4.4.3 [internal] The name of the next hop could not be looked up'
