/** `msys.dnsLookup` (momentum: lua/ref-msys-dnslookup). */

import { type DnsRecord, type RecordType, recordTypes } from '../../../dns/records.ts'
import { Arguments } from './arguments.ts'
import type { Family, LibraryHost } from './family.ts'
import { pushValue, pushValues } from './values.ts'

const NAME = 'msys.dnsLookup'
const maxName = 255

export function dnsFamily({ state, waits, services }: LibraryHost): Family {
  return {
    waiting: {
      [NAME]: (L) => {
        const args = new Arguments(state, L, NAME)
        const name = args.string(1)
        const type = args.optionalString(2) ?? 'A'
        // a type that does not exist raises an error, as in Momentum
        if (!isType(type)) throw args.refuse(2, `${recordTypes.join(', ')} expected`)
        if (args.has(3) && !args.isTable(3)) throw args.bad(3, 'table')
        const priority = args.has(3) && args.field(3, 'priority') === true
        const server = args.has(3) ? args.textField(3, 'server') : undefined
        if (name === '' || name.length > maxName || /[\0-\x20\x7f]/.test(name))
          return waits.without(L, (thread) => pushValues(state, thread, undefined, 'not a domain name'))
        return waits.begin(L, NAME, async (signal) => {
          try {
            const records = await services.records.lookup({ name, type, server }, signal)
            return (thread) => {
              pushValue(state, thread, records.map(priority ? withPreference : ({ value }) => value))
              return 1
            }
          } catch (error) {
            const problem = error instanceof Error ? error.message : 'failed'
            return (thread) => pushValues(state, thread, undefined, problem)
          }
        })
      },
    },
  }
}

const isType = (text: string): text is RecordType => (recordTypes as readonly string[]).includes(text)

const withPreference = ({ value, preference }: DnsRecord): string | [number, string] =>
  preference === undefined ? value : [preference, value]
