/**
 * Certificates and CAs from their files, checked as far as a file can be checked alone.
 *
 * What comes out was read by our own strict reader and by OpenSSL, and is handed on encoded anew. Files are PEM, or DER
 * with a single certificate.
 */

import { createHash, createPrivateKey, type KeyObject, type X509Certificate } from 'node:crypto'
import { readCertificate } from './certificate.ts'
import { type ChainElement, chainElement } from './chain-element.ts'
import { MalformedCertificate } from './der.ts'
import type { CertificateFacts } from './peer.ts'
import { blocksOf, MAX_CERTIFICATE_FILE, PemError, parsePem, readBounded, toPem } from './pem.ts'
import { certificateOf } from './x509.ts'

/** The certificate that a scope shows to clients, with its chain and key. */
export interface ServerCertificate {
  /** PEM, the leaf first */
  readonly cert: string
  /** the leaf, where no chain follows it */
  readonly alone: X509Certificate | undefined
  /** PEM */
  readonly key: string
  readonly leaf: CertificateFacts
  /** SHA-256 of chain and public key, hex */
  readonly digest: string
}

/** The CAs against which clients' certificates are verified. */
export interface ClientCas {
  /** one certificate each */
  readonly pem: readonly string[]
  readonly certificates: readonly X509Certificate[]
  readonly facts: readonly CertificateFacts[]
  /** for explanations: by the subject's comparable name */
  readonly bySubject: ReadonlyMap<string, readonly ChainElement[]>
  /** SHA-256 of each certificate, hex */
  readonly digests: ReadonlySet<string>
  /** SHA-256 of all certificates, hex */
  readonly digest: string
  /** octets of all certificates */
  readonly size: number
}

const CERTIFICATE_LABELS = ['CERTIFICATE', 'X509 CERTIFICATE']

/**
 * The chain in a file of TLS_Certificate.
 * @throws PemError
 */
export async function loadChain(path: string): Promise<readonly Buffer[]> {
  const chain = blocksOf(await readBounded(path, MAX_CERTIFICATE_FILE), CERTIFICATE_LABELS, 'certificate')
  chain.forEach(readOne)
  return chain
}

/**
 * The one private key in a file of TLS_Key, or of TLS_Certificate when that holds the key too.
 * @throws PemError
 */
export async function loadKey(path: string): Promise<KeyObject> {
  const text = (await readBounded(path, MAX_CERTIFICATE_FILE)).toString('latin1')
  const keys = parsePem(text).filter((block) => block.label.endsWith('PRIVATE KEY'))
  const [key] = keys
  if (key === undefined) throw new PemError('it holds no private key')
  if (keys.length > 1) throw new PemError('it holds more than one private key')
  if (key.der === undefined || key.label.startsWith('ENCRYPTED')) {
    throw new PemError(
      'its private key is encrypted, and nobody is there to type the passphrase; store it decrypted',
    )
  }
  try {
    return createPrivateKey(toPem(key.label, key.der))
  } catch (error) {
    throw new PemError('its private key cannot be read', { cause: error })
  }
}

/**
 * Joins a chain and its key.
 * @throws PemError when they do not belong together
 */
export function joinServerCertificate(chain: readonly Buffer[], key: KeyObject): ServerCertificate {
  const [first] = chain
  if (first === undefined) throw new PemError('it holds no certificate')
  const { facts, certificate } = readOne(first, 0)
  if (!certificate.checkPrivateKey(key)) throw new PemError('key and certificate do not match')
  const digest = createHash('sha256')
  for (const der of chain) digest.update(createHash('sha256').update(der).digest())
  return {
    cert: chain.map((der) => toPem('CERTIFICATE', der)).join(''),
    alone: chain.length === 1 ? certificate : undefined,
    key: key.export({ type: 'pkcs8', format: 'pem' }) as string,
    leaf: facts,
    digest: digest.digest('hex'),
  }
}

/**
 * All certificates of a file of TLS_Client_CA.
 * @throws PemError
 */
export async function loadClientCas(path: string): Promise<ClientCas> {
  const blocks = blocksOf(await readBounded(path, MAX_CERTIFICATE_FILE), CERTIFICATE_LABELS, 'certificate')
  const read = blocks.map(readOne)
  const digest = createHash('sha256')
  for (const der of blocks) digest.update(createHash('sha256').update(der).digest())
  return {
    pem: blocks.map((der) => toPem('CERTIFICATE', der)),
    certificates: read.map((one) => one.certificate),
    facts: read.map((one) => one.facts),
    bySubject: Map.groupBy(
      read.map((one) => chainElement(one.certificate)),
      ({ subject }) => subject,
    ),
    digests: new Set(read.map((one) => one.facts.fingerprint)),
    digest: digest.digest('hex'),
    size: blocks.reduce((sum, der) => sum + der.length, 0),
  }
}

function readOne(der: Buffer, index: number): { facts: CertificateFacts; certificate: X509Certificate } {
  try {
    return { facts: readCertificate(der), certificate: certificateOf(der) }
  } catch (error) {
    const reason = error instanceof MalformedCertificate ? error.message : 'OpenSSL cannot read it'
    throw new PemError(`certificate ${index + 1} is malformed: ${reason}`, { cause: error })
  }
}
