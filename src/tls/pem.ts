/**
 * PEM (RFC 7468) and the files that hold it.
 *
 * A bundle is taken apart into its blocks: Node reads only the first CRL of a bundle and then fails every chain. What is
 * handed on is encoded anew from the bytes that were read here, so that both parsers see the same. Text around the blocks
 * is ignored, a damaged block is an error. Files are read whole, up to a limit, and only if they are regular files.
 */

import { constants } from 'node:fs'
import { open } from 'node:fs/promises'

/** The file or its text is not what it should be. The message says what, without the file's name. */
export class PemError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'PemError'
  }
}

export interface PemBlock {
  /** `CERTIFICATE`, `X509 CRL`, `PRIVATE KEY`, … */
  readonly label: string
  /** the decoded bytes; for an encrypted key of the old form, which has header lines, undefined */
  readonly der: Buffer | undefined
}

/** A server's key, chain or client CAs: far above any that is real. */
export const MAX_CERTIFICATE_FILE = 4 * 1024 * 1024
/** Revocation lists: about a million entries. */
export const MAX_CRL_FILE = 64 * 1024 * 1024

const MAX_BLOCKS = 10_000

export function toPem(label: string, der: Uint8Array): string {
  const lines = Buffer.from(der)
    .toString('base64')
    .replace(/.{64}(?=.)/g, '$&\n')
  return `-----BEGIN ${label}-----\n${lines}\n-----END ${label}-----\n`
}

/**
 * All blocks of a text, in order.
 * @throws PemError when a block is not closed, is closed by another name or holds something else than base64
 */
export function parsePem(text: string): PemBlock[] {
  const blocks: PemBlock[] = []
  let open: { label: string; line: number; body: string[] } | undefined
  let number = 0
  for (const line of text.split(/\r?\n|\r/)) {
    number += 1
    const [, edge, label = ''] = /^-----(BEGIN|END) ([A-Z0-9 ]+)-----\s*$/.exec(line) ?? []
    if (edge === 'BEGIN') {
      if (open !== undefined)
        throw new PemError(`the block "${open.label}" of line ${open.line} is not closed`)
      open = { label, line: number, body: [] }
    } else if (edge === 'END') {
      if (open?.label !== label)
        throw new PemError(`line ${number} ends a block "${label}" that was not begun`)
      blocks.push({ label, der: decode(open.body, open.line) })
      if (blocks.length > MAX_BLOCKS) throw new PemError(`more than ${MAX_BLOCKS} blocks`)
      open = undefined
    } else {
      open?.body.push(line.trim())
    }
  }
  if (open !== undefined) throw new PemError(`the block "${open.label}" of line ${open.line} is not closed`)
  return blocks
}

/**
 * The contents of all blocks of one kind, in order; a file in DER counts as one block.
 * @param labels the names that count, such as `CERTIFICATE`
 * @param what for the message: `certificate`, `CRL`
 * @throws PemError when there is none
 */
export function blocksOf(bytes: Buffer, labels: readonly string[], what: string): Buffer[] {
  // a DER SEQUENCE with a long length; no PEM text starts so
  if (bytes[0] === 0x30 && ((bytes[1] ?? 0) & 0x80) !== 0) return [bytes]
  const blocks = parsePem(bytes.toString('latin1'))
  if (blocks.some((block) => block.label === 'TRUSTED CERTIFICATE')) {
    throw new PemError(
      'it holds a "TRUSTED CERTIFICATE", which carries trust settings of its own; export it with openssl x509',
    )
  }
  const found = blocks.flatMap((block) =>
    labels.includes(block.label) && block.der !== undefined ? [block.der] : [],
  )
  if (found.length > 0) return found
  const others = [...new Set(blocks.map((block) => `"${block.label}"`))]
  throw new PemError(
    `it holds no ${what}${others.length > 0 ? `, only ${others.slice(0, 5).join(', ')}` : ''}`,
  )
}

/**
 * Reads a regular file.
 * @throws PemError with the reason in plain words
 */
export async function readBounded(path: string, limit: number): Promise<Buffer> {
  try {
    // O_NONBLOCK: opening a named pipe would wait for somebody to write to it
    await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
    const { size } = await checkedStat(file, limit)
    const bytes = Buffer.alloc(size)
    const { bytesRead } = await file.read(bytes, 0, size, 0)
    return bytes.subarray(0, bytesRead)
  } catch (error) {
    if (error instanceof PemError) throw error
    throw new PemError(reasonOf(error), { cause: error })
  }
}

async function checkedStat(file: Awaited<ReturnType<typeof open>>, limit: number): Promise<{ size: number }> {
  const stat = await file.stat()
  if (stat.isDirectory()) throw new PemError('is a directory')
  if (!stat.isFile()) throw new PemError('is not a regular file')
  if (stat.size > limit) throw new PemError(`is larger than ${limit} bytes`)
  return stat
}

function reasonOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  switch (code) {
    case 'ENOENT':
      return 'no such file'
    case 'EACCES':
      return 'permission denied'
    case 'ENOTDIR':
      return 'a part of its path is not a directory'
    default:
      return error instanceof Error ? error.message : String(error)
  }
}

function decode(body: readonly string[], line: number): Buffer | undefined {
  if (body.some((text) => text.includes(':'))) return undefined
  const text = body.join('')
  if (text === '' || text.length % 4 !== 0 || !/^[A-Za-z0-9+/]+={0,2}$/.test(text)) {
    throw new PemError(`the block that begins in line ${line} is not base64`)
  }
  return Buffer.from(text, 'base64')
}
