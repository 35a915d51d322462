/** What the library's functions work with outside of Lua. Everything can be replaced: tests bring their own. */

import { setTimeout as delay } from 'node:timers/promises'
import { DnsRecords, type RecordResolver } from '../../../dns/records.ts'
import type { Datasources } from '../../datasource/datasource.ts'
import { type FileReader, readWholeFile } from './file-reader.ts'
import { type HttpRequester, NodeHttp } from './http-request.ts'
import { SharedStores } from './stores.ts'

export interface LibraryServices {
  /** milliseconds since the epoch */
  readonly now: () => number
  /** resolves after so many milliseconds; rejects when the signal aborts */
  readonly sleep: (milliseconds: number, signal: AbortSignal) => Promise<void>
  /** calls a function after so many milliseconds; what comes back cancels that. Does not keep the process alive. */
  readonly after: (milliseconds: number, call: () => void) => () => void
  readonly records: RecordResolver
  readonly http: HttpRequester
  readonly readFile: FileReader
  /** what outlives a Lua state: counters, series, gauges. One for all generations of a configuration. */
  readonly stores: SharedStores
  /** an option's effective value; undefined where there is no configuration to ask */
  readonly config: ConfigReader | undefined
  /** those of the configuration; undefined where there is none */
  readonly datasources: Pick<Datasources, 'open'> | undefined
}

/**
 * `config get …` and `config eval …`: the words are scopes and instances, then the option's name.
 * @throws Error whose message says what is wrong with the words
 */
export type ConfigReader = (words: readonly string[]) => {
  readonly value: string | number | boolean | undefined
  /** as the console shows it */
  readonly text: string
}

/** The real ones, but for what is given. */
export function libraryServices(given: Partial<LibraryServices> = {}): LibraryServices {
  return {
    now: Date.now,
    sleep: (milliseconds, signal) => delay(milliseconds, undefined, { signal }),
    after: (milliseconds, call) => {
      const timer = setTimeout(call, milliseconds).unref()
      return () => clearTimeout(timer)
    },
    records: new DnsRecords(),
    http: new NodeHttp(),
    readFile: readWholeFile,
    stores: new SharedStores(),
    config: undefined,
    datasources: undefined,
    ...given,
  }
}
