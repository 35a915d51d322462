/**
 * The message as a program reads it: a file without a name, whole before the program starts.
 *
 * With a pipe a program could not tell the end of a message from the end of the server that was writing it: after a
 * `kill -9` it would take half a message for a whole one. A file also asks nothing of a program that does not read.
 * Line ends are those of UNIX; Return-Path is on top (RFC 5321 §4.4).
 */

import { randomUUID } from 'node:crypto'
import { type FileHandle, open, unlink } from 'node:fs/promises'
import path from 'node:path'
import type { Envelope } from '../../mail/envelope.ts'
import type { StoredContent } from '../../spool/spool.ts'
import { withReturnPath } from '../return-path.ts'
import { UnixLines } from '../unix-lines.ts'

/**
 * @param folder on a file system with room for it
 * @returns open at its beginning, to be closed by the caller
 * @throws the signal's reason, what reading the content throws, or an error of the file system
 */
export async function messageFile(
  folder: string,
  envelope: Envelope,
  { content, signal }: { readonly content: StoredContent; readonly signal: AbortSignal },
): Promise<FileHandle> {
  const name = path.join(folder, randomUUID())
  const file = await open(name, 'wx+', 0o600)
  try {
    await unlink(name)
    await fill(file, withReturnPath(content.header, envelope), { content, signal })
    return file
  } catch (error) {
    await file.close()
    throw error
  }
}

/** Writes at positions: the file's own, which the program inherits, stays at the beginning. */
async function fill(
  file: FileHandle,
  header: Buffer,
  { content, signal }: { readonly content: StoredContent; readonly signal: AbortSignal },
): Promise<void> {
  const lines = new UnixLines()
  let position = 0
  const write = async (octets: Buffer): Promise<void> => {
    for (let done = 0; done < octets.length; ) {
      const { bytesWritten } = await file.write(octets, done, octets.length - done, position)
      done += bytesWritten
      position += bytesWritten
    }
  }
  await write(lines.convert(header))
  for await (const chunk of content.body()) {
    signal.throwIfAborted()
    await write(lines.convert(chunk))
  }
  signal.throwIfAborted()
  await write(lines.end())
}
