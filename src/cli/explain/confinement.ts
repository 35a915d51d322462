/**
 * Keeps the code of this process from acting outward, policies in TypeScript included, which nothing else holds back.
 *
 * Node's permission model (`--permission --allow-fs-read=*`, see `command.ts`) refuses writes, processes, threads and
 * native modules. What it lets pass goes over these calls, which are replaced before any policy is loaded: connections,
 * listening sockets, datagrams, look-ups, signals, databases. Each attempt is reported, and gets an Error. It holds back code that
 * means no harm; code that looks for a way out of its own process is not what a policy is.
 */

import { AsyncLocalStorage } from 'node:async_hooks'
import childProcess from 'node:child_process'
import dgram from 'node:dgram'
import dns from 'node:dns'
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import net from 'node:net'

type Reporter = (effect: string, values: readonly string[]) => void

export class WithheldError extends Error {
  constructor(effect: string) {
    super(`${effect} is withheld by postern explain`)
    this.name = 'WithheldError'
  }
}

export class Confinement {
  readonly #own = new AsyncLocalStorage<true>()
  #reporter: Reporter = () => undefined

  /** Closes the ways out, for good. Once in a process. @throws Error in a process that may write */
  static close(): Confinement {
    if (process.permission === undefined || process.permission.has('fs.write')) {
      throw new Error('a process that may write files is not confined')
    }
    const confinement = new Confinement()
    confinement.#replace('net', net.Socket.prototype, ['connect'])
    confinement.#replace('net', net.Server.prototype, ['listen', '_listen2'])
    confinement.#replace('net', net, ['_createServerHandle'])
    // The permission model knows nothing of its files. Not imported: what this module exports stands once it has been
    confinement.#replace('sqlite', process.getBuiltinModule('node:sqlite'), ['DatabaseSync', 'backup'])
    confinement.#replace('dgram', dgram.Socket.prototype, ['bind', 'connect', 'send'])
    confinement.#replace('dns', dns, methodsOf(dns))
    confinement.#replace('dns', dns.promises, methodsOf(dns.promises))
    for (const resolver of [dns.Resolver.prototype, dns.promises.Resolver.prototype]) {
      confinement.#replace('dns', resolver, methodsOf(resolver))
    }
    confinement.#replace(
      'fs',
      fs,
      FS_WRITERS.flatMap((name) => [name, `${name}Sync`]),
    )
    confinement.#replace('fs', fs.promises, FS_WRITERS)
    confinement.#replace('child_process', childProcess, PROCESS_MAKERS)
    confinement.#replace('process', process, ['kill', '_kill', 'abort', 'exit', 'reallyExit', 'dlopen'])
    syncBuiltinESMExports()
    return confinement
  }

  /** Who hears of what was attempted from now on. */
  report(reporter: Reporter): void {
    this.#reporter = reporter
  }

  /** Runs what may use the ways out. */
  allowed<T>(work: () => Promise<T>): Promise<T> {
    return this.#own.run(true, work)
  }

  #replace(module: string, target: object, names: readonly string[]): void {
    for (const name of names) {
      const own: unknown = Reflect.get(target, name)
      if (typeof own !== 'function') continue
      const guard = (values: readonly unknown[], call: () => unknown): unknown =>
        this.#guard(`${module}.${name}`, values, call)
      const guarded = function (this: unknown, ...values: unknown[]): unknown {
        return guard(values, () => Reflect.apply(own, this, values))
      }
      Object.defineProperty(target, name, { value: guarded, configurable: false, writable: false })
    }
  }

  #guard(effect: string, values: readonly unknown[], call: () => unknown): unknown {
    if (this.#own.getStore() === true) return call()
    this.#reporter(effect, values.flatMap(show).slice(0, MAX_VALUES))
    throw new WithheldError(effect)
  }
}

const MAX_VALUES = 4

/** Refused by the permission model anyhow, as is opening a file for writing; here they are noted, too. */
const FS_WRITERS =
  'appendFile chmod chown copyFile cp link lutimes mkdir mkdtemp rename rm rmdir symlink truncate unlink utimes writeFile'.split(
    ' ',
  )
const PROCESS_MAKERS = ['exec', 'execFile', 'execFileSync', 'execSync', 'fork', 'spawn', 'spawnSync']

function methodsOf(target: object): readonly string[] {
  return Object.getOwnPropertyNames(target).filter((name) => /^(?:lookup|resolve|reverse)/.test(name))
}

/** Where something was to go, as far as it is text. */
function show(value: unknown): string[] {
  if (typeof value === 'string' || typeof value === 'number') return [toBytes(String(value))]
  if (Array.isArray(value)) return value.flatMap(show)
  if (typeof value !== 'object' || value === null) return []
  const { host, port, path } = value as {
    readonly host?: unknown
    readonly port?: unknown
    readonly path?: unknown
  }
  return [host, port, path]
    .filter((each) => typeof each === 'string' || typeof each === 'number')
    .map((each) => toBytes(String(each)))
}

function toBytes(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1')
}
