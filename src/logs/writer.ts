/**
 * A log file that is only ever appended to, off the hot path.
 *
 * `write` puts a line into memory and returns. Lines go to the file a moment later, together. A file that cannot be
 * written never stops anybody: the lines wait, bounded; when there are too many, new ones are dropped and counted; the
 * first failure of a row is reported once, and so is the recovery. Every attempt after a failure opens the file anew.
 * A line is written whole, also when the system takes only a part of it at first: half a line on a disk that is full is
 * taken off the file again.
 */

import { constants } from 'node:fs'
import { type FileHandle, mkdir, open } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { cutTornLine } from './torn-line.ts'

export interface WriterOptions {
  readonly path: string
  /** permissions of the file when it is created; its folder, if missing, gets search permission added */
  readonly mode: number
  /** Told once when writing begins to fail, and once when it works again. Must not throw. */
  readonly onReport: (message: string) => void
  /** milliseconds that a line may wait for others */
  readonly flushAfter?: number
  /** milliseconds between attempts while the file cannot be written */
  readonly retryAfter?: number
  /** octets that may wait in memory */
  readonly maxWaiting?: number
}

const FLUSH_AFTER_MS = 100
const RETRY_AFTER_MS = 1000
const FLUSH_AT_BYTES = 64 * 1024
const MAX_WAITING_BYTES = 8 * 1024 * 1024

const LINE_END = 0x0a

/** A pipe or device in place of the file must not block a thread of the process: hence O_NONBLOCK. */
const APPEND = constants.O_WRONLY | constants.O_APPEND | constants.O_NONBLOCK | constants.O_NOCTTY
const CREATE = APPEND | constants.O_CREAT | constants.O_EXCL

export class LogWriter {
  readonly path: string
  readonly #mode: number
  readonly #onReport: (message: string) => void
  readonly #flushAfter: number
  readonly #retryAfter: number
  readonly #maxWaiting: number
  /** lines that no write has taken yet */
  #lines: string[] = []
  #lineBytes = 0
  /** what a failed write left over; always comes first */
  #unwritten: Buffer = Buffer.alloc(0)
  #dropped = 0
  #file: FileHandle | undefined
  /** not a pipe or a device, which take the rest of a line later */
  #isRegular = false
  #timer: NodeJS.Timeout | undefined
  /** the flush that waits its turn: one is enough */
  #nextFlush: Promise<void> | undefined
  #failing = false
  #closed = false
  /** file operations, one after the other */
  #tail: Promise<void> = Promise.resolve()

  constructor(options: WriterOptions) {
    this.path = options.path
    this.#mode = options.mode
    this.#onReport = options.onReport
    this.#flushAfter = options.flushAfter ?? FLUSH_AFTER_MS
    this.#retryAfter = options.retryAfter ?? RETRY_AFTER_MS
    this.#maxWaiting = options.maxWaiting ?? MAX_WAITING_BYTES
    // A file that is there from the start shows an operator where to look, and a wrong path shows at once.
    void this.flush()
  }

  /** Lines that were given up. */
  get dropped(): number {
    return this.#dropped
  }

  /** @param line a byte string without a line ending */
  write(line: string): void {
    const waiting = this.#lineBytes + this.#unwritten.length
    if (this.#closed || waiting + line.length >= this.#maxWaiting) {
      this.#dropped++
      return
    }
    this.#lines.push(line)
    this.#lineBytes += line.length + 1
    if (this.#failing) return
    if (this.#lineBytes >= FLUSH_AT_BYTES) void this.flush()
    else this.#schedule(this.#flushAfter)
  }

  /** Writes what waits. Resolves when it is written or has failed. */
  flush(): Promise<void> {
    if (this.#closed) return this.#tail
    this.#nextFlush ??= this.#enqueue(() => {
      this.#nextFlush = undefined
      return this.#writeOut()
    })
    return this.#nextFlush
  }

  /** Writes what waits to the old file, then opens the path anew: after logrotate has moved the file away. */
  reopen(): Promise<void> {
    if (this.#closed) return this.#tail
    return this.#enqueue(async () => {
      if (this.#file !== undefined) await this.#writeOut()
      await this.#closeFile()
      await this.#writeOut()
    })
  }

  /** Writes what waits and closes. What cannot be written now is dropped, counted and reported. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await this.#enqueue(async () => {
      clearTimeout(this.#timer)
      await this.#writeOut()
      await this.#closeFile()
      const lost = countLines(this.#unwritten) + this.#lines.length
      if (lost > 0) this.#onReport(`${this.path}: ${lost} lines are lost`)
      this.#dropped += lost
    })
  }

  #enqueue(job: () => Promise<void>): Promise<void> {
    this.#tail = this.#tail.then(job)
    return this.#tail
  }

  #schedule(after: number): void {
    if (this.#timer !== undefined) return
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      void this.flush()
    }, after)
    // A server that has nothing else to do ends; `close` flushes.
    this.#timer.unref()
  }

  /** Never rejects. */
  async #writeOut(): Promise<void> {
    try {
      const file = this.#file ?? (await this.#open())
      this.#takeLines()
      while (this.#unwritten.length > 0) {
        const { bytesWritten } = await file.write(this.#unwritten)
        const whole = this.#isRegular ? endOfLines(this.#unwritten, bytesWritten) : bytesWritten
        const half = this.#unwritten.subarray(whole, bytesWritten)
        this.#unwritten = this.#unwritten.subarray(whole)
        if (half.length > 0) {
          cutTornLine(file.fd, half)
          throw new Error('there was no space for a whole line')
        }
        // A pipe that is full takes nothing for a while.
        if (bytesWritten === 0) await delay(1)
        if (this.#unwritten.length === 0) this.#takeLines()
      }
      if (this.#failing) this.#onReport(`${this.path}: written again; ${this.#dropped} lines were lost`)
      this.#failing = false
    } catch (error) {
      await this.#closeFile()
      if (!this.#failing) this.#onReport(`cannot write ${this.path}: ${messageOf(error)}; trying again`)
      this.#failing = true
      if (!this.#closed) this.#schedule(this.#retryAfter)
    }
  }

  async #open(): Promise<FileHandle> {
    const file = await openForAppend(this.path, this.#mode)
    this.#file = file
    this.#isRegular = (await file.stat()).isFile()
    return file
  }

  #takeLines(): void {
    if (this.#lines.length === 0) return
    const taken = Buffer.from(`${this.#lines.join('\n')}\n`, 'latin1')
    this.#unwritten = this.#unwritten.length === 0 ? taken : Buffer.concat([this.#unwritten, taken])
    this.#lines = []
    this.#lineBytes = 0
  }

  async #closeFile(): Promise<void> {
    const file = this.#file
    this.#file = undefined
    await file?.close().catch(() => undefined)
  }
}

function countLines(lines: Buffer): number {
  let count = 0
  for (let end = lines.indexOf(LINE_END); end >= 0; end = lines.indexOf(LINE_END, end + 1)) count += 1
  return count
}

/** How many of the octets that were written are whole lines. */
function endOfLines(lines: Buffer, written: number): number {
  return written === 0 ? 0 : lines.lastIndexOf(LINE_END, written - 1) + 1
}

/** The mode is the operator's, whatever the umask: but only of a file that did not exist. */
async function openForAppend(file: string, mode: number): Promise<FileHandle> {
  await mkdir(path.dirname(file), { recursive: true, mode: folderMode(mode) })
  try {
    const created = await open(file, CREATE, mode)
    await created.chmod(mode)
    return created
  } catch (error) {
    if (!(error instanceof Error) || (error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
  return await open(file, APPEND | constants.O_CREAT, mode)
}

/** 0644 → 0755: who may read the file may enter its folder; its owner may write. */
function folderMode(mode: number): number {
  return 0o700 | mode | ((mode & 0o444) >> 2)
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
