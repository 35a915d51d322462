/**
 * An established TLS session → what policy, logs and headers may know of it.
 *
 * Identity is read from the leaf's DER; on a resumed session that is the leaf that the ticket carried, and it is judged
 * again.
 */

import type { X509Certificate } from 'node:crypto'
import type { TLSSocket } from 'node:tls'
import type { CertificateMemory } from './certificate-memory.ts'
import { walkChain } from './chain-walk.ts'
import type { ClientCas } from './material.ts'
import { escapeWord } from './names.ts'
import { type CertificateFacts, type ChainFindings, judgePeer, type TlsFacts } from './peer.ts'
import type { Presented } from './presented.ts'
import type { RevocationLists } from './revocation.ts'
import type { SecondLook } from './second-look.ts'

export interface SessionSurroundings {
  readonly mode: TlsFacts['mode']
  readonly modeFrom: string
  /** the CAs and revocation lists of the scope */
  readonly cas: ClientCas | undefined
  readonly crls: RevocationLists | undefined
  /** TLS_Verify_Depth */
  readonly maxDepth: number | undefined
  readonly second: SecondLook
  readonly memory: CertificateMemory
  /** milliseconds since the epoch */
  readonly now: number
}

/** certificates of a chain that policy is shown */
const MAX_WALK = 10

const NOTHING_FOUND: ChainFindings = { complete: false, reachesCa: false, path: [], problems: [] }

/** What was negotiated, whoever is on the other end. */
export type Link = Pick<
  TlsFacts,
  'protocol' | 'cipher' | 'cipherAlgorithmBits' | 'cipherUsedBits' | 'sni' | 'resumed'
>

/** Of a socket that is open. */
export function readLink(socket: TLSSocket): Link {
  const cipher = socket.getCipher().name
  const bits = cipherBits(cipher)
  return {
    protocol: socket.getProtocol() ?? '',
    cipher,
    cipherAlgorithmBits: bits.algorithm,
    cipherUsedBits: bits.used,
    sni: requestedName(socket),
    resumed: socket.isSessionReused(),
  }
}

export interface SessionJudgement {
  readonly leaf: Presented['leaf']
  readonly facts: TlsFacts
  readonly chain: () => readonly CertificateFacts[]
}

export function judgeSession(
  link: Link,
  presented: Presented,
  surroundings: SessionSurroundings,
): SessionJudgement {
  const { mode, modeFrom, cas, crls, maxDepth, second, memory, now } = surroundings
  const { leaf, sent, resumed, failure } = presented
  const lists = crls?.parsed
  const facts: TlsFacts = {
    protocol: link.protocol,
    cipher: link.cipher,
    cipherAlgorithmBits: link.cipherAlgorithmBits,
    cipherUsedBits: link.cipherUsedBits,
    sni: link.sni,
    resumed: link.resumed,
    mode,
    modeFrom,
    serverOnly: second.serverOnly,
    crlForgiven: second.crlForgiven,
    peer: judgePeer({
      mode,
      leaf: leaf && memory.read(leaf),
      failure,
      second: second.verdict,
      chain: () => (leaf === undefined ? NOTHING_FOUND : walkChain({ leaf, sent, resumed, cas, lists, now })),
      maxDepth,
      now,
    }),
  }
  return {
    leaf,
    facts,
    chain: () =>
      leaf === undefined
        ? []
        : chainOf([leaf, ...sent], cas?.certificates ?? []).map((each) => memory.read(each).facts),
  }
}

/** The leaf and what stands above it: what leads on from it, then our CAs (of a resumed session these alone). */
export function chainOf(
  shown: readonly X509Certificate[],
  cas: readonly X509Certificate[],
): X509Certificate[] {
  const chain: X509Certificate[] = []
  let current = shown[0]
  while (current !== undefined && chain.length < MAX_WALK) {
    chain.push(current)
    const child: X509Certificate = current
    const next: X509Certificate | undefined = shown[chain.length] ?? cas.find((ca) => issued(ca, child))
    // a certificate that names itself as its issuer ends the chain
    current = next === undefined || next.raw.equals(child.raw) ? undefined : next
  }
  return chain
}

/** By its names and its signature. */
export function issued(issuer: X509Certificate, child: X509Certificate): boolean {
  try {
    return child.checkIssued(issuer) && child.verify(issuer.publicKey)
  } catch {
    // a key that cannot be read has issued nothing
    return false
  }
}

/** The SNI, escaped. OpenSSL does not tell it for a resumed session of TLS 1.2. */
function requestedName(socket: TLSSocket): string {
  const { servername } = socket as unknown as { readonly servername: unknown }
  return typeof servername === 'string' ? escapeWord(Buffer.from(servername, 'latin1')) : ''
}

interface KeyLengths {
  readonly algorithm: number
  readonly used: number
}

/** There are as many as OpenSSL has suites. */
const keyLengths = new Map<string, KeyLengths>()

/** Key lengths by OpenSSL's name of the suite; Node does not tell them (SSL_CIPHER_get_bits). */
export function cipherBits(name: string): KeyLengths {
  const known = keyLengths.get(name)
  if (known !== undefined) return known
  const bits = bitsOf(name)
  keyLengths.set(name, bits)
  return bits
}

function bitsOf(name: string): KeyLengths {
  if (name.includes('NULL')) return { algorithm: 0, used: 0 }
  if (name.includes('3DES') || name.includes('CBC3')) return { algorithm: 168, used: 112 }
  const bits = /256|CHACHA20/.test(name.replace(/SHA\d+/g, '')) ? 256 : 128
  return { algorithm: bits, used: bits }
}
