/** A gate that asks OCSP responders, for the tests of one file: `open` before them, `close` after. */

import type { OcspSettings } from '../../src/config/settings.ts'
import type { ServerEvent } from '../../src/events/events.ts'
import type { Authority, Credential } from '../../src/tls/authority.ts'
import type { TlsContexts } from '../../src/tls/contexts.ts'
import {
  type AskedFor,
  encodeResponse,
  opensslResponder,
  type ResponseSpec,
} from '../support/ocsp-responder.ts'
import { issueClient, type PkiDirectory, pkiDirectory } from '../support/test-ca.ts'
import { factsOf, file, type Gate, load, openGate, scopeOf, type TlsOptions, visit } from './gate-harness.ts'

interface Bench {
  directory: PkiDirectory
  ca: Authority
  /** a client of that CA */
  client: Credential
  gate: Gate
}

/** Filled by `open`. */
export const bench = {} as Bench

export async function open(): Promise<void> {
  bench.directory = await pkiDirectory()
  bench.ca = bench.directory.pki.authority
  bench.client = await issueClient({})
  const scope = scopeWith({ tls_client_ocsp: false })
  bench.gate = await openGate(await load([scope]), scope)
}

export async function close(): Promise<void> {
  await bench.gate[Symbol.asyncDispose]()
  await bench.directory[Symbol.asyncDispose]()
}

export function scopeWith(more: TlsOptions = {}) {
  return scopeOf({
    tls_certificate: file(bench.directory.file('server.pem')),
    tls_key: file(bench.directory.file('server.key')),
    tls_client_ca: file(bench.directory.file('ca.pem')),
    tls_client_ocsp: true,
    ...more,
  })
}

export function stanza(responder: string, more: Partial<OcspSettings> = {}): OcspSettings {
  return {
    name: 'test',
    ca: file(bench.directory.file('ca.pem')),
    responder,
    signer: undefined,
    responder_ca: undefined,
    timeout: 5,
    cache_time: 3600,
    nonce: 'send',
    at: { file: 'gate.conf', line: 1, column: 1, length: 4 },
    ...more,
  }
}

interface Asking {
  readonly more?: TlsOptions
  readonly clock?: () => number
  readonly previous?: TlsContexts
  readonly events?: ServerEvent[]
}

/** Puts responders in force. */
export async function ask(
  ocsp: readonly OcspSettings[],
  { more, ...options }: Asking = {},
): Promise<TlsContexts> {
  const scope = scopeWith(more)
  const contexts = await load([scope], { ocsp, ...options })
  bench.gate.use(contexts, scope)
  return contexts
}

/** What the gate makes of a client: `verified`, `verified, forgiven`, or the cause with its code and depth. */
export async function verdict(credential: { cert: string; key: string } = bench.client): Promise<string> {
  await visit(bench.gate.port, { credential })
  const { peer, ocspForgiven } = await factsOf(bench.gate)
  if (peer.kind === 'unverified') return `${peer.cause} ${peer.code} ${peer.failing?.depth}`
  return `${peer.kind}${ocspForgiven === true ? ', forgiven' : ''}`
}

/** A right answer, signed by the CA. */
export function answer(
  { certId, nonce }: AskedFor,
  spec: Partial<ResponseSpec> & { status?: 'revoked' } = {},
): Buffer {
  const { status = 'good', ...rest } = spec
  return encodeResponse({ signer: bench.ca.credential, nonce, answers: [{ certId, status }], ...rest })
}

export function panics(events: readonly ServerEvent[]): string[] {
  return events.flatMap((event) => (event.kind === 'panic' ? [`${event.level} ${event.text}`] : []))
}

/** OpenSSL’s responder with a certificate and a key of these names. */
export function responder(name: string, ...more: string[]) {
  const [cert, key, index] = [`${name}.pem`, `${name}.key`, 'index.txt'].map((each) =>
    bench.directory.file(each),
  )
  const own = ['-index', index, '-rsigner', cert, '-rkey', key, '-CA', bench.directory.file('ca.pem')]
  return opensslResponder([...own.map(String), '-ignore_err', ...more])
}

/** A serial number as OpenSSL’s index has it. */
export function octets({ serial }: Pick<Credential, 'serial'>): string {
  const hex = serial.toString(16)
  const even = hex.length % 2 === 0 ? hex : `0${hex}`
  return Number.parseInt(even.slice(0, 2), 16) >= 0x80 ? `00${even}` : even
}

/** A file of the PKI, as an option has it. */
export const fileOf = (name: string) => file(bench.directory.file(name))

/** The CA that a responder’s certificate must come from. */
export function roots(name: string) {
  return { responder_ca: fileOf(name) }
}
