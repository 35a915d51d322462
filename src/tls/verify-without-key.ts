/**
 * OpenSSL's own verdict on a chain of which nobody here holds the key.
 *
 * One end of a TLS 1.2 handshake (RFC 5246 §7.4) runs in memory; the other end is played by prepared bytes up to the
 * Certificate message, after which OpenSSL has judged the chain and nothing has yet been asked of its key. As a server it
 * judges by the purpose of TLS clients, as a client by that of TLS servers. Nobody is authenticated by that: it says what
 * a chain is worth, not who holds it.
 *
 * Whatever goes wrong on the way is a failure: "no error" comes from OpenSSL alone. Node's own roots are never used.
 */

import { Duplex } from 'node:stream'
import { connect, createSecureContext, type SecureContext, TLSSocket } from 'node:tls'
import { selfSigned } from './authority.ts'
import type { VerifyFailure } from './peer.ts'
import { blocksOf } from './pem.ts'
import { type Presented, presentedSoFar } from './presented.ts'
import { certificateOf } from './x509.ts'

export type Purpose = 'clientAuth' | 'serverAuth'

export interface ChainTrust {
  /** PEM, one certificate each; empty: nothing verifies */
  readonly ca: readonly string[]
  /** PEM, one list each; undefined: revocation is not looked at */
  readonly crls?: readonly string[] | undefined
  /** OpenSSL's, as in `@SECLEVEL=1` of a cipher list; its default unless given */
  readonly securityLevel?: number | undefined
  /** a certificate among `ca` ends a chain also where it is no root */
  readonly partialChain?: boolean | undefined
}

/** milliseconds; it takes two or three */
const DEADLINE = 5000
/** octets of a record (RFC 5246 §6.2.1), and of all certificates (OpenSSL's bound) */
const MAX_RECORD = 16_384
const MAX_CHAIN = 100 * 1024

const SUITES = { ecdsa: 0xc02b, rsa: 0xc02f } as const
const CIPHERS = 'ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256'

/**
 * @param chainPem the client's or server's certificate first, then what it sends along
 * @returns undefined when OpenSSL has nothing to object
 * @throws PemError when there is no certificate in it
 */
export async function verifyWithoutKey(
  chainPem: string,
  { purpose, ...trust }: ChainTrust & { readonly purpose: Purpose },
): Promise<VerifyFailure | undefined> {
  const chain = blocksOf(Buffer.from(chainPem, 'latin1'), ['CERTIFICATE', 'X509 CERTIFICATE'], 'certificate')
  return await new ChainVerifier(trust).verify(chain, purpose)
}

/** Verdicts by one set of CAs and revocation lists, which are read once. */
export class ChainVerifier {
  readonly #context: SecureContext

  constructor({ ca, crls, securityLevel, partialChain = false }: ChainTrust) {
    const { cert, key } = selfSigned({ subject: 'nobody', usage: 'server' })
    this.#context = createSecureContext({
      cert,
      key,
      ca: [...ca],
      allowPartialTrustChain: partialChain,
      ...(crls === undefined ? {} : { crl: [...crls] }),
      ciphers: securityLevel === undefined ? CIPHERS : `${CIPHERS}:@SECLEVEL=${securityLevel}`,
      minVersion: 'TLSv1.2',
      maxVersion: 'TLSv1.2',
    })
  }

  /** @param chain DER, the leaf first */
  async verify(chain: readonly Buffer[], purpose: Purpose): Promise<VerifyFailure | undefined> {
    return (await this.present(chain, purpose)).failure
  }

  /**
   * What a handshake in which this chain is shown brings to light.
   * @param chain DER, the leaf first
   * @returns without a leaf where OpenSSL came to no verdict: the failure then says what ends such a handshake
   */
  async present(chain: readonly Buffer[], purpose: Purpose): Promise<Presented> {
    const [leaf] = chain
    if (leaf === undefined) return nothing({ code: 'NO_CERTIFICATE', message: 'there is no certificate' })
    if (chain.reduce((sum, der) => sum + der.length + 3, 0) > MAX_CHAIN) {
      return nothing({ code: 'CHAIN_TOO_LARGE', message: 'the chain is larger than OpenSSL takes' })
    }
    const flight = [
      purpose === 'clientAuth' ? clientHello() : serverHello(suiteFor(leaf)),
      certificates(chain),
    ]
    const wire = new PlayedPeer(records(Buffer.concat(flight)), purpose === 'serverAuth')
    const socket =
      purpose === 'clientAuth'
        ? new JudgingServer(wire, this.#context)
        : connect({ socket: wire, secureContext: this.#context, rejectUnauthorized: false })
    try {
      return await outcomeOf(socket)
    } finally {
      socket.destroy()
      wire.destroy()
    }
  }
}

/** The other end: says its piece, at once or when it has heard something, and swallows what comes. */
class PlayedPeer extends Duplex {
  readonly #flight: Buffer
  #waits: boolean

  constructor(flight: Buffer, waits: boolean) {
    super()
    this.#flight = flight
    this.#waits = waits
    if (!waits) this.push(flight)
  }

  override _read(): void {}

  override _write(_chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    if (this.#waits) this.push(this.#flight)
    this.#waits = false
    done()
  }
}

function nothing(failure: VerifyFailure): Presented {
  return { leaf: undefined, sent: [], resumed: false, failure }
}

/** Notes the verdict before the socket goes: the trace of a wrong signature in OpenSSL's error queue ends it at once. */
class JudgingServer extends TLSSocket {
  last: Presented | undefined

  constructor(wire: Duplex, secureContext: SecureContext) {
    super(wire, { isServer: true, secureContext, requestCert: true, rejectUnauthorized: false })
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.last ??= presentedSoFar(this)
    // oxlint-disable-next-line no-underscore-dangle -- the stream's own hook is called so
    super._destroy(error, callback)
  }
}

/** Resolves as soon as OpenSSL has seen a certificate, or when the handshake has ended without one. */
async function outcomeOf(socket: TLSSocket): Promise<Presented> {
  const ended: { failure?: VerifyFailure } = {}
  socket.on('error', (error: NodeJS.ErrnoException) => {
    const message = 'reason' in error && typeof error.reason === 'string' ? error.reason : error.message
    ended.failure ??= { code: error.code ?? 'UNSPECIFIED', message }
  })
  socket.on('close', () => {
    ended.failure ??= { code: 'CLOSED', message: 'the handshake ended' }
  })
  const deadline = performance.now() + DEADLINE
  while (performance.now() < deadline) {
    if (ended.failure !== undefined) {
      const noted = socket instanceof JudgingServer ? socket.last : undefined
      // an error on the way stays a failure, whatever the verdict was before
      return noted?.leaf === undefined || noted.failure === undefined ? nothing(ended.failure) : noted
    }
    const presented = presentedSoFar(socket)
    if (presented !== undefined) return presented
    await new Promise((resolve) => setImmediate(resolve))
  }
  return nothing({ code: 'TIMEOUT', message: 'OpenSSL came to no verdict' })
}

/** A client asks for a suite; what a server shows must fit to it. */
function suiteFor(leaf: Buffer): number {
  try {
    const type = certificateOf(leaf).publicKey.asymmetricKeyType ?? ''
    return type.startsWith('rsa') ? SUITES.rsa : SUITES.ecdsa
  } catch {
    // a key that cannot be read fits to nothing
    return SUITES.ecdsa
  }
}

function clientHello(): Buffer {
  const suites = uint16s(SUITES.ecdsa, SUITES.rsa)
  const extensions = [
    // supported_groups: X25519, P-256
    extension(10, sized(2, uint16s(0x001d, 0x0017))),
    // ec_point_formats: uncompressed
    extension(11, sized(1, Buffer.of(0))),
    // signature_algorithms: ECDSA and RSA with SHA-256
    extension(13, sized(2, uint16s(0x0403, 0x0804, 0x0401))),
  ]
  return message(
    1,
    uint16s(0x0303),
    Buffer.alloc(32),
    sized(1),
    sized(2, suites),
    sized(1, Buffer.of(0)),
    sized(2, ...extensions),
  )
}

function serverHello(suite: number): Buffer {
  // renegotiation_info (RFC 5746), without which OpenSSL ends the handshake
  const extensions = sized(2, extension(0xff01, sized(1)))
  return message(2, uint16s(0x0303), Buffer.alloc(32), sized(1), uint16s(suite), Buffer.of(0), extensions)
}

function certificates(chain: readonly Buffer[]): Buffer {
  return message(11, sized(3, ...chain.map((der) => sized(3, der))))
}

function message(type: number, ...parts: readonly Buffer[]): Buffer {
  return Buffer.concat([Buffer.of(type), sized(3, ...parts)])
}

function extension(type: number, content: Buffer): Buffer {
  return Buffer.concat([uint16s(type), sized(2, content)])
}

/** Handshake records of TLS 1.2. */
function records(messages: Buffer): Buffer {
  const all: Buffer[] = []
  for (let at = 0; at < messages.length; at += MAX_RECORD) {
    all.push(Buffer.of(22, 3, 3), sized(2, messages.subarray(at, at + MAX_RECORD)))
  }
  return Buffer.concat(all)
}

/** The parts behind their length, a number of so many octets. */
function sized(octets: 1 | 2 | 3, ...parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat(parts)
  const length = Buffer.alloc(octets)
  length.writeUIntBE(body.length, 0, octets)
  return Buffer.concat([length, body])
}

function uint16s(...numbers: readonly number[]): Buffer {
  return Buffer.from(numbers.flatMap((number) => [number >> 8, number & 0xff]))
}
