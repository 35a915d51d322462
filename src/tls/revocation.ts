/**
 * The revocation lists of a TLS_Client_CRL (RFC 5280 §5): a file, or a directory whose files all hold lists.
 *
 * A file may hold several lists; every CA in a chain needs its own. Form is checked here, strictly, and the signature
 * where the CA is one of the scope's; OpenSSL judges signatures again and looks serials up. A list without nextUpdate is
 * used. Nothing is ever fetched.
 */

import { createHash } from 'node:crypto'
import { readdir, stat } from 'node:fs/promises'
import path from 'node:path'
import { createSecureContext } from 'node:tls'
import { type CrlFacts, type ParsedCrl, parseCrl } from './crl.ts'
import { MalformedCertificate } from './der.ts'
import type { ClientCas } from './material.ts'
import { blocksOf, MAX_CRL_FILE, PemError, readBounded, toPem } from './pem.ts'

export interface RevocationList {
  /** the file that it came from */
  readonly file: string
  readonly pem: string
  readonly parsed: ParsedCrl
  /** SHA-256, hex */
  readonly digest: string
  /** octets */
  readonly size: number
}

export interface RevocationLists {
  readonly entries: readonly RevocationList[]
  /** one list each */
  readonly pem: readonly string[]
  readonly lists: readonly CrlFacts[]
  readonly parsed: readonly ParsedCrl[]
  /** SHA-256 of all lists, hex */
  readonly digest: string
  /** octets of all lists */
  readonly size: number
}

/** What a path holds, and which of its files cannot be used. */
export interface ListsRead {
  readonly entries: readonly RevocationList[]
  readonly faults: readonly { readonly file: string; readonly reason: string }[]
}

const MAX_FILES = 1000

/**
 * Reads all lists of a file or directory.
 * @throws PemError with the reason in plain words, without the path's name, when any of them is at fault
 */
export async function loadRevocationLists(source: string): Promise<RevocationLists> {
  const { entries, faults } = await readRevocationLists(source)
  const [fault] = faults
  if (fault !== undefined) {
    throw new PemError(fault.file === source ? fault.reason : `${path.basename(fault.file)}: ${fault.reason}`)
  }
  if (entries.length === 0) throw new PemError('the directory holds no CRL')
  return joinLists(entries)
}

/** The same, file by file: what is wrong with one does not keep the others out. */
export async function readRevocationLists(source: string): Promise<ListsRead> {
  const entries: RevocationList[] = []
  const faults: { file: string; reason: string }[] = []
  for (const file of await filesOf(source)) {
    try {
      entries.push(...(await readFileOfLists(file)))
    } catch (error) {
      if (!(error instanceof PemError)) throw error
      faults.push({ file, reason: error.message })
    }
  }
  return { entries, faults }
}

export function joinLists(entries: readonly RevocationList[]): RevocationLists {
  const hash = createHash('sha256')
  for (const { digest } of entries) hash.update(digest)
  return {
    entries,
    pem: entries.map(({ pem }) => pem),
    lists: entries.map(({ parsed }) => parsed.facts),
    parsed: entries.map(({ parsed }) => parsed),
    digest: hash.digest('hex'),
    size: entries.reduce((sum, { size }) => sum + size, 0),
  }
}

/** What changes when one of the files does; a symbolic link counts as what it leads to. */
export async function stateOfLists(source: string): Promise<string> {
  const states = (await filesOf(source)).map(async (file) => {
    const { mtimeMs, ctimeMs, size, ino } = await stat(file).catch(() => GONE)
    return `${file} ${mtimeMs} ${ctimeMs} ${size} ${ino}`
  })
  return (await Promise.all(states)).join('\n')
}

const GONE = { mtimeMs: 0, ctimeMs: 0, size: 0, ino: 0 }

/** Whether a list in the name of a CA of ours carries no signature of that CA. A CA that is not among them is not known. */
export function isForged({ parsed }: RevocationList, bundles: Iterable<ClientCas>): boolean {
  const issuers = [...bundles].flatMap(({ bySubject }) => bySubject.get(parsed.issuer) ?? [])
  return issuers.length > 0 && issuers.every((issuer) => parsed.isSignedBy(issuer) === false)
}

/** In a directory every file that is not hidden; otherwise the path itself, whether or not it can be read. */
async function filesOf(source: string): Promise<string[]> {
  const isDirectory = await stat(source).then(
    (found) => found.isDirectory(),
    () => false,
  )
  if (!isDirectory) return [source]
  const names = await readdir(source, { withFileTypes: true }).catch(() => [])
  return names
    .filter((each) => !each.name.startsWith('.') && !each.isDirectory())
    .map((each) => path.join(source, each.name))
    .toSorted()
    .slice(0, MAX_FILES)
}

async function readFileOfLists(file: string): Promise<RevocationList[]> {
  const blocks = blocksOf(await readBounded(file, MAX_CRL_FILE), ['X509 CRL', 'CRL'], 'CRL')
  return blocks.map((der, index) => {
    const pem = toPem('X509 CRL', der)
    const parsed = parseOne(der, index)
    checkWithOpenSsl(pem, index)
    return { file, pem, parsed, digest: createHash('sha256').update(der).digest('hex'), size: der.length }
  })
}

function parseOne(der: Buffer, index: number): ParsedCrl {
  try {
    return parseCrl(der)
  } catch (error) {
    if (!(error instanceof MalformedCertificate)) throw error
    throw new PemError(`CRL ${index + 1} is malformed: ${error.message}`, { cause: error })
  }
}

/** What OpenSSL would refuse must not come to light in the middle of a handshake. */
function checkWithOpenSsl(crl: string, index: number): void {
  try {
    createSecureContext({ ca: [], crl })
  } catch (error) {
    throw new PemError(`CRL ${index + 1} is malformed: OpenSSL cannot read it`, { cause: error })
  }
}
