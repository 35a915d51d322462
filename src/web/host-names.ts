/**
 * By which names a browser may ask (RFC 9110 §7.2). A page of a stranger whose name was made to point here (DNS
 * rebinding) is of one origin with what it asks for, so it could read the answer; but it asks by its own name, and that is
 * refused. Who asks by an address asks by no name that anybody could have moved.
 */

import { isIP } from 'node:net'

/** Names in lower case without a dot at the end; `any` where no browser gets: on a UNIX socket. */
export type AnsweredNames = ReadonlySet<string> | 'any'

/** @param hosts every Host field of a request; HTTP/1.0 may have none, and no browser speaks it */
export function isAnswered(hosts: readonly string[], names: AnsweredNames): boolean {
  return names === 'any' || hosts.every((host) => isKnown(host, names))
}

function isKnown(host: string, names: ReadonlySet<string>): boolean {
  const [, address, name = ''] = HOST.exec(host) ?? []
  if (address !== undefined) return isIP(address) === 6
  return isIP(name) === 4 || names.has(name.toLowerCase().replace(/\.$/, ''))
}

/** an IPv6 address in brackets, or whatever else, and a port */
const HOST = /^(?:\[([^\]%]*)\]|([^:[\]/@\s]+))(?::\d{0,5})?$/
