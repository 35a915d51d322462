/**
 * The files that policy names for one handshake (Momentum: structs-ec-ssl-ctx-params): loaded when they are needed,
 * checked like those of the configuration, and kept until they change on disk.
 *
 * A file that cannot be used ends the handshake: nothing is ever taken in its place. At most so many are kept.
 */

import { stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import { type HandshakeParameters, TlsHandshakeError } from './gate.ts'
import {
  type ClientCas,
  joinServerCertificate,
  loadChain,
  loadClientCas,
  loadKey,
  type ServerCertificate,
} from './material.ts'
import { PemError } from './pem.ts'

export interface PolicyMaterial {
  readonly server: ServerCertificate | undefined
  readonly cas: ClientCas | undefined
}

const MAX_KEPT = 64

interface Kept<T> {
  readonly state: string
  readonly value: T
}

export class PolicyFiles {
  readonly #folder: string
  readonly #servers = new Map<string, Kept<ServerCertificate>>()
  readonly #cas = new Map<string, Kept<ClientCas>>()

  /** @param folder where relative paths start */
  constructor(folder: string) {
    this.#folder = folder
  }

  /** @throws TlsHandshakeError */
  async load({ certificate, key, ca }: Readonly<HandshakeParameters>): Promise<PolicyMaterial> {
    if (certificate === undefined && key !== undefined) {
      throw new TlsHandshakeError('policy set a key file without a certificate file')
    }
    return {
      server: certificate === undefined ? undefined : await this.#server(certificate, key ?? certificate),
      cas: ca === undefined ? undefined : await this.#load(this.#cas, [ca], ([path]) => loadClientCas(path)),
    }
  }

  #server(certificate: string, key: string): Promise<ServerCertificate> {
    return this.#load(this.#servers, [certificate, key], async ([chain, own]) =>
      joinServerCertificate(await loadChain(chain), await loadKey(own ?? chain)),
    )
  }

  async #load<T>(
    kept: Map<string, Kept<T>>,
    names: readonly [string, ...string[]],
    load: (paths: readonly [string, ...string[]]) => Promise<T>,
  ): Promise<T> {
    const [first, ...others] = names
    const paths = [this.#path(first), ...others.map((name) => this.#path(name))] as const
    const id = paths.join('\0')
    try {
      const state = (await Promise.all(paths.map(stateOf))).join('\0')
      const known = kept.get(id)
      if (known?.state === state) return known.value
      const value = await load(paths)
      kept.delete(id)
      kept.set(id, { state, value })
      const [oldest] = kept.keys()
      if (kept.size > MAX_KEPT && oldest !== undefined) kept.delete(oldest)
      return value
    } catch (error) {
      const reason = error instanceof PemError ? error.message : 'it cannot be read'
      throw new TlsHandshakeError(`${names.join(', ')}, which policy set: ${reason}`, { cause: error })
    }
  }

  /** Paths from policy are byte strings. */
  #path(name: string): string {
    return resolve(this.#folder, Buffer.from(name, 'latin1').toString('utf8'))
  }
}

async function stateOf(path: string): Promise<string> {
  const { mtimeMs, size, ino } = await stat(path)
  return `${mtimeMs} ${size} ${ino}`
}
