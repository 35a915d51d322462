/** Where a connection comes from, for people. */

/** `192.0.2.7:4711`, `[2001:db8::1]:4711`, or `local` for a UNIX socket. */
export function clientAddress({
  address,
  port,
}: {
  readonly address: string
  readonly port: number
}): string {
  if (address === '') return 'local'
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
}
