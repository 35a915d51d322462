/** An option's value as a configuration would write it. */

/** `not set` where there is none. */
export function formatOption(value: unknown, option: string): string {
  if (value === undefined)
    return option === 'tls_verify_mode' ? 'unset: a certificate is asked for and may be missing' : 'not set'
  return format(value)
}

function format(value: unknown): string {
  if (typeof value === 'string') return `"${value}"`
  if (typeof value !== 'object' || value === null) return String(value)
  if (Array.isArray(value)) return value.length === 0 ? '( )' : `( ${value.map(format).join(' ')} )`
  if ('text' in value && typeof value.text === 'string') return `"${value.text}"`
  if ('host' in value && typeof value.host === 'string') return `"${value.host}"`
  const entries = Object.entries(value).map(([name, item]) => `${name} = ${format(item)}`)
  return `[ ${entries.join(' ')} ]`
}
