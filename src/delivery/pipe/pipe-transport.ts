/**
 * Delivery into a program (Momentum: modules/pipe-transport, which runs it during reception; here it runs from the queue,
 * as often as it takes): the message on its standard input, its exit status the answer. It runs as the server's user.
 *
 * A run whose outcome nobody learned of, because the server was killed, is made again. A program that must not see a
 * message twice has the message's id to tell it by (`%{id}`).
 */

import { constants } from 'node:fs'
import { type FileHandle, mkdir, open, statfs } from 'node:fs/promises'
import type { FilePath } from '../../config/settings.ts'
import { Turns } from '../../dns/turns.ts'
import type { StoredContent, StoredMessage } from '../../spool/spool.ts'
import type { PipeRoute } from '../domain-targets.ts'
import { type AttemptContext, type AttemptResult, stages, type Transport } from '../transport.ts'
import { commandLine } from './command-line.ts'
import { answerOf } from './exit-status.ts'
import { messageFile } from './message-file.ts'
import { type ProgramEnd, runProgram } from './run-program.ts'

interface Delivery {
  readonly message: StoredMessage
  readonly content: StoredContent
  readonly context: AttemptContext<PipeRoute>
}

export class PipeTransport implements Transport<PipeRoute> {
  readonly #folder: string
  readonly #graceMs: number | undefined
  readonly #reserve: number
  /** octets of messages that are being written */
  #writing = 0
  readonly #turns = new Map<string, Turns>()

  /**
   * @param options.folder for the message while a program reads it
   * @param options.reserve octets that stay free on its file system, for the spool
   * @param options.graceMs between SIGTERM and SIGKILL
   */
  constructor(options: { readonly folder: string; readonly reserve: number; readonly graceMs?: number }) {
    this.#folder = options.folder
    this.#reserve = options.reserve
    this.#graceMs = options.graceMs
  }

  async deliver(
    messages: readonly StoredMessage[],
    content: StoredContent,
    context: AttemptContext<PipeRoute>,
  ): Promise<readonly AttemptResult[]> {
    const { name, max_concurrent: limit } = context.route.pipe
    const turns = this.#turns.get(name) ?? new Turns(limit)
    this.#turns.set(name, turns)
    const results: AttemptResult[] = []
    for (const message of messages) {
      results.push(await turns.take(async () => await this.#deliver({ message, content, context })))
    }
    return results
  }

  /** @throws the signal's reason, or what reading the content throws */
  async #deliver({ message, content, context }: Delivery): Promise<AttemptResult> {
    const { pipe } = context.route
    context.signal.throwIfAborted()
    const command = commandLine(pipe, message.envelope)
    if (command.kind === 'unfit') {
      return failure('permanent', command.whose === 'sender' ? UNFIT_SENDER : UNFIT_RECIPIENT)
    }
    const file = await this.#write({ message, content, context })
    if (file === undefined) return failure('transient', NO_ROOM)
    const files: FileHandle[] = [file]
    try {
      const answer = answerOf(pipe, await this.#run(context, command, files))
      const bytes = answer.stage === stages.notConnected ? 0 : content.header.length + content.bodySize
      return { ...answer, bytes, remote: '', ...(answer.kind === 'delivered' ? { notice: 'delivered' } : {}) }
    } finally {
      for (const each of files) await each.close()
    }
  }

  /** The message in a file; undefined: there is no room for it. */
  async #write({ message, content, context: { signal } }: Delivery): Promise<FileHandle | undefined> {
    const octets = content.header.length + content.bodySize
    await mkdir(this.#folder, { recursive: true, mode: 0o700 })
    const { bavail, bsize } = await statfs(this.#folder)
    if (bavail * bsize - this.#writing - octets < this.#reserve) return undefined
    this.#writing += octets
    try {
      return await messageFile(this.#folder, message.envelope, { content, signal })
    } catch (error) {
      if (error instanceof Error && 'code' in error && (error.code === 'ENOSPC' || error.code === 'EDQUOT'))
        return undefined
      throw error
    } finally {
      this.#writing -= octets
    }
  }

  async #run(
    { route: { pipe }, signal }: AttemptContext<PipeRoute>,
    command: Pick<Parameters<typeof runProgram>[0], 'arguments' | 'environment'>,
    files: FileHandle[],
  ): Promise<ProgramEnd> {
    const [input] = files
    if (input === undefined) throw new Error('a program without its message')
    const file = async (to: FilePath | undefined): Promise<number | undefined> => {
      if (to === undefined) return undefined
      const handle = await append(to)
      files.push(handle)
      return handle.fd
    }
    return await runProgram(
      {
        program: pipe.program_name.path,
        arguments: command.arguments,
        environment: command.environment,
        directory: pipe.directory.path,
        input: input.fd,
        output: await file(pipe.output_file),
        errors: await file(pipe.error_file),
        timeout: pipe.timeout,
      },
      signal,
      this.#graceMs,
    )
  }
}

const UNFIT_RECIPIENT = '550 5.1.3 [internal] The address cannot be handed to the program for its domain'
const UNFIT_SENDER = '550 5.1.7 [internal] The sender cannot be handed to the program for the domain'
const NO_ROOM = '452 4.3.1 [internal] No room for the message while the program reads it'

function failure(kind: 'transient' | 'permanent', text: string): AttemptResult {
  return { kind, stage: stages.notConnected, text, bytes: 0, remote: '' }
}

async function append({ path }: FilePath): Promise<FileHandle> {
  const { O_APPEND, O_CREAT, O_NOFOLLOW, O_WRONLY } = constants
  return await open(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW, 0o640)
}
