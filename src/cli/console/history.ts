/**
 * What was typed at the prompt, for the next time: a file that nobody else may read. Lines with what looks like a secret
 * are not kept. A file that is somebody else's, or no plain file, is left alone.
 */

import {
  closeSync,
  constants,
  fstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from 'node:fs'
import { homedir } from 'node:os'
import path from 'node:path'
import { withoutSecrets } from '../../console/secrets.ts'

/** lines that are kept */
const MAX_LINES = 1000

export class History {
  readonly #path: string
  /** the oldest first */
  #lines: string[]

  constructor(file = historyFile(process.env)) {
    this.#path = file
    this.#lines = read(file).slice(-MAX_LINES)
  }

  /** For readline: the newest first. */
  get lines(): string[] {
    return this.#lines.toReversed()
  }

  /** Whether a line may be kept, in memory too. */
  static keeps(line: string): boolean {
    return line.trim() !== '' && withoutSecrets(line) === line
  }

  /** A history that cannot be written stops nobody. */
  add(line: string): void {
    if (!History.keeps(line) || this.#lines.at(-1) === line) return
    this.#lines.push(line)
    try {
      if (this.#lines.length > MAX_LINES + 200) this.#rewrite()
      else append(this.#path, `${line}\n`)
    } catch {
      // not worth a word to the operator
    }
  }

  #rewrite(): void {
    this.#lines = this.#lines.slice(-MAX_LINES)
    // refuses what is somebody else's
    append(this.#path, '')
    const next = `${this.#path}.${process.pid}`
    writeFileSync(next, `${this.#lines.join('\n')}\n`, { mode: 0o600, flag: 'wx' })
    renameSync(next, this.#path)
  }
}

/** `$XDG_STATE_HOME/postern/history` where that is set, else `~/.postern_history`. */
export function historyFile(environment: Readonly<Record<string, string | undefined>>): string {
  const state = environment['XDG_STATE_HOME']
  if (state !== undefined && path.isAbsolute(state)) return path.join(state, 'postern', 'history')
  return path.join(homedir(), '.postern_history')
}

function read(file: string): string[] {
  try {
    return withOwn(file, constants.O_RDONLY, (descriptor) =>
      readFileSync(descriptor, 'utf8').split('\n').filter(Boolean),
    )
  } catch {
    return []
  }
}

function append(file: string, text: string): void {
  mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 })
  const flags = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT
  withOwn(file, flags, (descriptor) => writeFileSync(descriptor, text))
}

/** @throws Error where the file is not a plain one of ours that nobody else may read */
function withOwn<T>(file: string, flags: number, work: (descriptor: number) => T): T {
  const descriptor = openSync(file, flags | constants.O_NOFOLLOW | constants.O_NONBLOCK, 0o600)
  try {
    const { mode, uid } = fstatSync(descriptor)
    const plain = (mode & constants.S_IFMT) === constants.S_IFREG
    if (!plain || uid !== process.getuid?.() || (mode & 0o077) !== 0) throw new Error('not ours alone')
    return work(descriptor)
  } finally {
    closeSync(descriptor)
  }
}
