/**
 * Delivery into a maildir (https://cr.yp.to/proto/maildir.html): tmp → write → fsync → rename into new → fsync of the
 * directories. When it answers `delivered`, a power cut loses neither the message nor the way to it.
 *
 * A message has the same file name in every attempt, made from its id; so an attempt that may repeat an earlier one
 * finds what that one left, in new or (when it has been read since) in cur, and does not deliver it again. Nothing
 * below the basedir is followed through a symbolic link. File-system errors other than a full disk are thrown.
 */

import { constants } from 'node:fs'
import * as fsPromises from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Envelope } from '../mail/envelope.ts'
import type { StoredContent, StoredMessage } from '../spool/spool.ts'
import { withReturnPath } from './return-path.ts'
import type { MaildirRoute } from './route.ts'
import { type AttemptContext, type AttemptResult, type Stage, stages, type Transport } from './transport.ts'
import { UnixLines } from './unix-lines.ts'

/** The file system as this transport uses it; tests put a recorder in between. */
export type MaildirFs = Pick<
  typeof fsPromises,
  'lstat' | 'mkdir' | 'open' | 'opendir' | 'rename' | 'stat' | 'unlink'
>

const { O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_RDONLY, O_WRONLY } = constants

/** mailboxes whose directories this process has synced, at most */
const REMEMBERED_MAILBOXES = 10_000

export class MaildirTransport implements Transport<MaildirRoute> {
  readonly #hostname: string
  readonly #fs: MaildirFs
  readonly #synced = new Set<string>()

  /** @param options.hostname goes into file names; must stay the same over restarts, or a repeat is not recognised */
  constructor(options: { readonly hostname: string; readonly fs?: MaildirFs }) {
    this.#hostname = options.hostname
    this.#fs = options.fs ?? fsPromises
  }

  async deliver(
    messages: readonly StoredMessage[],
    content: StoredContent,
    context: AttemptContext<MaildirRoute>,
  ): Promise<readonly AttemptResult[]> {
    const results: AttemptResult[] = []
    for (const message of messages) results.push(await this.#deliver(message, content, context))
    return results
  }

  async #deliver(
    message: StoredMessage,
    content: StoredContent,
    context: AttemptContext<MaildirRoute>,
  ): Promise<AttemptResult> {
    const { place } = context.route
    if (place.elements === undefined) return failure('permanent', 'afterRcptTo', NO_MAILBOX)
    try {
      const mailbox = await this.#openMailbox(place.maildir.basedir.path, place.elements, place.create)
      if (mailbox === undefined) return failure('permanent', 'afterRcptTo', NO_MAILBOX)
      const name = fileName(message.envelope, this.#hostname)
      if (!(await this.#isThere(mailbox, name, context.mayRepeat))) {
        await this.#write(join(mailbox, 'tmp', name), message.envelope, content, context.signal)
        await this.#fs.rename(join(mailbox, 'tmp', name), join(mailbox, 'new', name))
      }
      await this.#syncDirectory(join(mailbox, 'new'))
      await this.#syncDirectory(join(mailbox, 'tmp'))
    } catch (error) {
      if (hasCode(error, 'ENOSPC', 'EDQUOT')) return failure('transient', 'sendingBody', NO_ROOM)
      throw error
    }
    const bytes = content.header.length + content.bodySize
    return {
      kind: 'delivered',
      stage: stages.confirmation,
      text: '',
      bytes,
      remote: '',
    }
  }

  /** The mailbox's path once all its directories are there, for good; undefined when there is none and none is made. */
  async #openMailbox(
    basedir: string,
    elements: readonly string[],
    create: boolean,
  ): Promise<string | undefined> {
    const firstCreated = await this.#fs.mkdir(basedir, { recursive: true, mode: 0o700 })
    let path = basedir
    let created = firstCreated !== undefined
    for (const element of elements) {
      path = join(path, element)
      const made = await this.#ensureDirectory(path, create)
      if (made === 'missing') return undefined
      created ||= made === 'created'
    }
    for (const part of ['tmp', 'new', 'cur']) {
      created = (await this.#ensureDirectory(join(path, part), true)) === 'created' || created
    }
    if (created || !this.#synced.has(path)) {
      await this.#syncUpTo(path, firstCreated === undefined ? basedir : dirname(firstCreated))
    }
    this.#remember(path)
    return path
  }

  async #ensureDirectory(path: string, create: boolean): Promise<'there' | 'created' | 'missing'> {
    try {
      if ((await this.#fs.lstat(path)).isDirectory()) return 'there'
      throw new Error(`"${path}" is not a directory; mail is not delivered through links or into files`)
    } catch (error) {
      if (!hasCode(error, 'ENOENT')) throw error
    }
    if (!create) return 'missing'
    try {
      await this.#fs.mkdir(path, { mode: 0o700 })
    } catch (error) {
      // two messages for a new mailbox at the same time: look again at what the other one made
      if (hasCode(error, 'EEXIST')) return await this.#ensureDirectory(path, false)
      throw error
    }
    return 'created'
  }

  /** An earlier attempt's file. cur is read only where there may be one, since that takes as long as cur is large. */
  async #isThere(mailbox: string, name: string, mayRepeat: boolean): Promise<boolean> {
    if (await this.#exists(join(mailbox, 'new', name))) return true
    if (!mayRepeat) return false
    for await (const entry of await this.#fs.opendir(join(mailbox, 'cur'))) {
      // a reader adds its flags to the name: `name:2,S`
      if (entry.name === name || entry.name.startsWith(`${name}:`)) return true
    }
    return false
  }

  async #exists(path: string): Promise<boolean> {
    try {
      await this.#fs.lstat(path)
      return true
    } catch (error) {
      if (hasCode(error, 'ENOENT')) return false
      throw error
    }
  }

  /** Writes and syncs the file; on failure nothing is left of it. */
  async #write(path: string, envelope: Envelope, content: StoredContent, signal: AbortSignal): Promise<void> {
    const file = await this.#createFile(path)
    try {
      try {
        const lines = new UnixLines()
        await file.writeFile(lines.convert(withReturnPath(content.header, envelope)))
        for await (const chunk of content.body()) {
          signal.throwIfAborted()
          await file.writeFile(lines.convert(chunk))
        }
        await file.writeFile(lines.end())
        await file.sync()
      } finally {
        await file.close()
      }
    } catch (error) {
      await this.#fs.unlink(path).catch(() => undefined)
      throw error
    }
  }

  async #createFile(path: string): Promise<fsPromises.FileHandle> {
    const flags = O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW
    try {
      return await this.#fs.open(path, flags, 0o600)
    } catch (error) {
      if (!hasCode(error, 'EEXIST')) throw error
    }
    // left behind by an attempt that was killed; no other one runs for the same message
    await this.#fs.unlink(path)
    return await this.#fs.open(path, flags, 0o600)
  }

  /** Syncs a directory and those above it, up to and including `top`. */
  async #syncUpTo(path: string, top: string): Promise<void> {
    await this.#syncDirectory(path)
    if (path !== top && path !== dirname(path)) await this.#syncUpTo(dirname(path), top)
  }

  async #syncDirectory(path: string): Promise<void> {
    const directory = await this.#fs.open(path, O_RDONLY | O_DIRECTORY)
    try {
      await directory.sync()
    } finally {
      await directory.close()
    }
  }

  #remember(path: string): void {
    this.#synced.add(path)
    const [oldest] = this.#synced
    if (this.#synced.size > REMEMBERED_MAILBOXES && oldest !== undefined) this.#synced.delete(oldest)
  }
}

const NO_MAILBOX = '550 5.1.1 [internal] No such mailbox'
const NO_ROOM = '452 4.3.1 [internal] No room for the message in the mailbox'

function failure(kind: 'transient' | 'permanent', stage: keyof typeof stages, text: string): AttemptResult {
  const number: Stage = stages[stage]
  return { kind, stage: number, text, bytes: 0, remote: '' }
}

/** `time.id.host`: the id holds process and counter, as the maildir convention asks. */
function fileName(envelope: Envelope, hostname: string): string {
  return [
    String(Math.floor(envelope.receivedAt / 1000)),
    escapeName(envelope.id.replaceAll('/', '_')),
    escapeName(hostname),
  ].join('.')
}

/** Anything that a file name in a maildir cannot hold as `\` and three octal digits, as the convention has it. */
function escapeName(text: string): string {
  return text.replace(
    /[^A-Za-z0-9_.-]/g,
    (character) => `\\${(character.charCodeAt(0) & 0xff).toString(8).padStart(3, '0')}`,
  )
}

function hasCode(error: unknown, ...codes: readonly string[]): boolean {
  return error instanceof Error && 'code' in error && codes.some((code) => code === error.code)
}
