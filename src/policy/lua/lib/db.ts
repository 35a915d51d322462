/**
 * `msys.db` (momentum: lua/ref-msys-db-*): datasources of the configuration, asked from scripts. The script waits, nobody
 * else does. Values are bound and never become text of a query; Lua's text is octets, which a database gets as text where
 * they are UTF-8, else as octets. NULL is nil both ways.
 */

import { placeholders } from '../../../config/sql-placeholders.ts'
import type { Datasource } from '../../datasource/datasource.ts'
import type { DbParameters, DbRows, DbValue } from '../../datasource/driver.ts'
import { type LuaState, ScriptError, TYPE } from '../state.ts'
import { Arguments } from './arguments.ts'
import type { Family, HostFunction, LibraryHost } from './family.ts'
import { type PlainValue, pushValue, pushValues, toBytes } from './values.ts'
import type { Answer } from './waits.ts'

const maxQuery = 65_536

interface Call {
  readonly datasource: string
  readonly sql: string
  readonly parameters: DbParameters
  readonly fresh: boolean
  /** whether an error is raised rather than returned */
  readonly raises: boolean
}

export function dbFamily({ state, waits, services }: LibraryHost): Family {
  const asking =
    (
      name: string,
      failure: PlainValue,
      ask: (open: Datasource, call: Call, signal: AbortSignal) => Promise<Answer>,
    ) =>
    (L: number): number => {
      const call = readCall(state, L, name)
      return waits.begin(L, name, async (signal) => {
        try {
          if (services.datasources === undefined) throw new Error('there are no datasources here')
          return await ask(services.datasources.open(call.datasource), call, signal)
        } catch (error) {
          const problem = toBytes(error instanceof Error ? error.message : 'failed')
          if (call.raises) throw new ScriptError(problem)
          return (thread) => pushValues(state, thread, failure, problem)
        }
      })
    }
  const query = (name: string, take: (rows: PlainValue[]) => PlainValue): HostFunction =>
    asking(name, undefined, async (open, { sql, parameters, fresh }, signal) => {
      const rows = tablesOf(await open.query(sql, parameters, { fresh, signal }))
      return (thread) => {
        pushValue(state, thread, take(rows))
        return 1
      }
    })
  return {
    waiting: {
      'msys.db.fetch_row': query('msys.db.fetch_row', (rows) => rows[0]),
      'msys.db.execute': asking('msys.db.execute', false, async (open, { sql, parameters }, signal) => {
        await open.execute(sql, parameters, signal)
        return (thread) => pushValues(state, thread, true)
      }),
    },
    // db_rows(…), a starter: the rows as a list
    helpers: { db_rows: query('msys.db.query', (rows) => rows) },
  }
}

function readCall(state: LuaState, L: number, name: string): Call {
  const args = new Arguments(state, L, name)
  const datasource = args.string(1)
  const sql = textOf(args.string(2))
  if (typeof sql !== 'string' || sql.length > maxQuery)
    throw args.refuse(2, `a query in UTF-8 of at most ${maxQuery} octets expected`)
  for (const index of [3, 4]) if (args.has(index) && !args.isTable(index)) throw args.bad(index, 'table')
  const option = (key: string): unknown => (args.has(4) ? args.field(4, key) : undefined)
  return {
    datasource,
    sql,
    parameters: readParameters(state, L, args, sql),
    fresh: option('nocache') === true,
    raises: option('raise_error') !== false,
  }
}

/** Only what the query asks for is read: a nil is NULL. */
// oxlint-disable-next-line max-params -- the call, and the text that says which parameters there are
function readParameters(state: LuaState, L: number, args: Arguments, sql: string): DbParameters {
  const used = placeholders(sql)
  const named = used.filter((name) => name !== '?')
  const table = args.has(3)
  if (named.length > 0) {
    const value = (name: string): DbValue => (table ? valueOf(args.field(3, name)) : null)
    return Object.fromEntries(named.map((name) => [name, value(name)]))
  }
  if (!table) return []
  return used.map((_mark, index) => {
    const { lua } = state
    lua.lua_rawgeti(L, 3, index + 1)
    const type = lua.lua_type(L, -1)
    const value =
      type === TYPE.number
        ? lua.lua_tonumber(L, -1)
        : type === TYPE.boolean
          ? lua.lua_toboolean(L, -1) === 1
          : type === TYPE.string
            ? state.read(L, -1)
            : undefined
    const wrong = value === undefined && type !== TYPE.nil
    lua.lua_settop(L, -2)
    if (wrong) throw args.refuse(3, `value ${index + 1} is text, a number, a boolean or nil`)
    return valueOf(value)
  })
}

function valueOf(value: string | number | boolean | undefined): DbValue {
  return typeof value === 'string' ? textOf(value) : (value ?? null)
}

/** Octets as text where they are UTF-8. */
function textOf(octets: string): string | Uint8Array {
  const bytes = Buffer.from(octets, 'latin1')
  const text = bytes.toString('utf8')
  return Buffer.from(text, 'utf8').equals(bytes) ? text : bytes
}

/** Each row as a table by column name; NULL is left out. */
function tablesOf({ columns, rows }: DbRows): PlainValue[] {
  const names = columns.map(toBytes)
  return rows.map((row) => {
    const table = new Map<string, PlainValue>()
    for (const [index, value] of row.entries()) {
      if (value !== null) table.set(names[index] ?? '', plain(value))
    }
    return Object.fromEntries(table)
  })
}

function plain(value: Exclude<DbValue, null>): PlainValue {
  if (typeof value === 'string') return toBytes(value)
  return value instanceof Uint8Array ? Buffer.from(value).toString('latin1') : value
}
