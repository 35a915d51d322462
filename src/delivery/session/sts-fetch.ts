/**
 * Fetches a policy from `https://mta-sts.DOMAIN/.well-known/mta-sts.txt` (RFC 8461 §3.3).
 *
 * The policy host's certificate is verified against Node's own roots (the Web's), or those given instead: nowhere else in
 * the server do roots count that the operator has not named. Its name must be among the certificate's DNS names. No
 * redirects, no cache, `text/plain` alone, 64 KiB and one minute in all. Nothing is sent before the certificate is good.
 */

import { request } from 'node:https'
import { DnsError, type DnsResolver } from '../../dns/stub-resolver.ts'
import { readCertificate } from '../../tls/certificate.ts'
import { certificateNames } from './host-names.ts'
import { parseStsPolicy, type StsPolicyText } from './sts-policy.ts'

/** Why there is no policy, in the words of RFC 8460 §4.3.2.2. */
export class StsFetchError extends Error {
  readonly type: 'sts-policy-fetch-error' | 'sts-policy-invalid' | 'sts-webpki-invalid'

  constructor(type: StsFetchError['type'], message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'StsFetchError'
    this.type = type
  }
}

export interface StsFetcherOptions {
  readonly dns: DnsResolver
  /** PEM in place of Node's own roots; undefined: those */
  readonly roots?: () => Promise<readonly string[] | undefined>
  /** whether an address may be connected to */
  readonly allows: (address: string) => boolean
  /** 443 unless given; for tests */
  readonly port?: number
  /** milliseconds for everything; a minute unless given */
  readonly timeout?: number
}

const MAX_POLICY = 64 * 1024
const TIMEOUT = 60_000
const MAX_ADDRESSES = 4

/** @throws StsFetchError, or the signal's reason */
export async function fetchStsPolicy(
  domain: string,
  options: StsFetcherOptions,
  signal: AbortSignal,
): Promise<StsPolicyText> {
  const limit = AbortSignal.any([signal, AbortSignal.timeout(options.timeout ?? TIMEOUT)])
  const host = `mta-sts.${domain}`
  let last = new StsFetchError('sts-policy-fetch-error', `${host} has no address`)
  for (const address of await addressesOf(host, options, limit)) {
    try {
      const ca = await options.roots?.()
      const text = await get(host, { address, port: options.port ?? 443, ca, signal: limit })
      const policy = parseStsPolicy(text)
      if (policy === undefined)
        throw new StsFetchError('sts-policy-invalid', `what ${host} gives is no policy`)
      return policy
    } catch (error) {
      signal.throwIfAborted()
      if (error instanceof StsFetchError && error.type === 'sts-policy-invalid') throw error
      last = error instanceof StsFetchError ? error : describe(host, error)
    }
  }
  throw last
}

async function addressesOf(
  host: string,
  { dns, allows }: StsFetcherOptions,
  signal: AbortSignal,
): Promise<readonly string[]> {
  try {
    const v4 = await dns.lookup(host, 'A', { signal })
    const found = v4.records.length > 0 ? v4 : await dns.lookup(host, 'AAAA', { signal })
    return found.records.filter(allows).slice(0, MAX_ADDRESSES)
  } catch (cause) {
    if (!(cause instanceof DnsError)) throw cause
    throw new StsFetchError('sts-policy-fetch-error', cause.message, { cause })
  }
}

interface Way {
  readonly address: string
  readonly port: number
  readonly ca: readonly string[] | undefined
  readonly signal: AbortSignal
}

function get(host: string, { address, port, ca, signal }: Way): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  const asked = request({
    host: address,
    port,
    path: '/.well-known/mta-sts.txt',
    headers: { host },
    servername: host,
    // a connection of its own: what another one was verified for counts for nothing here
    agent: false,
    rejectUnauthorized: true,
    ...(ca === undefined ? {} : { ca: [...ca] }),
    checkServerIdentity: (_name, { raw }) => namesHost(raw, host),
    signal,
  })
  asked.on('error', reject)
  asked.on('response', (response) => {
    const type = (response.headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase()
    const wrong =
      response.statusCode !== 200
        ? `status ${response.statusCode ?? ''}`
        : type !== 'text/plain'
          ? 'not text/plain'
          : ''
    if (wrong !== '') {
      reject(new StsFetchError('sts-policy-fetch-error', `${host} answers with ${wrong}`))
      asked.destroy()
      return
    }
    const chunks: Buffer[] = []
    let size = 0
    response.on('data', (chunk: Buffer) => {
      size += chunk.length
      chunks.push(chunk)
      if (size <= MAX_POLICY) return
      reject(new StsFetchError('sts-policy-invalid', `the policy of ${host} is too large`))
      asked.destroy()
    })
    response.on('error', reject)
    response.on('end', () => resolve(Buffer.concat(chunks).toString('latin1')))
    response.on('close', () => reject(new StsFetchError('sts-policy-fetch-error', `${host} broke off`)))
  })
  asked.end()
  return promise
}

/** undefined: it does. Momentum and Node would take a CN too; RFC 8461 §3.3 does not. */
function namesHost(der: Buffer, host: string): Error | undefined {
  try {
    if (certificateNames(readCertificate(der), [host], false)) return undefined
  } catch {
    // what cannot be read names nobody
  }
  return new StsFetchError('sts-webpki-invalid', `the certificate is not one of ${host}`)
}

function describe(host: string, error: unknown): StsFetchError {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  const ofCertificate = /CERT|SIGNATURE|ISSUER|CHAIN|PURPOSE|CRL/.test(code)
  return new StsFetchError(
    ofCertificate ? 'sts-webpki-invalid' : 'sts-policy-fetch-error',
    `${host}: ${code === '' ? 'no answer' : code}`,
    { cause: error },
  )
}
