/**
 * SQLite through node:sqlite, in a process of its own that is started when it is needed and ends when it is idle. One
 * query at a time; one that is not done when its time is up is stopped with its process.
 *
 * A file that is not there is an error and is never made. Queries are run on a connection that cannot write.
 */

import { type ChildProcess, fork } from 'node:child_process'
import { stat } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import {
  DatasourceError,
  DatasourceUnreachable,
  type DbFinding,
  type DbQuery,
  type DbRows,
  type Driver,
} from './driver.ts'
import type { SqliteAnswer, SqliteQuestion } from './sqlite-channel.ts'
import { bind } from './statement.ts'

const IDLE_MS = 60_000

export class SqliteDriver implements Driver {
  readonly #path: string
  readonly #lockTime: number
  #helper: ChildProcess | undefined
  /** settles when the query before is done */
  #last: Promise<unknown> = Promise.resolve()
  #idle: NodeJS.Timeout | undefined

  /** @param limits `query_timeout` in seconds */
  constructor(path: string, limits: { readonly query_timeout: number }) {
    this.#path = path
    // a lock that is not given is told before the deadline comes
    this.#lockTime = limits.query_timeout * 900
  }

  async query({ sql, parameters, maxRows, write }: DbQuery, signal: AbortSignal): Promise<DbRows> {
    const { text, values } = bind(sql, parameters, '?')
    const answer = await this.#inTurn({ sql: text, values, maxRows, write, examine: false }, signal)
    if (answer.kind === 'rows') return answer
    throw answer.reached
      ? new DatasourceError(this.#say(answer))
      : new DatasourceUnreachable(this.#say(answer))
  }

  async examine(sql: string, signal: AbortSignal): Promise<readonly DbFinding[]> {
    const findings: DbFinding[] = []
    try {
      const status = await stat(this.#path)
      if (!status.isFile()) return [{ severity: 'error', text: `${this.#path} is not a regular file` }]
      if ((status.mode & 0o007) !== 0) {
        findings.push({
          severity: 'warning',
          text: `${this.#path} can be used by every user of this machine (chmod o= would keep them out)`,
        })
      }
      const answer = await this.#inTurn(
        { sql, values: [], maxRows: undefined, write: false, examine: true },
        signal,
      )
      if (answer.kind === 'failed')
        findings.push({ severity: answer.ofQuery ? 'error' : 'warning', text: this.#say(answer) })
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      const text = error instanceof DatasourceError ? error.message : `${this.#path}: ${code ?? 'unreadable'}`
      findings.push({ severity: 'warning', text })
    }
    return findings
  }

  close(): Promise<void> {
    this.#stop()
    return Promise.resolve()
  }

  #say({ message, reached }: Extract<SqliteAnswer, { kind: 'failed' }>): string {
    return reached ? `${this.#path}: ${message}` : `cannot open ${this.#path}: ${message}`
  }

  async #inTurn(
    question: Omit<SqliteQuestion, 'path' | 'lockTime'>,
    signal: AbortSignal,
  ): Promise<SqliteAnswer> {
    const before = this.#last
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#last = promise
    await before
    try {
      if (signal.aborted) throw new DatasourceError('no answer in time')
      return await this.#ask({ ...question, path: this.#path, lockTime: this.#lockTime }, signal)
    } finally {
      resolve()
    }
  }

  #ask(question: SqliteQuestion, signal: AbortSignal): Promise<SqliteAnswer> {
    clearTimeout(this.#idle)
    this.#helper ??= this.#start()
    const helper = this.#helper
    keepAlive(helper, true)
    return new Promise<SqliteAnswer>((resolve, reject) => {
      const settle = (work: () => void): void => {
        helper.off('message', answered)
        helper.off('exit', ended)
        signal.removeEventListener('abort', late)
        keepAlive(helper, false)
        this.#idle = setTimeout(() => this.#stop(), IDLE_MS).unref()
        work()
      }
      const answered = (answer: SqliteAnswer): void => settle(() => resolve(answer))
      const ended = (): void =>
        settle(() => reject(new DatasourceError(`the process that reads ${this.#path} ended`)))
      const late = (): void => {
        this.#stop()
        settle(() => reject(new DatasourceError('no answer in time')))
      }
      helper.once('message', answered)
      helper.once('exit', ended)
      signal.addEventListener('abort', late, { once: true })
      // an error of sending comes with the end of the process
      helper.send(question, () => undefined)
    })
  }

  #start(): ChildProcess {
    const helper = fork(HELPER, {
      execArgv: ['--disable-warning=ExperimentalWarning'],
      env: {},
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    })
    const forget = (): void => {
      if (this.#helper === helper) this.#helper = undefined
    }
    helper.once('exit', forget)
    helper.on('error', forget)
    return helper
  }

  /** Whatever it is doing. */
  #stop(): void {
    clearTimeout(this.#idle)
    const helper = this.#helper
    this.#helper = undefined
    helper?.kill('SIGKILL')
  }
}

/** Our process waits for an answer, and not for a helper that is idle: it ends with us. */
function keepAlive(helper: ChildProcess, answerIsDue: boolean): void {
  if (answerIsDue) {
    helper.ref()
    helper.channel?.ref()
  } else {
    helper.unref()
    helper.channel?.unref()
  }
}

/** beside this file, in the form that this file has */
const HELPER = fileURLToPath(
  new URL(`sqlite-helper.${import.meta.url.endsWith('.ts') ? 'ts' : 'js'}`, import.meta.url),
)
