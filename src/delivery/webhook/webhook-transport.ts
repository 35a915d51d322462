/**
 * Delivery by HTTP POST to a receiver that the configuration names: one request for each message, the message as it is in
 * its body, the envelope in a header line, both signed. Nothing of a message has a say in where it goes.
 *
 * A request whose answer nobody learned of is made again, with the same `Idempotency-Key`; so is one on a connection that
 * the receiver had just closed, at once.
 */

import type { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import type { WebhookSettings } from '../../config/settings-delivery.ts'
import { Turns } from '../../dns/turns.ts'
import type { StoredContent, StoredMessage } from '../../spool/spool.ts'
import type { WebhookRoute } from '../domain-targets.ts'
import { type AttemptContext, type AttemptResult, stages, type Transport } from '../transport.ts'
import { answerOf } from './answer.ts'
import { envelopeHeader, tellableEnvelope } from './envelope-header.ts'
import type { WebhookFiles, WebhookMaterial } from './material.ts'
import { type PostRequest, post } from './post.ts'
import { signatureOf } from './signature.ts'

// not imported: an import reads all that node:http has, which brings in undici
const http = process.getBuiltinModule('node:http')

interface Target {
  readonly url: URL
  readonly agent: HttpAgent | HttpsAgent
  readonly keys: readonly Buffer[]
  readonly turns: Turns
}

/** seconds for which a connection is kept for the next message */
const IDLE_MS = 5000

export class WebhookTransport implements Transport<WebhookRoute> {
  readonly #material: Pick<WebhookMaterial, 'files'>
  readonly #clock: () => number
  readonly #targets = new Map<string, Target>()

  /** @param options.clock milliseconds since the epoch */
  constructor(options: { readonly material: Pick<WebhookMaterial, 'files'>; readonly clock?: () => number }) {
    this.#material = options.material
    this.#clock = options.clock ?? Date.now
  }

  async deliver(
    messages: readonly StoredMessage[],
    content: StoredContent,
    context: AttemptContext<WebhookRoute>,
  ): Promise<readonly AttemptResult[]> {
    const target = await this.#target(context.route.webhook)
    const results: AttemptResult[] = []
    for (const message of messages) {
      results.push(
        await target.turns.take(async () => await this.#deliver(target, message, content, context)),
      )
    }
    return results
  }

  close(): void {
    for (const { agent } of this.#targets.values()) agent.destroy()
  }

  // oxlint-disable-next-line max-params -- the delivery, and where it goes
  async #deliver(
    target: Target,
    message: StoredMessage,
    content: StoredContent,
    { route: { webhook }, options, signal }: AttemptContext<WebhookRoute>,
  ): Promise<AttemptResult> {
    signal.throwIfAborted()
    const bytes = content.header.length + content.bodySize
    const { id } = message.envelope
    const envelope = envelopeHeader(tellableEnvelope(message, webhook))
    const at = Math.floor(this.#clock() / 1000)
    const job: PostRequest = {
      url: target.url,
      agent: target.agent,
      content,
      timeout: webhook.timeout,
      headers: {
        'Content-Type': 'message/rfc822',
        'Content-Length': String(bytes),
        'User-Agent': 'Postern',
        'Idempotency-Key': `"${id}"`,
        'Postern-Message-Id': id,
        'Postern-Envelope': envelope,
        'Postern-Signature': await signatureOf({ at, envelope, content }, target.keys, signal),
      },
    }
    const first = await post(job, signal)
    const posted = first.kind === 'failed' && first.stale ? await post(job, signal) : first
    const answer = answerOf(webhook.name, posted, options, this.#clock())
    const result = {
      ...answer,
      bytes: answer.stage === stages.notConnected ? 0 : bytes,
      remote: posted.remote,
    }
    return answer.kind === 'delivered' ? { ...result, notice: 'delivered' } : result
  }

  /** @throws for files that cannot be used */
  async #target(webhook: WebhookSettings): Promise<Target> {
    const files = await this.#material.files(webhook)
    const known = this.#targets.get(webhook.name)
    if (known !== undefined) return known
    const target = {
      url: new URL(webhook.url),
      agent: agentOf(webhook, files),
      keys: files.keys,
      turns: new Turns(webhook.max_concurrent),
    }
    this.#targets.set(webhook.name, target)
    return target
  }
}

function agentOf({ url, max_concurrent }: WebhookSettings, { tls }: WebhookFiles): HttpAgent | HttpsAgent {
  const pool = {
    keepAlive: true,
    maxSockets: max_concurrent,
    maxFreeSockets: max_concurrent,
    timeout: IDLE_MS,
  }
  if (!/^https:/i.test(url)) return new http.Agent(pool)
  return new HttpsAgent({
    ...pool,
    // never nothing, which would mean Node's own roots
    ca: tls?.ca ?? [],
    ...(tls?.cert === undefined ? {} : { cert: tls.cert, key: tls.key }),
    rejectUnauthorized: true,
    minVersion: 'TLSv1.2',
    // each connection proves anew who it is
    maxCachedSessions: 0,
  })
}
