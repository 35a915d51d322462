/** `msys.parseRFC2822Addresses` (momentum: lua/ref-msys-parse-rfc-2822-addresses). */

import { type ListedAddress, parseAddressList } from '../../../mail/address-list.ts'
import { Arguments } from './arguments.ts'
import type { Family, LibraryHost } from './family.ts'
import { pushValue } from './values.ts'

const maxText = 1_048_576

/** The parts by which addresses are taken apart; what stands behind the first `+` is the detail. */
export const addressParts: Readonly<Record<string, (address: ListedAddress) => string>> = {
  all: ({ local, domain }) => (domain === '' ? local : `${local}@${domain}`),
  localpart: ({ local }) => local,
  user: ({ local }) => local.split('+', 1)[0] ?? '',
  detail: ({ local }) => (local.includes('+') ? local.slice(local.indexOf('+') + 1) : ''),
  domain: ({ domain }) => domain,
}

export function addressFamily({ state }: LibraryHost): Family {
  const name = 'msys.parseRFC2822Addresses'
  return {
    functions: {
      [name]: (L) => {
        const args = new Arguments(state, L, name)
        const text = args.string(1)
        if (text.length > maxText) throw args.refuse(1, `at most ${maxText} octets`)
        const part = args.optionalString(2) ?? 'all'
        const take = Object.hasOwn(addressParts, part) ? addressParts[part] : undefined
        if (take === undefined) throw args.refuse(2, `${Object.keys(addressParts).join(', ')} expected`)
        pushValue(state, L, parseAddressList(text).map(take))
        return 1
      },
    },
  }
}
