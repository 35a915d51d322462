/** `msys.cidr` (momentum: lua/ref-msys-cidr-*): named sets of address blocks, empty or from an rbldnsd file. */

import { readFileSync, statSync } from 'node:fs'
import { formatAddress, loopback, parseAddress } from '../../../config/address.ts'
import { CidrTrie } from '../../../config/cidr-trie.ts'
import { ScriptError } from '../state.ts'
import { Arguments } from './arguments.ts'
import type { Family, LibraryHost } from './family.ts'
import { fileName } from './files.ts'
import { type BlockEntry, parseBlockList } from './rbldnsd.ts'
import { pushValue, pushValues, toBytes } from './values.ts'

interface CidrSet {
  trie: CidrTrie<BlockEntry>
  /** absolute path; undefined for an empty set */
  readonly path: string | undefined
  readonly source: string
  readonly column: 'a' | 'txt'
  readonly interpolate: boolean
  readonly otherwise: string | number | boolean | undefined
}

const maxSets = 100
const maxFile = 64 * 1_048_576
/** seconds */
const usualRefresh = 1800
const shortestRefresh = 1

export function cidrFamily(host: LibraryHost): Family {
  const { state, waits } = host
  const sets = new CidrSets(host)
  const known = (L: number, name: string): CidrSet => {
    const args = new Arguments(state, L, name)
    const set = sets.get(args.string(1))
    if (set === undefined) throw args.refuse(1, `no CIDR object "${args.string(1)}" is defined`)
    return set
  }
  return {
    functions: {
      'msys.cidr.define': (L) => {
        sets.define(L)
        return 0
      },
      'msys.cidr.query': (L) => {
        const set = known(L, 'msys.cidr.query')
        const args = new Arguments(state, L, 'msys.cidr.query')
        const given = args.optionalString(2) ?? host.current()?.session?.remote.address
        if (given === undefined) throw args.refuse(2, 'there is no client here: an address expected')
        // a client on a UNIX socket has none
        const address = given === '' ? loopback[0] : parseAddress(given)
        if (address === undefined) throw args.refuse(2, 'an IP address expected')
        const [entry] = set.trie.matches(address)
        const value = entry === undefined || entry.excluded ? set.otherwise : entry[set.column]
        const text = typeof value === 'string' && set.interpolate
        pushValue(state, L, text ? value.replaceAll('$', () => formatAddress(address)) : value)
        return 1
      },
    },
    waiting: {
      'msys.cidr.reload': (L) => {
        const set = known(L, 'msys.cidr.reload')
        if (set.path === undefined) return waits.without(L, (thread) => pushValues(state, thread, true))
        return waits.begin(L, 'msys.cidr.reload', async () => {
          const problem = await sets.refresh(set)
          return (thread) =>
            pushValues(state, thread, ...(problem === undefined ? [true] : [undefined, problem]))
        })
      },
    },
  }
}

class CidrSets {
  readonly #host: LibraryHost
  readonly #sets = new Map<string, CidrSet>()
  readonly #timers = new Map<string, () => void>()

  constructor(host: LibraryHost) {
    this.#host = host
    host.whenClosed(() => {
      for (const cancel of this.#timers.values()) cancel()
    })
  }

  get(name: string): CidrSet | undefined {
    return this.#sets.get(name)
  }

  define(L: number): void {
    const args = new Arguments(this.#host.state, L, 'msys.cidr.define')
    const name = args.string(1)
    if (this.#host.current() !== undefined)
      throw new ScriptError('msys.cidr.define works only in init and while a script loads')
    if (this.#sets.size >= maxSets && !this.#sets.has(name))
      throw new ScriptError(`scripts define at most ${maxSets} CIDR objects`)
    const type = args.isTable(2) ? args.textField(2, 'type') : args.string(2)
    if (type === 'datasource') throw args.refuse(2, 'the type datasource is recognised but not implemented')
    if (type !== 'empty' && type !== 'rbldnsd') throw args.refuse(2, 'type empty or rbldnsd expected')
    if (type === 'rbldnsd' && !args.isTable(2))
      throw args.refuse(2, 'a table with the field "source" expected')
    const set = this.#read(L, args, type === 'rbldnsd')
    if (set.path !== undefined) {
      set.trie = this.#parse(set, this.#readNow(args, set.path))
      this.#repeat(name, set, args.numberField(2, 'refresh', usualRefresh))
    }
    this.#sets.set(name, set)
  }

  /** Reads the file again; what went wrong is told and comes back, and what was read before stays. */
  async refresh(set: CidrSet): Promise<string | undefined> {
    try {
      const octets = await this.#host.services.readFile(set.path ?? '', maxFile)
      set.trie = this.#parse(set, Buffer.from(octets).toString('latin1'))
      return undefined
    } catch (error) {
      const problem = toBytes(error instanceof Error ? error.message : 'cannot be read')
      this.#host.log.tell('error', `${set.source}: ${problem}; what was read before stays`)
      return problem
    }
  }

  #read(L: number, args: Arguments, fromFile: boolean): CidrSet {
    const set = { trie: new CidrTrie<BlockEntry>(), path: undefined, source: '', column: 'a' as const }
    if (!args.isTable(2)) return { ...set, interpolate: false, otherwise: undefined }
    const otherwise = args.field(2, 'default_value')
    const interpolate = args.field(2, 'interpolate') === true
    if (!fromFile) return { ...set, interpolate, otherwise }
    const source = args.textField(2, 'source')
    if (source === undefined) throw args.refuse(2, 'the field "source" is missing')
    const path = fileName(source, this.#host.directory(L))
    if (path === undefined) throw args.refuse(2, `source "${source}": only files can be read`)
    const column = args.textField(2, 'value') ?? 'a'
    if (column !== 'a' && column !== 'txt') throw args.refuse(2, 'the field "value" is "a" or "txt"')
    return { ...set, path, source, column, interpolate, otherwise }
  }

  /** At load time nothing can wait, and a list that cannot be read must not be taken for an empty one. */
  #readNow(args: Arguments, path: string): string {
    try {
      const stat = statSync(path)
      if (!stat.isFile() || stat.size > maxFile) throw new Error(`not a file of at most ${maxFile} octets`)
      return readFileSync(path, 'latin1')
    } catch (error) {
      throw args.refuse(2, toBytes(error instanceof Error ? error.message : `${path} cannot be read`))
    }
  }

  #parse(set: CidrSet, text: string): CidrTrie<BlockEntry> {
    const { trie, bad } = parseBlockList(text)
    if (bad.length > 0)
      this.#host.log.tell(
        'warning',
        `${set.source}: lines that cannot be read are skipped: ${bad.join(', ')}`,
      )
    return trie
  }

  #repeat(name: string, set: CidrSet, seconds: number): void {
    this.#timers.get(name)?.()
    if (seconds <= 0) return
    const again = (): void => {
      const cancel = this.#host.services.after(Math.max(shortestRefresh, seconds) * 1000, () => {
        void this.refresh(set).then(() => {
          if (this.#timers.get(name) === cancel) again()
        })
      })
      this.#timers.set(name, cancel)
    }
    again()
  }
}
