/** Dates as RFC 5322 §3.3 writes them, in the local time zone: `Wed, 08 Mar 2006 16:21:51 -0500`. */

/** from Sunday on, as `getDay` counts them */
export const weekdays = [
  'Sunday',
  'Monday',
  'Tuesday',
  'Wednesday',
  'Thursday',
  'Friday',
  'Saturday',
] as const
export const months = [
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
] as const

/** @param at milliseconds since the epoch */
export function formatDate(at: number): string {
  const date = new Date(at)
  const [weekday, month] = [weekdays[date.getDay()], months[date.getMonth()]].map((name) => name?.slice(0, 3))
  const day = `${weekday}, ${pad(date.getDate())} ${month} ${date.getFullYear()}`
  const time = `${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}`
  return `${day} ${time} ${formatZone(-date.getTimezoneOffset())}`
}

/** @param minutes east of Greenwich */
function formatZone(minutes: number): string {
  const size = Math.abs(Math.trunc(minutes))
  return `${minutes < 0 ? '-' : '+'}${pad(Math.floor(size / 60))}${pad(size % 60)}`
}

function pad(value: number): string {
  return value.toString().padStart(2, '0')
}
