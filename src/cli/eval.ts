/**
 * `postern eval`: the effective value of one option and the place it came from, found by the code that the server uses.
 *
 * The first line is `Name = value` in the configuration's own language, or `Name is not set`; the second says where the
 * value is written.
 */

import { normaliseAddress } from '../config/address.ts'
import { ConfigError, describeOrigin, type Origin } from '../config/diagnostic.ts'
import { suggestion } from '../config/edit-distance.ts'
import { displayName } from '../config/known-names.ts'
import { loadSettings } from '../config/load.ts'
import { inboundOptions } from '../config/options-inbound.ts'
import { globalOptions, outboundOptions } from '../config/options-other.ts'
import type { InboundValues, ListenSettings, OutboundValues, Settings } from '../config/settings.ts'
import type { Io } from './io.ts'
import { locateConfig } from './locate.ts'

export interface EvalOptions {
  readonly config?: string
  readonly listen?: string
  readonly peer?: string
  readonly pathway?: string
  readonly domain?: string
}

interface Found {
  readonly value: unknown
  readonly origin: Origin
}

/** @returns 0 when there is an answer, else 1 */
export async function runEval(name: string, options: EvalOptions, io: Io): Promise<number> {
  const { settings, diagnostics } = await loadSettings(locateConfig(options.config))
  if (settings === undefined) throw new ConfigError(diagnostics)
  const key = name.toLowerCase()
  const found = lookUp(settings, key, options)
  const shown = displayName(key)
  const value = format(found.value)
  io.stdout.write(value === undefined ? `${shown} is not set\n` : `${shown} = ${value}\n`)
  io.stdout.write(`  from ${describeOrigin(found.origin)}\n`)
  return 0
}

function lookUp(settings: Settings, key: string, options: EvalOptions): Found {
  if (options.domain !== undefined && isKey(outboundOptions, key)) {
    return outbound(settings, key, options.domain)
  }
  if (isKey(inboundOptions, key)) return inbound(settings, key, options)
  if (isKey(outboundOptions, key)) return outbound(settings, key, options.domain ?? '')
  if (isKey(globalOptions, key)) return { value: settings.global[key], origin: settings.globalOrigin(key) }
  const tables = [inboundOptions, outboundOptions, globalOptions]
  const names = tables.flatMap((table) => Object.keys(table).map(displayName))
  throw mistake(`there is no option "${key}" that acts${suggestion(key, names)}`)
}

function inbound(settings: Settings, key: keyof InboundValues, options: EvalOptions): Found {
  const listen = chooseListen(settings, options.listen)
  if (options.peer === undefined && options.pathway === undefined) {
    return { value: listen.scope.options[key], origin: listen.scope.origin(key) }
  }
  const address = options.peer === undefined ? '' : normaliseAddress(options.peer)
  if (address === undefined) throw mistake(`"${options.peer ?? ''}" is not an IP address`)
  const scope = settings.resolveInbound(listen, address, options.pathway)
  return { value: scope.options[key], origin: scope.origin(key) }
}

function outbound(settings: Settings, key: keyof OutboundValues, domain: string): Found {
  const scope = settings.resolveOutbound(domain.toLowerCase())
  return { value: scope.options[key], origin: scope.origin(key) }
}

function chooseListen(settings: Settings, named: string | undefined): ListenSettings {
  const instances = settings.listens.map(({ instance }) => instance)
  const list = instances.map((instance) => `"${instance}"`).join(', ')
  if (named === undefined) {
    const [only, ...others] = settings.listens
    if (only === undefined) throw mistake('the configuration has no Listen')
    if (others.length > 0) throw mistake(`say which Listen with --listen: ${list}`)
    return only
  }
  const listen = settings.listens.find(({ instance }) => sameListen(instance, named))
  if (listen === undefined) throw mistake(`there is no Listen "${named}"; there are ${list}`)
  return listen
}

function sameListen(written: string, named: string): boolean {
  return written === named || written.replace(/^\*/, '') === named.replace(/^\*/, '')
}

function isKey<T extends object>(table: T, key: string): key is Extract<keyof T, string> {
  return Object.hasOwn(table, key)
}

function mistake(message: string): ConfigError {
  return new ConfigError([{ severity: 'error', message }])
}

/** The value as it would be written in a configuration file. */
function format(value: unknown): string | undefined {
  if (value === undefined) return undefined
  if (typeof value === 'string') return `"${value}"`
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  if (typeof value !== 'object' || value === null) return undefined
  if (Array.isArray(value))
    return `( ${value.map((item: unknown) => format(item) ?? '').join(' ')} )`.replace('(  )', '( )')
  if ('text' in value && typeof value.text === 'string') return `"${value.text}"`
  const entries = Object.entries(value).map(([key, item]) => `${key} = ${format(item) ?? ''}`)
  return `[ ${entries.join(' ')} ]`
}
