/** strftime of POSIX in the C locale and the server's time zone, for `%t{…}` of a custom_logger. */

import { months, weekdays } from '../mail/date.ts'

/**
 * @param format its conversions are those of `TIME_CONVERSIONS`; any other stays as it is written
 * @param at milliseconds since the epoch
 */
export function strftime(format: string, at: number): string {
  const date = new Date(at)
  const convert = (text: string): string =>
    text.replaceAll(/%(.)/g, (whole, name: string) => {
      const short = composed[name]
      return short === undefined ? (conversions[name]?.(date) ?? whole) : convert(short)
    })
  return convert(format)
}

const composed: Readonly<Record<string, string>> = {
  c: '%a %b %e %H:%M:%S %Y',
  D: '%m/%d/%y',
  F: '%Y-%m-%d',
  h: '%b',
  r: '%I:%M:%S %p',
  R: '%H:%M',
  T: '%H:%M:%S',
  x: '%m/%d/%y',
  X: '%H:%M:%S',
}

const conversions: Readonly<Record<string, (date: Date) => string>> = {
  a: (date) => dayName(date).slice(0, 3),
  A: dayName,
  b: (date) => monthName(date).slice(0, 3),
  B: monthName,
  C: (date) => digits(Math.floor(date.getFullYear() / 100)),
  d: (date) => digits(date.getDate()),
  e: (date) => String(date.getDate()).padStart(2, ' '),
  g: (date) => digits(isoWeek(date).year % 100),
  G: (date) => String(isoWeek(date).year),
  H: (date) => digits(date.getHours()),
  I: (date) => digits(hour12(date)),
  j: (date) => digits(dayOfYear(date) + 1, 3),
  k: (date) => String(date.getHours()).padStart(2, ' '),
  l: (date) => String(hour12(date)).padStart(2, ' '),
  m: (date) => digits(date.getMonth() + 1),
  M: (date) => digits(date.getMinutes()),
  p: (date) => (date.getHours() < 12 ? 'AM' : 'PM'),
  s: (date) => String(Math.floor(date.getTime() / 1000)),
  S: (date) => digits(date.getSeconds()),
  u: (date) => String(date.getDay() || 7),
  U: (date) => digits(Math.floor((dayOfYear(date) + 7 - date.getDay()) / 7)),
  V: (date) => digits(isoWeek(date).week),
  w: (date) => String(date.getDay()),
  W: (date) => digits(Math.floor((dayOfYear(date) + 7 - ((date.getDay() + 6) % 7)) / 7)),
  y: (date) => digits(date.getFullYear() % 100),
  Y: (date) => String(date.getFullYear()),
  z: offset,
  Z: zoneName,
  '%': () => '%',
}

function digits(value: number, width = 2): string {
  return String(value).padStart(width, '0')
}

function hour12(date: Date): number {
  return date.getHours() % 12 || 12
}

/** from 0; counted in days, since one with a change of the clock is shorter */
function dayOfYear(date: Date): number {
  const day = Date.UTC(date.getFullYear(), date.getMonth(), date.getDate())
  return (day - Date.UTC(date.getFullYear(), 0, 1)) / 86_400_000
}

/** ISO 8601: the week of its Thursday. */
function isoWeek(date: Date): { readonly year: number; readonly week: number } {
  const thursday = new Date(date.getFullYear(), date.getMonth(), date.getDate() + 4 - (date.getDay() || 7))
  return { year: thursday.getFullYear(), week: Math.floor(dayOfYear(thursday) / 7) + 1 }
}

/** `+0200` */
function offset(date: Date): string {
  const minutes = -date.getTimezoneOffset()
  const size = Math.abs(minutes)
  return `${minutes < 0 ? '-' : '+'}${digits(Math.floor(size / 60))}${digits(size % 60)}`
}

function zoneName(date: Date): string {
  const parts = new Intl.DateTimeFormat('en-US', { timeZoneName: 'short' }).formatToParts(date)
  return parts.find(({ type }) => type === 'timeZoneName')?.value ?? ''
}

function dayName(date: Date): string {
  return weekdays[date.getDay()] ?? ''
}

function monthName(date: Date): string {
  return months[date.getMonth()] ?? ''
}
