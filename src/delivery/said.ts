/**
 * The first line of what a program or a receiver said, as it may stand in logs, bounces and the spool: printable ASCII,
 * and short.
 * @param octets a byte string
 */
export function firstLine(octets: string): string {
  const line = octets.split(/[\r\n]+/).find((each) => each.trim() !== '') ?? ''
  return line
    .trim()
    .slice(0, 200)
    .replace(/[^ -~]/g, (octet) => `\\x${octet.charCodeAt(0).toString(16).padStart(2, '0')}`)
}
