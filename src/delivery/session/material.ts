/**
 * The client's side of TLS as the outbound options describe it: certificates, CAs and ciphers → OpenSSL's contexts.
 *
 * Files are read once and kept for as long as the configuration is; one that could not be read is tried again. Only CAs
 * that are named count: without any an empty list is handed to OpenSSL, never "nothing", which would mean Node's own
 * roots. Those count for MTA-STS alone (RFC 8461 §4.1), where no TLS_CA is set. Sessions are not resumed: each host proves
 * anew who it is, and nothing that was verified under one demand can be taken for another.
 */

import { constants, createHash } from 'node:crypto'
import { createSecureContext, rootCertificates, type SecureContext } from 'node:tls'
import type { FilePath, OutboundValues } from '../../config/settings.ts'
import { cipherText, protocolRange } from '../../tls/cipher-options.ts'
import { ContextCache } from '../../tls/context-cache.ts'
import {
  type ClientCas,
  joinServerCertificate,
  loadChain,
  loadClientCas,
  loadKey,
  type ServerCertificate,
} from '../../tls/material.ts'

/** Whose CAs verify. `web`: TLS_CA where it is set, else the roots of MTA-STS. */
export type Roots = 'none' | 'configured' | 'web'

export interface SessionContext {
  readonly secureContext: SecureContext
  /** of everything that went into it */
  readonly digest: string
}

/** octets that OpenSSL keeps, estimated as in `tls/contexts.ts` */
const CONTEXT_WEIGHT = 48 * 1024
const DER_WEIGHT = 6

export class SessionMaterial {
  readonly #webRoots: FilePath | undefined
  readonly #cas = new Map<string, Promise<ClientCas>>()
  readonly #certificates = new Map<string, Promise<ServerCertificate>>()
  readonly #contexts = new ContextCache()

  /** @param webRoots MTA_STS_CA */
  constructor(webRoots: FilePath | undefined) {
    this.#webRoots = webRoots
  }

  /** @throws PemError for a file that cannot be used, RangeError for protocols of which none is left */
  async context(options: OutboundValues, roots: Roots): Promise<SessionContext> {
    const certificate = await this.certificate(options)
    const { pem, digest: trusted } = await this.#trust(options, roots)
    const { minVersion, maxVersion, secureOptions } = protocolRange(options.tls_protocols)
    const ciphers = cipherText({ ...options, tls_ec_curve_names: undefined })
    const parts = [certificate?.digest ?? '', trusted, ciphers, minVersion, maxVersion, secureOptions]
    const digest = createHash('sha256').update(JSON.stringify(parts)).digest('hex')
    const weight = CONTEXT_WEIGHT + DER_WEIGHT * pem.reduce((sum, each) => sum + each.length, 0)
    const secureContext = this.#contexts.get(digest, weight, () =>
      createSecureContext({
        ca: [...pem],
        ...(certificate === undefined ? {} : { cert: certificate.cert, key: certificate.key }),
        ciphers,
        minVersion,
        maxVersion,
        secureOptions: secureOptions | constants.SSL_OP_NO_RENEGOTIATION | constants.SSL_OP_NO_TICKET,
      }),
    )
    return { secureContext, digest }
  }

  /** What is shown to hosts that ask for a certificate. @throws PemError */
  async certificate({
    tls_certificate: file,
    tls_key: keyFile,
  }: OutboundValues): Promise<ServerCertificate | undefined> {
    if (file === undefined) return undefined
    const key = keyFile ?? file
    return await kept(this.#certificates, `${file.path}\0${key.path}`, async () =>
      joinServerCertificate(await loadChain(file.path), await loadKey(key.path)),
    )
  }

  /** @throws PemError */
  async cas(file: FilePath): Promise<ClientCas> {
    return await kept(this.#cas, file.path, async () => await loadClientCas(file.path))
  }

  /** PEM of MTA_STS_CA; undefined: Node's own. @throws PemError */
  async webRoots(): Promise<readonly string[] | undefined> {
    return this.#webRoots && (await this.cas(this.#webRoots)).pem
  }

  async #trust(options: OutboundValues, roots: Roots): Promise<Pick<ClientCas, 'pem' | 'digest'>> {
    if (roots === 'none') return { pem: [], digest: '' }
    if (options.tls_ca !== undefined) return await this.cas(options.tls_ca)
    if (roots === 'configured') return { pem: [], digest: '' }
    if (this.#webRoots !== undefined) return await this.cas(this.#webRoots)
    return { pem: rootCertificates, digest: 'web' }
  }
}

async function kept<T>(all: Map<string, Promise<T>>, key: string, load: () => Promise<T>): Promise<T> {
  const loading = all.get(key) ?? load()
  all.set(key, loading)
  try {
    return await loading
  } catch (error) {
    all.delete(key)
    throw error
  }
}
