/**
 * The process that has SQLite databases open for `sqlite.ts`: one for each. SQLite computes where it is called, and a
 * query that takes long, or waits for a lock, must hold up nobody else; a process, and no thread, can be stopped in the
 * middle of one.
 *
 * Speaks over its channel and ends with it. Each question has one answer, in order.
 */

import { statSync } from 'node:fs'
import { DatabaseSync, type StatementSync } from 'node:sqlite'
import type { DbValue } from './driver.ts'
import type { SqliteAnswer, SqliteQuestion } from './sqlite-channel.ts'

/** statements that are kept for the next time */
const MAX_STATEMENTS = 32

interface Opened {
  readonly database: DatabaseSync
  readonly stamp: string
  readonly statements: Map<string, StatementSync>
}

/** by whether they may write */
const opened = new Map<boolean, Opened>()

process.on('disconnect', () => process.exit(0))
process.on('message', (question: SqliteQuestion) => {
  process.send?.(answer(question))
})

function answer(question: SqliteQuestion): SqliteAnswer {
  let stage: 'open' | 'prepare' | 'run' = 'open'
  try {
    const { database, statements } = open(question)
    stage = 'prepare'
    const statement = statements.get(question.sql) ?? prepare(database, question.sql)
    statements.delete(question.sql)
    statements.set(question.sql, statement)
    const [oldest] = statements.keys()
    if (statements.size > MAX_STATEMENTS && oldest !== undefined) statements.delete(oldest)
    if (question.examine) return { kind: 'rows', columns: [], rows: [] }
    stage = 'run'
    return run(statement, question)
  } catch (error) {
    const { message, errcode = 0 } = error as Error & { errcode?: number }
    const ofFile = aboutTheFile.has(errcode & 0xff)
    return {
      kind: 'failed',
      // while a query runs, SQLite's messages may quote values
      message: stage === 'run' && !ofFile ? 'the query failed' : message,
      reached: stage !== 'open',
      ofQuery: stage === 'prepare' && !ofFile,
    }
  }
}

/** SQLITE_PERM, BUSY, LOCKED, READONLY, IOERR, CORRUPT, FULL, CANTOPEN, NOTADB */
const aboutTheFile: ReadonlySet<number> = new Set([3, 5, 6, 8, 10, 11, 13, 14, 26])

/** Opened again when another file has taken its place. A database that is not there is never made. */
function open({ path, write, lockTime }: SqliteQuestion): Opened {
  const { dev, ino } = statSync(path)
  const stamp = `${dev} ${ino}`
  const known = opened.get(write)
  if (known?.stamp === stamp) return known
  opened.delete(write)
  known?.database.close()
  const database = new DatabaseSync(path, { readOnly: !write, timeout: lockTime })
  const made = { database, stamp, statements: new Map<string, StatementSync>() }
  opened.set(write, made)
  return made
}

function prepare(database: DatabaseSync, sql: string): StatementSync {
  const statement = database.prepare(sql)
  statement.setReturnArrays(true)
  statement.setReadBigInts(true)
  return statement
}

function run(statement: StatementSync, { values, maxRows }: SqliteQuestion): SqliteAnswer {
  // asked for with the first row: somebody may have changed the table since this statement was prepared
  let columns: string[] | undefined
  const names = (): string[] => statement.columns().map(({ name }) => name)
  const rows: DbValue[][] = []
  const given = values.map((value) => (typeof value === 'boolean' ? Number(value) : value))
  for (const row of statement.iterate(...given)) {
    columns ??= names()
    rows.push((row as unknown as (bigint | null | number | string | Uint8Array)[]).map(plain))
    if (rows.length === maxRows) break
  }
  return { kind: 'rows', columns: columns ?? names(), rows }
}

/** A number where it can be exact, else its digits. */
function plain(value: bigint | null | number | string | Uint8Array): null | number | string | Uint8Array {
  if (typeof value !== 'bigint') return value
  return Number.isSafeInteger(Number(value)) ? Number(value) : String(value)
}
