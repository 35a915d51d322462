/**
 * Every file that the TLS options of a configuration name, read once and found by its path.
 *
 * What is wrong becomes a diagnostic at the option that names the file, once for each place. On a reload a CA or CRL
 * file that fails keeps what was loaded from it before; nothing else is ever replaced by something older.
 */

import type { KeyObject } from 'node:crypto'
import { createSecureContext } from 'node:tls'
import type { Diagnostic, Origin } from '../config/diagnostic.ts'
import { describeOrigin } from '../config/diagnostic.ts'
import type { FilePath, InboundScope, InboundValues, Settings, SniCertificate } from '../config/settings.ts'
import { checkCipherOptions, cipherText, protocolRange } from './cipher-options.ts'
import type { CrlUse } from './crl-watch.ts'
import {
  type ClientCas,
  joinServerCertificate,
  loadChain,
  loadClientCas,
  loadKey,
  type ServerCertificate,
} from './material.ts'
import { PemError } from './pem.ts'
import { isForged, loadRevocationLists, type RevocationLists } from './revocation.ts'
import { tlsScopes } from './tls-scopes.ts'

/** What was loaded, by absolute path; servers by `serverKey`. */
export interface TlsFiles {
  readonly servers: ReadonlyMap<string, ServerCertificate>
  readonly cas: ReadonlyMap<string, ClientCas>
  readonly crls: ReadonlyMap<string, RevocationLists>
}

export interface LoadedFiles {
  readonly files: TlsFiles
  readonly diagnostics: readonly Diagnostic[]
  /** CA and CRL files that failed and for which the last good content stays in force, each with the reason */
  readonly kept: readonly { readonly path: string; readonly reason: string }[]
  readonly crlUses: readonly CrlUse[]
}

type Outcome<T> = { readonly value: T } | { readonly reason: string }

type TlsOption = keyof InboundValues & `tls_${string}`

const DISPLAY: Partial<Record<TlsOption, string>> = {
  tls_certificate: 'TLS_Certificate',
  tls_key: 'TLS_Key',
  tls_client_ca: 'TLS_Client_CA',
  tls_client_crl: 'TLS_Client_CRL',
}

/** The same for a certificate of TLS_SNI. */
export function sniKey({ certificate, key }: SniCertificate): string {
  return `${certificate.path}\0${(key ?? certificate).path}`
}

/** Under what a server's certificate is found; undefined when the scope has none. */
export function serverKey({ tls_certificate: certificate, tls_key: key }: InboundValues): string | undefined {
  return certificate && `${certificate.path}\0${key?.path ?? certificate.path}`
}

/** @param previous what was in force before a reload */
export async function loadTlsFiles(settings: Settings, previous?: TlsFiles): Promise<LoadedFiles> {
  const loader = new Loader(previous)
  for (const { scope } of tlsScopes(settings)) await loader.load(scope)
  loader.checkLists()
  return loader.result()
}

class Loader {
  readonly #previous: TlsFiles | undefined
  readonly #chains = new Map<string, Outcome<readonly Buffer[]>>()
  readonly #keys = new Map<string, Outcome<KeyObject>>()
  readonly #servers = new Map<string, Outcome<ServerCertificate>>()
  readonly #cas = new Map<string, Outcome<ClientCas>>()
  readonly #crls = new Map<string, Outcome<RevocationLists>>()
  readonly #kept = new Map<string, string>()
  readonly #uses = new Map<string, { scopes: InboundScope[]; bundles: Set<ClientCas>; alarmAge: number }>()
  readonly #diagnostics: Diagnostic[] = []
  readonly #seen = new Set<string>()

  constructor(previous: TlsFiles | undefined) {
    this.#previous = previous
  }

  async load(scope: InboundScope): Promise<void> {
    const { tls_client_ca: ca, tls_client_crl: crl } = scope.options
    if (this.#firstTime(scope, ['tls_certificate', 'tls_key'])) await this.#loadServer(scope)
    if (this.#firstTime(scope, ['tls_sni'])) await this.#loadSni(scope)
    if (ca !== undefined && this.#firstTime(scope, ['tls_client_ca'])) {
      const outcome = await once(this.#cas, ca.path, () =>
        this.#orKept(ca.path, loadClientCas, this.#previous?.cas),
      )
      this.#report(scope, 'tls_client_ca', outcome)
    }
    if (crl !== undefined && this.#firstTime(scope, ['tls_client_crl'])) {
      const outcome = await once(this.#crls, crl.path, () =>
        this.#orKept(crl.path, loadRevocationLists, this.#previous?.crls),
      )
      this.#report(scope, 'tls_client_crl', outcome)
    }
    if (crl !== undefined) this.#noteUse(scope, crl.path)
    this.#checkOptions(scope)
  }

  /** A list in the name of a CA of ours that this CA has not signed: a mistake, or somebody's doing. */
  checkLists(): void {
    for (const [path, { scopes, bundles }] of this.#uses) {
      const outcome = this.#crls.get(path)
      if (outcome === undefined || 'reason' in outcome) continue
      const forged = outcome.value.entries.find((entry) => isForged(entry, bundles))
      if (forged === undefined) continue
      const reason = `a list of "${forged.parsed.facts.issuer}" is not signed by that CA`
      const last = this.#previous?.crls.get(path)
      if (last === undefined) {
        for (const scope of scopes) this.#report(scope, 'tls_client_crl', { reason })
      } else {
        this.#kept.set(path, reason)
        this.#crls.set(path, { value: last })
      }
    }
  }

  #noteUse(scope: InboundScope, path: string): void {
    const { tls_client_ca: ca, tls_client_crl_alarm_age: age } = scope.options
    let use = this.#uses.get(path)
    if (use === undefined) {
      use = { scopes: [], bundles: new Set(), alarmAge: 0 }
      this.#uses.set(path, use)
    }
    const bundle = ca && this.#cas.get(ca.path)
    if (bundle !== undefined && 'value' in bundle) use.bundles.add(bundle.value)
    if (age > 0) use.alarmAge = use.alarmAge === 0 ? age : Math.min(age, use.alarmAge)
    // one message for each place is enough
    if (this.#firstTime(scope, ['tls_client_crl', 'tls_client_ca'])) use.scopes.push(scope)
  }

  result(): LoadedFiles {
    return {
      files: { servers: values(this.#servers), cas: values(this.#cas), crls: values(this.#crls) },
      diagnostics: this.#diagnostics,
      kept: [...this.#kept].map(([path, reason]) => ({ path, reason })),
      crlUses: [...this.#uses].map(([path, { bundles, alarmAge }]) => ({ path, bundles, alarmAge })),
    }
  }

  async #loadServer(scope: InboundScope): Promise<void> {
    const { tls_certificate: file, tls_key: keyFile, use_ssl: implicit } = scope.options
    if (file === undefined) {
      if (implicit) this.#add('error', 'Use_SSL needs a TLS_Certificate', scope.origin('use_ssl'))
      return
    }
    const chain = await once(this.#chains, file.path, () => attempt(() => loadChain(file.path)))
    const key = await once(this.#keys, (keyFile ?? file).path, () =>
      attempt(() => loadKey((keyFile ?? file).path)),
    )
    if ('reason' in chain) this.#report(scope, 'tls_certificate', chain)
    if ('reason' in key) {
      if (keyFile !== undefined) this.#report(scope, 'tls_key', key)
      // one message for a file that cannot be read at all
      else if ('value' in chain)
        this.#report(scope, 'tls_certificate', { reason: `${key.reason}, and TLS_Key is not set` })
    }
    if ('reason' in chain || 'reason' in key) return
    const server = await once(this.#servers, serverKey(scope.options) ?? '', () =>
      attempt(() => joinServerCertificate(chain.value, key.value)),
    )
    this.#report(scope, keyFile === undefined ? 'tls_certificate' : 'tls_key', server)
  }

  async #loadSni(scope: InboundScope): Promise<void> {
    const { tls_sni: entries, tls_certificate: own } = scope.options
    const at = scope.origin('tls_sni')
    if (entries.length > 0 && own === undefined) {
      this.#add('warning', 'TLS_SNI does nothing in a scope without a TLS_Certificate of its own', at)
    }
    for (const entry of entries) {
      const { host, certificate, key = certificate } = entry
      const server = await once(this.#servers, sniKey(entry), () =>
        attempt(async () =>
          joinServerCertificate(await loadChain(certificate.path), await loadKey(key.path)),
        ),
      )
      if ('reason' in server) {
        this.#add('error', `TLS_SNI "${host}", TLS_Certificate "${certificate.text}": ${server.reason}`, at)
      }
    }
  }

  /** What OpenSSL says to the options themselves and to all of them together. */
  #checkOptions(scope: InboundScope): void {
    const options: readonly TlsOption[] = [
      'tls_protocols',
      'tls_ciphers',
      'tlsv13_ciphersuites',
      'tls_ec_curve_names',
    ].filter((name): name is TlsOption => name in scope.options)
    const server = this.#servers.get(serverKey(scope.options) ?? '')
    if (!this.#firstTime(scope, [...options, 'tls_certificate', 'tls_key'])) return
    const findings = checkCipherOptions(scope.options)
    for (const { option, severity, message } of findings) this.#add(severity, message, scope.origin(option))
    if (findings.some(({ severity }) => severity === 'error') || server === undefined || 'reason' in server)
      return
    try {
      const { minVersion, maxVersion } = protocolRange(scope.options.tls_protocols)
      const { cert, key } = server.value
      createSecureContext({ ca: [], cert, key, ciphers: cipherText(scope.options), minVersion, maxVersion })
    } catch (error) {
      const reason = error instanceof Error ? error.message.replace(/^.*::?/, '').trim() : String(error)
      this.#report(scope, 'tls_certificate', { reason: `OpenSSL does not take it: ${reason}` })
    }
  }

  async #orKept<T>(
    path: string,
    load: (path: string) => Promise<T>,
    before: ReadonlyMap<string, T> | undefined,
  ): Promise<Outcome<T>> {
    const outcome = await attempt(() => load(path))
    const last = before?.get(path)
    if ('value' in outcome || last === undefined) return outcome
    this.#kept.set(path, outcome.reason)
    return { value: last }
  }

  #report(scope: InboundScope, option: TlsOption, outcome: Outcome<unknown>): void {
    if ('value' in outcome) return
    const file = scope.options[option] as FilePath | undefined
    this.#add(
      'error',
      `${DISPLAY[option] ?? option} "${file?.text ?? ''}": ${outcome.reason}`,
      scope.origin(option),
    )
  }

  #add(severity: Diagnostic['severity'], message: string, origin: Origin): void {
    if (this.#seen.has(`${message}\0${place(origin)}`)) return
    this.#seen.add(`${message}\0${place(origin)}`)
    this.#diagnostics.push({ severity, message, ...(origin === 'default' ? {} : { at: origin }) })
  }

  /** Whether these options were not met before with the same values from the same places. */
  #firstTime(scope: InboundScope, options: readonly TlsOption[]): boolean {
    const key = [
      scope.options.use_ssl,
      ...options.map((option) => `${option}@${place(scope.origin(option))}`),
    ]
    const values = options.map((option) => JSON.stringify(scope.options[option]) ?? '')
    const text = [...key, ...values].join('\0')
    if (this.#seen.has(text)) return false
    this.#seen.add(text)
    return true
  }
}

function place(origin: Origin): string {
  return origin === 'default' ? origin : `${describeOrigin(origin)}:${origin.column}`
}

async function once<T>(
  cache: Map<string, Outcome<T>>,
  key: string,
  load: () => Promise<Outcome<T>>,
): Promise<Outcome<T>> {
  const found = cache.get(key)
  if (found !== undefined) return found
  const outcome = await load()
  cache.set(key, outcome)
  return outcome
}

async function attempt<T>(run: () => T | Promise<T>): Promise<Outcome<T>> {
  try {
    return { value: await run() }
  } catch (error) {
    if (error instanceof PemError) return { reason: error.message }
    throw error
  }
}

function values<T>(outcomes: ReadonlyMap<string, Outcome<T>>): Map<string, T> {
  return new Map(
    [...outcomes].flatMap(([key, outcome]): [string, T][] =>
      'value' in outcome ? [[key, outcome.value]] : [],
    ),
  )
}
