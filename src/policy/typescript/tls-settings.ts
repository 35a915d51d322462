/**
 * What a policy in TypeScript may set for one handshake. Every value is checked when it is set, and a name that does not
 * exist is refused, because policies may be written without types: a typo must not weaken the handshake.
 */

import type { HandshakeParameters } from '../../tls/gate.ts'

type Mode = NonNullable<HandshakeParameters['mode']>

const modes: readonly unknown[] = ['none', 'unset', 'require'] satisfies readonly Mode[]
const maxText = 4096

export class TlsSettings {
  readonly #parameters: HandshakeParameters
  readonly #scopeMode: Mode

  constructor(parameters: HandshakeParameters, scopeMode: Mode) {
    this.#parameters = parameters
    this.#scopeMode = scopeMode
    Object.freeze(this)
  }

  /** False: no TLS for this client; 454, or closed without a word where TLS comes before the banner. */
  get use(): boolean {
    return this.#parameters.use
  }

  /** @throws TypeError */
  set use(use: boolean) {
    if (typeof use !== 'boolean') throw new TypeError('use is true or false')
    this.#parameters.use = use
  }

  /** `none`, `unset` (ask for a certificate and go on without) or `require`; reads as the scope's until it is set. */
  get mode(): Mode {
    return this.#parameters.mode ?? this.#scopeMode
  }

  /** @throws TypeError */
  set mode(mode: Mode) {
    if (!modes.includes(mode)) throw new TypeError('mode is "none", "unset" or "require"')
    this.#parameters.mode = mode
  }

  /** PEM file of the server's certificate, relative to the configuration file; undefined is the scope's. */
  get certificate(): string | undefined {
    return this.#parameters.certificate
  }

  /** @throws TypeError */
  set certificate(path: string | undefined) {
    this.#parameters.certificate = checkText('certificate', path)
  }

  /** PEM file of its key. */
  get key(): string | undefined {
    return this.#parameters.key
  }

  /** @throws TypeError */
  set key(path: string | undefined) {
    this.#parameters.key = checkText('key', path)
  }

  /** PEM file of the CAs that client certificates are verified against. */
  get ca(): string | undefined {
    return this.#parameters.ca
  }

  /** @throws TypeError */
  set ca(path: string | undefined) {
    this.#parameters.ca = checkText('ca', path)
  }

  /** Suites up to TLS 1.2, in OpenSSL's words. */
  get ciphers(): string | undefined {
    return this.#parameters.ciphers
  }

  /** @throws TypeError */
  set ciphers(ciphers: string | undefined) {
    this.#parameters.ciphers = checkText('ciphers', ciphers)
  }
}

function checkText(name: string, value: unknown): string | undefined {
  if (value === undefined) return undefined
  if (typeof value !== 'string' || value === '' || value.length > maxText || value.includes('\0'))
    throw new TypeError(`${name} is no usable text`)
  return value
}
