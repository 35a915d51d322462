/**
 * Whose process is on the other end of a UNIX socket. Node does not read SO_PEERCRED, so the client shows it: it makes a
 * folder of a name that only this connection was told, and the owner of the folder is the user.
 *
 * Nobody can make a folder for somebody else: the folder above is sticky and root's, the name cannot be guessed, a folder
 * of another user cannot be moved here (its mode is 0700, and moving writes to it), and one that was mounted here is on
 * another device. Where any of this does not hold nobody is known.
 *
 * The name ends in a digest of the socket's path, and a client makes no folder for another socket than the one that it is
 * connected to: somebody to whose socket he talks could have the name from ours, and be him there.
 */

import { createHash, randomBytes } from 'node:crypto'
import { lstatSync, realpathSync, type Stats } from 'node:fs'
import { lstat, readFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'

/** shared by all processes of the machine, also by services with a /tmp of their own */
const SHARED = '/dev/shm'
const PREFIX = 'postern-console-'
/** octets that a path of a UNIX socket may have */
const MAX_PATH = 107

/** The path of a socket without links on the way; undefined where there is none, or it would be too long. */
export function realSocket(path: string): string | undefined {
  try {
    const real = realpathSync(path)
    return Buffer.byteLength(real) <= MAX_PATH ? real : undefined
  } catch {
    return undefined
  }
}

/**
 * A path for a client to make a folder at; undefined where this machine has no place for it.
 * @param socket of `realSocket`
 */
export function proofFolder(socket: string, shared = SHARED): string | undefined {
  const above = statOf(shared)
  if (above === undefined || !above.isDirectory() || above.uid !== 0 || (above.mode & 0o1000) === 0)
    return undefined
  return join(shared, `${PREFIX}${randomBytes(16).toString('hex')}${digestOf(socket)}`)
}

/** Whether a server's word is such a path: a client makes nothing elsewhere. @param socket to which it is connected */
export function isProofFolder(path: string, socket: string): boolean {
  const wellFormed = dirname(path) === SHARED && /^postern-console-[0-9a-f]{64}$/.test(basename(path))
  return wellFormed && path.endsWith(digestOf(socket))
}

function digestOf(socket: string): string {
  return createHash('sha256').update(socket).digest('hex').slice(0, 32)
}

/** The user id of who made it; undefined: nobody did, or not so that it proves anything. */
export async function provenUser(path: string): Promise<number | undefined> {
  try {
    const [made, above] = await Promise.all([lstat(path), lstat(dirname(path))])
    const fitting = made.isDirectory() && (made.mode & 0o7777) === 0o700 && made.dev === above.dev
    return fitting ? made.uid : undefined
  } catch {
    return undefined
  }
}

/** The name of a user of the system, or `uid 1000` where there is none in /etc/passwd. */
export async function userName(uid: number, passwd = '/etc/passwd'): Promise<string> {
  const text = await readFile(passwd, 'utf8').catch(() => '')
  for (const line of text.split('\n')) {
    const [name = '', , id] = line.split(':')
    if (id === String(uid) && /^[\w.-]+\$?$/.test(name)) return name
  }
  return `uid ${uid}`
}

function statOf(path: string): Stats | undefined {
  return lstatSync(path, { throwIfNoEntry: false })
}
