/** How many sessions a script is told there are (Momentum: lua/ref-ac-inbound-session-count). */

import { parseAddress, parseCidr } from '../config/address.ts'
import type { Cidr } from '../config/settings.ts'
import type { SessionCountQuery } from '../policy/phases.ts'

/**
 * The block that a script asks about: an address, a block, `/24` around the client's own address, or '' for that
 * address alone. Undefined when it is none of these.
 * @param client '' for a client on a UNIX socket, which counts as loopback
 */
export function blockOf({ cidr }: SessionCountQuery, client: string): Cidr | undefined {
  const own = client === '' ? '127.0.0.1' : client
  if (cidr === '') return parseCidr(own)
  if (!cidr.startsWith('/'))
    return parseCidr(cidr === 'localhost' ? '127.0.0.1' : cidr.replace(/^localhost\//, '127.0.0.1/'))
  const family = parseAddress(own)?.family
  // a prefix of IPv4 says nothing about an address of the other family beyond its own length
  return family === undefined ? undefined : parseCidr(own + cidr)
}
