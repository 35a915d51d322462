/** Times for people. */

/** `2026-11-22T13:30:00Z` */
export function dateTime(milliseconds: number): string {
  return new Date(milliseconds).toISOString().replace(/\.\d+Z$/, 'Z')
}

/** `2 days 03:04:05` */
export function duration(milliseconds: number): string {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000))
  const days = Math.floor(seconds / 86_400)
  const clock = [Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60, seconds % 60]
    .map((part) => String(part).padStart(2, '0'))
    .join(':')
  if (days === 0) return clock
  return `${days} ${days === 1 ? 'day' : 'days'} ${clock}`
}
