/** Dates as RFC 5322 §3.3 writes them, in the local time zone: `Wed, 08 Mar 2006 16:21:51 -0500`. */

const DAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat']
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']

/** @param at milliseconds since the epoch */
export function formatDate(at: number): string {
  const date = new Date(at)
  const day = `${DAYS[date.getDay()]}, ${pad(date.getDate())} ${MONTHS[date.getMonth()]} ${date.getFullYear()}`
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
