/**
 * The files of a webhook: keys that sign, CAs and our own certificate. Read once for each configuration; one that could
 * not be read is tried again. A key has at least 32 octets; a line end behind it is not part of it.
 */

import type { FilePath } from '../../config/settings.ts'
import type { WebhookSettings } from '../../config/settings-delivery.ts'
import { joinServerCertificate, loadChain, loadClientCas, loadKey } from '../../tls/material.ts'
import { PemError, readBounded } from '../../tls/pem.ts'

export interface WebhookFiles {
  /** the one that is named first signs first */
  readonly keys: readonly Buffer[]
  /** for https */
  readonly tls: { readonly ca: string[]; readonly cert?: string; readonly key?: string } | undefined
}

const MIN_KEY = 32
const MAX_KEY = 4096

export class WebhookMaterial {
  readonly #loaded = new Map<string, Promise<WebhookFiles>>()

  /** @throws PemError for a file that cannot be used */
  async files(webhook: WebhookSettings): Promise<WebhookFiles> {
    const loading = this.#loaded.get(webhook.name) ?? load(webhook)
    this.#loaded.set(webhook.name, loading)
    try {
      return await loading
    } catch (error) {
      this.#loaded.delete(webhook.name)
      throw error
    }
  }
}

/** @throws PemError */
export async function loadSigningKey({ path }: FilePath): Promise<Buffer> {
  const octets = await readBounded(path, MAX_KEY)
  const key = Buffer.from(octets.toString('latin1').replace(/\r?\n$/, ''), 'latin1')
  if (key.length < MIN_KEY)
    throw new PemError(`it has ${key.length} octets, and a key needs at least ${MIN_KEY}`)
  return key
}

/** @throws PemError */
export async function loadWebhookTls(webhook: WebhookSettings): Promise<WebhookFiles['tls']> {
  const { tls_ca: ca, tls_certificate: file, tls_key: keyFile } = webhook
  if (ca === undefined) return undefined
  const { pem } = await loadClientCas(ca.path)
  if (file === undefined) return { ca: [...pem] }
  const own = joinServerCertificate(await loadChain(file.path), await loadKey((keyFile ?? file).path))
  return { ca: [...pem], cert: own.cert, key: own.key }
}

async function load(webhook: WebhookSettings): Promise<WebhookFiles> {
  const keys = await Promise.all(webhook.key_file.map(loadSigningKey))
  return { keys, tls: await loadWebhookTls(webhook) }
}
