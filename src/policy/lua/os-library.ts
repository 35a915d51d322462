/** os.time, os.date, os.clock and os.difftime of Lua 5.1 (loslib.c), in the process's time zone; nothing else of `os`. */

import { months, weekdays } from '../../mail/date.ts'
import { type LuaState, ScriptError, TYPE } from './state.ts'

const maxFormat = 1000

/** A point in time, taken apart. */
interface Fields {
  readonly year: number
  readonly month: number
  readonly day: number
  readonly hour: number
  readonly min: number
  readonly sec: number
  /** 0 = Sunday */
  readonly wday: number
  /** 0 = 1 January */
  readonly yday: number
  readonly zone: string
}

/** @param now milliseconds since the epoch */
export function osFunctions(
  state: LuaState,
  now: () => number,
): Readonly<Record<string, (L: number) => number>> {
  const { lua } = state
  return {
    time: (L) => {
      lua.lua_pushnumber(L, lua.lua_type(L, 1) <= TYPE.nil ? Math.floor(now() / 1000) : timeOfTable(state, L))
      return 1
    },
    clock: (L) => {
      lua.lua_pushnumber(L, process.cpuUsage().user / 1e6)
      return 1
    },
    difftime: (L) => {
      lua.lua_pushnumber(L, lua.luaL_checknumber(L, 1) - state.optionalNumber(L, 2, 0))
      return 1
    },
    date: (L) => date(state, L, now()),
  }
}

function timeOfTable(state: LuaState, L: number): number {
  state.lua.luaL_checktype(L, 1, TYPE.table)
  const field = (name: string, otherwise?: number): number => {
    state.push(L, name)
    state.lua.lua_rawget(L, 1)
    const text = state.read(L, -1)
    state.lua.lua_settop(L, -2)
    const value = text === undefined ? otherwise : Math.trunc(Number(text))
    if (value === undefined || Number.isNaN(value))
      throw new ScriptError(`field '${name}' missing in date table`)
    return value
  }
  const at = new Date(0)
  at.setHours(0)
  at.setFullYear(field('year'), field('month') - 1, field('day'))
  at.setHours(field('hour', 12), field('min', 0), field('sec', 0), 0)
  const seconds = at.getTime() / 1000
  if (Number.isNaN(seconds)) throw new ScriptError('time is out of range')
  return seconds
}

function date(state: LuaState, L: number, now: number): number {
  const { lua } = state
  const given = lua.lua_type(L, 1) <= TYPE.nil ? '%c' : state.checkString(L, 1)
  const at = new Date(state.optionalNumber(L, 2, Math.floor(now / 1000)) * 1000)
  const utc = given.startsWith('!')
  const format = utc ? given.slice(1) : given
  if (format.length > maxFormat) throw new ScriptError("'date' format too long")
  if (Number.isNaN(at.getTime())) {
    lua.lua_pushnil(L)
    return 1
  }
  const fields = takeApart(at, utc)
  if (format.startsWith('*t')) {
    pushTable(state, L, fields)
    return 1
  }
  state.push(
    L,
    format.replaceAll(/%(.?)/gs, (_, letter: string) => conversion(letter, fields)),
  )
  return 1
}

function takeApart(at: Date, utc: boolean): Fields {
  // the same getters serve both: a date shifted by the zone's offset reads as local time in UTC
  const shifted = utc ? at : new Date(at.getTime() - at.getTimezoneOffset() * 60_000)
  const year = shifted.getUTCFullYear()
  return {
    year,
    month: shifted.getUTCMonth() + 1,
    day: shifted.getUTCDate(),
    hour: shifted.getUTCHours(),
    min: shifted.getUTCMinutes(),
    sec: shifted.getUTCSeconds(),
    wday: shifted.getUTCDay(),
    yday: Math.floor((shifted.getTime() - Date.UTC(year, 0, 1)) / 86_400_000),
    zone: utc ? 'GMT' : zoneName(at),
  }
}

function zoneName(at: Date): string {
  const parts = new Intl.DateTimeFormat('en-US', { timeZoneName: 'short' }).formatToParts(at)
  return parts.find((part) => part.type === 'timeZoneName')?.value ?? ''
}

function pushTable(state: LuaState, L: number, fields: Fields): void {
  const { lua } = state
  lua.lua_createtable(L, 0, 9)
  const { zone: _, ...numbers } = fields
  for (const [name, value] of Object.entries({ ...numbers, wday: fields.wday + 1, yday: fields.yday + 1 })) {
    state.setField(L, -1, name, () => lua.lua_pushnumber(L, value))
  }
  state.setField(L, -1, 'isdst', () => lua.lua_pushboolean(L, 0))
}

const two = (n: number): string => String(n).padStart(2, '0')

/** strftime in the C locale. */
function conversion(letter: string, f: Fields): string {
  const day = weekdays[f.wday] ?? ''
  const month = months[f.month - 1] ?? ''
  const time = `${two(f.hour)}:${two(f.min)}:${two(f.sec)}`
  const twelve = f.hour % 12 === 0 ? 12 : f.hour % 12
  const conversions: Readonly<Record<string, string>> = {
    a: day.slice(0, 3),
    A: day,
    b: month.slice(0, 3),
    B: month,
    c: `${day.slice(0, 3)} ${month.slice(0, 3)} ${String(f.day).padStart(2)} ${time} ${f.year}`,
    d: two(f.day),
    H: two(f.hour),
    I: two(twelve),
    j: String(f.yday + 1).padStart(3, '0'),
    m: two(f.month),
    M: two(f.min),
    p: f.hour < 12 ? 'AM' : 'PM',
    S: two(f.sec),
    U: two(Math.floor((f.yday + 7 - f.wday) / 7)),
    w: String(f.wday),
    W: two(Math.floor((f.yday + 7 - ((f.wday + 6) % 7)) / 7)),
    x: `${two(f.month)}/${two(f.day)}/${two(f.year % 100)}`,
    X: time,
    y: two(f.year % 100),
    Y: String(f.year),
    Z: f.zone,
    '%': '%',
  }
  return conversions[letter] ?? `%${letter}`
}
