/**
 * A certificate authority in memory (RFC 5280): issues certificates and revocation lists on ECDSA P-256.
 *
 * For trying things out and for tests: its keys are in the clear and it keeps no records. It writes any subject that it
 * is given, also a malformed one. Server keys for the Internet come from a real CA.
 */

import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
} from 'node:crypto'
import { isIP } from 'node:net'
import {
  bitString,
  boolean,
  element,
  explicit,
  integer,
  octetString,
  oid,
  sequence,
  TAG,
  time,
} from './der-writer.ts'
import { toPem } from './pem.ts'

/** One attribute of a name, each in an RDN of its own. */
export interface NameAttribute {
  /** dotted OID, `2.5.4.3` is CN */
  readonly type: string
  /** a tag of `der-writer.ts`; default UTF8String */
  readonly tag?: number
  readonly value: string | Uint8Array
}

/** A string is a lone CN. */
export type NameInput = string | readonly NameAttribute[]

/** What a certificate may be used for: the extended key usage; `any` leaves the extension out. */
export type Usage = 'client' | 'server' | 'both' | 'ocsp' | 'any'

export interface AltName {
  readonly kind: 'dns' | 'email' | 'uri' | 'ip'
  /** for `ip` an address as text or its bytes */
  readonly value: string | Uint8Array
}

export interface CertificateRequest {
  readonly subject: NameInput
  /** milliseconds; default an hour before now */
  readonly notBefore?: number
  /** milliseconds; default a year after now */
  readonly notAfter?: number
  readonly usage?: Usage
  readonly altNames?: readonly AltName[]
  /** nobody need ask whether it is revoked (RFC 6960 §4.2.2.2.1): for signers of OCSP answers */
  readonly noCheck?: boolean
  /** default: 127 random bits */
  readonly serial?: bigint
  /** PEM; default: a new one */
  readonly key?: string
  readonly now?: number
}

export interface AuthorityRequest extends Omit<CertificateRequest, 'usage'> {
  readonly pathLength?: number
  /** default: not restricted */
  readonly usage?: Usage
  /** whether the certificate says that it may sign certificates; default true */
  readonly maySign?: boolean
  /** DNS names under which it may issue, all others being excluded */
  readonly permittedDns?: readonly string[]
}

export interface Credential {
  /** PEM */
  readonly cert: string
  /** PEM, PKCS #8 */
  readonly key: string
  readonly der: Buffer
  readonly serial: bigint
}

export interface CrlRequest {
  readonly revoked?: readonly bigint[]
  /** milliseconds; default an hour before now */
  readonly thisUpdate?: number
  /** milliseconds, or `never` to leave it out; default 30 days after now */
  readonly nextUpdate?: number | 'never'
  readonly now?: number
}

const HOUR = 3_600_000
const DAY = 24 * HOUR
const COMMON_NAME = '2.5.4.3'
const ECDSA_SHA256 = sequence(oid('1.2.840.10045.4.3.2'))

interface Identity {
  readonly name: Buffer
  readonly key: KeyObject
  readonly keyId: Buffer
}

export class Authority {
  readonly credential: Credential
  readonly #identity: Identity

  private constructor(credential: Credential, identity: Identity) {
    this.credential = credential
    this.#identity = identity
  }

  /** A self-signed root. */
  static root(request: AuthorityRequest): Authority {
    const subject = newIdentity(request.subject, request.key)
    const credential = certify(request, subject, subject, caExtensions(request))
    return new Authority(credential, subject)
  }

  /** PEM */
  get cert(): string {
    return this.credential.cert
  }

  issue(request: CertificateRequest): Credential {
    return certify(
      request,
      newIdentity(request.subject, request.key),
      this.#identity,
      leafExtensions(request),
    )
  }

  intermediate(request: AuthorityRequest): Authority {
    const subject = newIdentity(request.subject, request.key)
    const credential = certify(request, subject, this.#identity, caExtensions(request))
    return new Authority(credential, subject)
  }

  /** A revocation list, PEM (RFC 5280 §5.1). */
  crl(request: CrlRequest = {}): string {
    const now = request.now ?? Date.now()
    const thisUpdate = request.thisUpdate ?? now - HOUR
    const nextUpdate = request.nextUpdate ?? now + 30 * DAY
    const entries = (request.revoked ?? []).map((serial) => sequence(integer(serial), time(thisUpdate)))
    const body = sequence(
      integer(1n),
      ECDSA_SHA256,
      this.#identity.name,
      time(thisUpdate),
      ...(nextUpdate === 'never' ? [] : [time(nextUpdate)]),
      ...(entries.length > 0 ? [sequence(...entries)] : []),
      explicit(0, sequence(authorityKeyId(this.#identity.keyId), extension('2.5.29.20', integer(1n)))),
    )
    return toPem('X509 CRL', signed(body, this.#identity.key))
  }
}

/** A certificate that signs itself and is no CA. */
export function selfSigned(request: CertificateRequest): Credential {
  const subject = newIdentity(request.subject)
  return certify(request, subject, subject, leafExtensions(request))
}

function newIdentity(subject: NameInput, key?: string): Identity {
  const privateKey =
    key === undefined ? generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey : createPrivateKey(key)
  return { name: encodeName(subject), key: privateKey, keyId: keyIdOf(publicKeyInfo(privateKey)) }
}

function certify(
  request: CertificateRequest,
  subject: Identity,
  issuer: Identity,
  extensions: readonly Buffer[],
): Credential {
  const now = request.now ?? Date.now()
  const serial = request.serial ?? BigInt(`0x${randomBytes(16).toString('hex')}`) >> 1n
  const body = sequence(
    explicit(0, integer(2n)),
    integer(serial),
    ECDSA_SHA256,
    issuer.name,
    sequence(time(request.notBefore ?? now - HOUR), time(request.notAfter ?? now + 365 * DAY)),
    subject.name,
    publicKeyInfo(subject.key),
    explicit(3, sequence(...extensions, subjectKeyId(subject.keyId), authorityKeyId(issuer.keyId))),
  )
  const der = signed(body, issuer.key)
  const key = subject.key.export({ type: 'pkcs8', format: 'pem' }) as string
  return { cert: toPem('CERTIFICATE', der), key, der, serial }
}

function signed(body: Buffer, key: KeyObject): Buffer {
  return sequence(body, ECDSA_SHA256, bitString(sign('sha256', body, key)))
}

function publicKeyInfo(key: KeyObject): Buffer {
  return createPublicKey(key).export({ type: 'spki', format: 'der' })
}

function encodeName(name: NameInput): Buffer {
  const attributes = typeof name === 'string' ? [{ type: COMMON_NAME, value: name }] : name
  return sequence(
    ...attributes.map((attribute: NameAttribute) =>
      element(
        TAG.set,
        sequence(oid(attribute.type), element(attribute.tag ?? TAG.utf8String, bytesOf(attribute.value))),
      ),
    ),
  )
}

function caExtensions({ pathLength, usage, maySign, permittedDns }: AuthorityRequest): Buffer[] {
  const limit = pathLength === undefined ? [] : [integer(BigInt(pathLength))]
  const usages = extendedUsages(usage ?? 'any')
  const permitted = (permittedDns ?? []).map((name) => sequence(encodeAltName({ kind: 'dns', value: name })))
  return [
    extension('2.5.29.19', sequence(boolean(true), ...limit), true),
    // keyCertSign and cRLSign
    extension('2.5.29.15', bitString(Buffer.of(maySign === false ? 0b0000_0010 : 0b0000_0110), 1), true),
    ...(usages.length > 0 ? [extension('2.5.29.37', sequence(...usages))] : []),
    ...(permitted.length > 0 ? [extension('2.5.29.30', sequence(explicit(0, ...permitted)), true)] : []),
  ]
}

function leafExtensions(request: CertificateRequest): Buffer[] {
  const extensions = [
    extension('2.5.29.19', sequence(), true),
    // digitalSignature
    extension('2.5.29.15', bitString(Buffer.of(0b1000_0000), 7), true),
  ]
  const usages = extendedUsages(request.usage ?? 'client')
  if (usages.length > 0) extensions.push(extension('2.5.29.37', sequence(...usages)))
  if (request.noCheck === true) extensions.push(extension('1.3.6.1.5.5.7.48.1.5', element(TAG.null)))
  const names = request.altNames ?? []
  if (names.length > 0) extensions.push(extension('2.5.29.17', sequence(...names.map(encodeAltName))))
  return extensions
}

function extendedUsages(usage: Usage): Buffer[] {
  const server = oid('1.3.6.1.5.5.7.3.1')
  const client = oid('1.3.6.1.5.5.7.3.2')
  const ocsp = oid('1.3.6.1.5.5.7.3.9')
  return { client: [client], server: [server], both: [server, client], ocsp: [ocsp], any: [] }[usage]
}

function encodeAltName(name: AltName): Buffer {
  const tags = { email: 0x81, dns: 0x82, uri: 0x86, ip: 0x87 } as const
  const value = name.kind === 'ip' && typeof name.value === 'string' ? addressBytes(name.value) : name.value
  return element(tags[name.kind], bytesOf(value))
}

/** Bytes of an IPv4 or IPv6 address as text (no zone). */
function addressBytes(address: string): Uint8Array {
  if (isIP(address) === 4) return Uint8Array.from(address.split('.').map(Number))
  if (isIP(address) !== 6) throw new RangeError(`not an IP address: ${address}`)
  const [head = '', tail] = new URL(`http://[${address}]/`).hostname.slice(1, -1).split('::')
  const left = head === '' ? [] : head.split(':')
  const right = tail === undefined || tail === '' ? [] : tail.split(':')
  const groups = [...left, ...Array<string>(8 - left.length - right.length).fill('0'), ...right]
  return Uint8Array.from(
    groups.flatMap((group) => [Number.parseInt(group, 16) >> 8, Number.parseInt(group, 16) & 255]),
  )
}

function extension(id: string, value: Buffer, critical = false): Buffer {
  return sequence(oid(id), ...(critical ? [boolean(true)] : []), octetString(value))
}

function subjectKeyId(keyId: Buffer): Buffer {
  return extension('2.5.29.14', octetString(keyId))
}

function authorityKeyId(keyId: Buffer): Buffer {
  return extension('2.5.29.35', sequence(element(0x80, keyId)))
}

function keyIdOf(spki: Buffer): Buffer {
  return createHash('sha256').update(spki).digest().subarray(0, 20)
}

function bytesOf(value: string | Uint8Array): Uint8Array {
  return typeof value === 'string' ? Buffer.from(value, 'utf8') : value
}
