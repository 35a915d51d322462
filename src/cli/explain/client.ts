/**
 * The client that is explained: from the words of the command line to facts, or to an error that says what to do.
 */

import { readdirSync } from 'node:fs'
import { isIP } from 'node:net'
import path from 'node:path'
import { normaliseAddress } from '../../config/address.ts'
import { nearest, suggestion } from '../../config/edit-distance.ts'
import { findListen } from '../../config/evaluate.ts'
import { parseListenAddress } from '../../config/listen-address.ts'
import { quote } from '../../config/render.ts'
import type { ListenSettings, Settings } from '../../config/settings.ts'
import { readCertificate } from '../../tls/certificate.ts'
import { MalformedCertificate } from '../../tls/der.ts'
import { MAX_CERTIFICATE_FILE, PemError, parsePem, readBounded } from '../../tls/pem.ts'

/** As on the command line. */
export interface ExplainOptions {
  readonly config?: string
  readonly listen?: string
  readonly peer?: string
  readonly cert?: string
  readonly chain?: string
  /** certificates as PEM, in the place of files */
  readonly pem?: string
  readonly auth?: string
  readonly helo?: string
  readonly from?: string
  readonly to?: readonly string[]
  readonly sni?: string
  /** true: the client insists on TLS; false: it does without; undefined: where it is offered */
  readonly tls?: boolean
  readonly dns?: boolean
  readonly json?: boolean
}

export interface Client {
  readonly listen: ListenSettings
  /** normalised, '' on a UNIX socket */
  readonly address: string
  /** DER, its own certificate first */
  readonly chain: readonly Buffer[]
  readonly sni: string | undefined
  readonly tls: boolean | undefined
  readonly helo: string
  readonly user: string | undefined
  readonly sender: string | undefined
  readonly recipients: readonly string[]
}

/** The command line asks for what cannot be. */
export class UsageError extends Error {}

/** @throws UsageError */
export async function readClient(settings: Settings, options: ExplainOptions): Promise<Client> {
  const listen = chooseListen(settings, options.listen)
  if (options.cert === undefined && options.chain !== undefined)
    throw new UsageError('--chain goes with --cert, which names the client’s own certificate')
  if (options.from === undefined && options.to !== undefined)
    throw new UsageError('--to goes with --from; --from "" is the null sender')
  if (options.sni !== undefined && (isIP(options.sni) !== 0 || options.sni === ''))
    throw new UsageError('--sni is a name; a client asks for no address (RFC 6066 §3)')
  const chain = [
    ...(options.pem === undefined ? [] : pastedChain(options.pem)),
    ...(options.cert === undefined ? [] : await readChain(options.cert)),
    ...(options.chain === undefined ? [] : await readChain(options.chain)),
  ]
  return {
    listen,
    address: readAddress(listen, options.peer),
    chain,
    sni: options.sni,
    tls: options.tls,
    helo: word('--helo', options.helo ?? 'client.example'),
    user: options.auth === undefined ? undefined : word('--auth', options.auth),
    sender: options.from === undefined ? undefined : mailbox('--from', options.from),
    recipients: (options.to ?? []).map((text) => mailbox('--to', text)),
  }
}

function chooseListen({ listens }: Settings, named: string | undefined): ListenSettings {
  const instances = listens.map(({ instance }) => instance)
  const list = instances.map((instance) => `"${instance}"`).join(', ')
  if (listens.length === 0) throw new UsageError('the configuration has no Listen: nobody can connect')
  if (named === undefined) {
    const [only, ...others] = listens
    if (only !== undefined && others.length === 0) return only
    throw new UsageError(`say which Listen with --listen: ${list}`)
  }
  const found = findListen(listens, named)
  if (found !== undefined) return found
  const taker = listenThatTakes(listens, named)
  const meant =
    taker === undefined
      ? suggestion(named, instances)
      : `; a connection to that address is accepted by Listen "${taker.instance}"`
  throw new UsageError(`there is no Listen ${quote(named)}${meant === '' ? '' : meant}; there are ${list}`)
}

/** Whoever connects to an address of this port meets a Listen for any address. */
function listenThatTakes(listens: readonly ListenSettings[], named: string): ListenSettings | undefined {
  const written = parseListenAddress(named)
  if (typeof written === 'string' || written.kind !== 'tcp') return undefined
  return listens.find(({ address }) => {
    if (address.kind !== 'tcp' || address.port !== written.port) return false
    return address.host === undefined && (address.family === 'dual' || address.family === written.family)
  })
}

function readAddress({ address, instance }: ListenSettings, peer: string | undefined): string {
  if (address.kind === 'unix') {
    if (peer === undefined) return ''
    throw new UsageError(`Listen "${instance}" is a UNIX socket: its clients are local, leave --peer out`)
  }
  if (peer === undefined) throw new UsageError('say with --peer which address the client comes from')
  const normal = normaliseAddress(peer)
  if (normal === undefined) throw new UsageError(`--peer ${quote(peer)} is not an IP address`)
  return normal
}

/** Text that fits into a command, as a byte string. */
function word(option: string, text: string): string {
  if (text === '' || /[\0-\x20\x7f]/.test(text))
    throw new UsageError(`${option} ${quote(text)} is no single word`)
  return bytes(text)
}

/** The inside of `<…>`. */
function mailbox(option: string, text: string): string {
  const inner = /^<(.*)>$/.exec(text)?.[1] ?? text
  // oxlint-disable-next-line no-control-regex -- control characters are what this looks for
  if (/[\0-\x1f\x7f<>]/.test(inner)) throw new UsageError(`${option} ${quote(text)} is no mail address`)
  return bytes(inner)
}

function bytes(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1')
}

async function readChain(file: string): Promise<readonly Buffer[]> {
  try {
    return certificatesOf(file, await readBounded(file, MAX_CERTIFICATE_FILE))
  } catch (error) {
    if (!(error instanceof PemError)) throw error
    const near = error.message === 'no such file' ? nearFile(file) : ''
    throw new UsageError(`${quote(file)}: ${error.message}${near}`)
  }
}

function pastedChain(text: string): readonly Buffer[] {
  try {
    const chain = certificateBlocks(parsePem(text))
    if (chain.length === 0) throw new PemError('it holds no certificate')
    return chain
  } catch (error) {
    if (!(error instanceof PemError)) throw error
    throw new UsageError(`the certificate: ${error.message}`)
  }
}

function certificatesOf(file: string, content: Buffer): readonly Buffer[] {
  if (content[0] === 0x30 && ((content[1] ?? 0) & 0x80) !== 0) {
    const target = quote(file.replace(/\.(?:der|cer|crt)$/i, '.pem'))
    throw new PemError(`it is DER, not PEM; try: openssl x509 -inform DER -in ${quote(file)} -out ${target}`)
  }
  const blocks = parsePem(content.toString('latin1'))
  const chain = certificateBlocks(blocks)
  if (chain.length > 0) return chain
  const labels = blocks.map(({ label }) => label)
  if (labels.some((label) => label.endsWith('PRIVATE KEY'))) {
    throw new PemError(
      `it holds a private key and no certificate; no key is needed here${certificateBeside(file)}`,
    )
  }
  if (labels.includes('CERTIFICATE REQUEST')) {
    throw new PemError('it holds a request for a certificate; what the CA made of it is what a client shows')
  }
  const [other] = labels
  throw new PemError(
    other === undefined ? 'it holds no PEM at all' : `it holds no certificate, only a "${other}"`,
  )
}

function certificateBlocks(blocks: ReturnType<typeof parsePem>): readonly Buffer[] {
  return blocks
    .flatMap(({ label, der }) =>
      (label === 'CERTIFICATE' || label === 'X509 CERTIFICATE') && der !== undefined ? [der] : [],
    )
    .map((der, index) => readable(der, index))
}

/** A certificate whose form is broken is explained like any other; what is no DER at all is a wrong file. */
function readable(der: Buffer, index: number): Buffer {
  if (der[0] !== 0x30) throw new PemError(`certificate ${index + 1} is no DER inside`)
  return der
}

function nearFile(file: string): string {
  return suggestion(path.basename(file), siblings(file))
}

function certificateBeside(file: string): string {
  const stem = path
    .basename(file)
    .replace(/[._-]?key(?=\.|$)/i, '')
    .replace(/\.[^.]*$/, '')
  const candidates = siblings(file).filter(
    (name) => /\.(?:pem|crt|cer|cert)$/i.test(name) && name !== path.basename(file),
  )
  const found = candidates.find((name) => name.replace(/\.[^.]*$/, '') === stem) ?? nearest(stem, candidates)
  return found === undefined ? '' : `; did you mean "${path.join(path.dirname(file), found)}"?`
}

function siblings(file: string): readonly string[] {
  try {
    return readdirSync(path.dirname(path.resolve(file)))
  } catch {
    return []
  }
}

/** What a chain's first certificate says of itself; undefined for one that cannot be read. */
export function subjectOf(chain: readonly Buffer[]): string | undefined {
  const [leaf] = chain
  if (leaf === undefined) return undefined
  try {
    return readCertificate(leaf).subject
  } catch (error) {
    if (error instanceof MalformedCertificate) return '(it cannot be read)'
    throw error
  }
}
