/**
 * The effective value of one option and the place it came from, found by the code that the server uses: for
 * `postern eval` and for the console's `config eval`.
 *
 * Without a peer the client is one that no Peer block holds; on a UNIX socket every client is local.
 */

import { normaliseAddress } from './address.ts'
import { permissions } from './codec.ts'
import { ConfigError, type Origin } from './diagnostic.ts'
import { suggestion } from './edit-distance.ts'
import { displayName, displayScopes, findOption } from './known-names.ts'
import { listenKey, parseListenAddress } from './listen-address.ts'
import { neverOptions } from './never-options.ts'
import { customLoggerOptions } from './options-custom-logger.ts'
import { pipeOptions, webhookOptions } from './options-delivery.ts'
import { inboundOptions } from './options-inbound.ts'
import {
  bounceLoggerOptions,
  globalOptions,
  loggerOptions,
  maildirOptions,
  outboundOptions,
  scriptOptions,
  securityOptions,
  tlsLogOptions,
} from './options-other.ts'
import { partnerOptions } from './options-partner.ts'
import { hostOptions } from './options-queue.ts'
import { httpOptions } from './options-services.ts'
import { quote } from './render.ts'
import type { InboundValues, ListenSettings, OutboundValues, Settings } from './settings.ts'
import type { Egress } from './settings-queue.ts'

/** Where a client or a destination is. */
export interface EvaluationPlace {
  /** a Listen, in any spelling of its address; the only one when not given */
  readonly listen?: string
  readonly peer?: string
  readonly pathway?: string
  readonly domain?: string
  /** `binding`, or `group/binding`; that of mail without one when not given */
  readonly binding?: string
  /** the name or address of a host, for what Host stanzas say */
  readonly host?: string
}

export interface Evaluation {
  /** as Momentum writes it */
  readonly name: string
  /** as a configuration file would write the value; undefined: it is not set */
  readonly text: string | undefined
  readonly origin: Origin
}

/** @throws ConfigError for an option, a Listen, a pathway or an address that is not there */
export function evaluate(settings: Settings, option: string, place: EvaluationPlace): Evaluation {
  const key = option.toLowerCase()
  const { value, origin } = lookUp(settings, key, place)
  // screens and transcripts are read by others
  const text = key === 'outbound_smtp_auth_pass' && value !== undefined ? '"***"' : format(value, key)
  return { name: displayName(key), text, origin }
}

/** The value itself. @throws ConfigError as `evaluate` */
export function evaluateValue(settings: Settings, option: string, place: EvaluationPlace): unknown {
  return lookUp(settings, option.toLowerCase(), place).value
}

interface Found {
  readonly value: unknown
  readonly origin: Origin
}

const tables = { ...inboundOptions, ...outboundOptions, ...globalOptions }

function lookUp(settings: Settings, key: string, options: EvaluationPlace): Found {
  if (options.host !== undefined) return host(settings, key, options.host, options)
  if ((options.domain ?? options.binding) !== undefined && isKey(outboundOptions, key)) {
    return outbound(settings, key, options)
  }
  if (isKey(inboundOptions, key)) return inbound(settings, key, options)
  if (isKey(outboundOptions, key)) return outbound(settings, key, options)
  if (isKey(globalOptions, key)) return { value: settings.global[key], origin: settings.globalOrigin(key) }
  throw mistake(noSuchOption(key))
}

function noSuchOption(key: string): string {
  const found = findOption(key, 'global')
  if (found === undefined) {
    const names = Object.keys(tables).map(displayName)
    return `unknown option ${quote(key)}${suggestion(key, names)}`
  }
  if (moduleTables.some((table) => Object.hasOwn(table, key)) && found.kind === 'elsewhere') {
    return `${displayName(key)} has the value that its stanza says: ${displayScopes(found.scopes)}`
  }
  const never = neverOptions[key]
  if (never !== undefined) return `${displayName(key)} never acts: ${never.instead}`
  return `${displayName(key)} is recognised, not implemented`
}

function inbound(settings: Settings, key: keyof InboundValues, options: EvaluationPlace): Found {
  const listen = chooseListen(settings, options.listen)
  const scope = settings.resolveInbound(listen, clientAddress(listen, options.peer), options.pathway)
  if (options.pathway !== undefined && scope.pathway !== options.pathway) {
    throw mistake(`there is no Pathway ${quote(options.pathway)}`)
  }
  return {
    value: key === 'context' ? asText(scope.options.context) : scope.options[key],
    origin: scope.origin(key),
  }
}

/** undefined: a client in no Peer block */
function clientAddress(listen: ListenSettings, peer: string | undefined): string | undefined {
  if (peer === undefined) return listen.address.kind === 'unix' ? '' : undefined
  const address = normaliseAddress(peer)
  if (address === undefined) throw mistake(`${quote(peer)} is not an IP address`)
  return address
}

function outbound(settings: Settings, key: keyof OutboundValues, place: EvaluationPlace): Found {
  const scope = settings.resolveOutbound((place.domain ?? '').toLowerCase(), egressOf(settings, place))
  return { value: scope.options[key], origin: scope.origin(key) }
}

// oxlint-disable-next-line max-params -- the option, the host, and the rest of the place
function host(settings: Settings, key: string, name: string, place: EvaluationPlace): Found {
  if (!isKey(hostOptions, key)) {
    throw mistake(
      `${displayName(key)} is not valid in Host${suggestion(key, Object.keys(hostOptions).map(displayName))}`,
    )
  }
  const scope = settings.resolveHost(
    [normaliseAddress(name) ?? name.toLowerCase()],
    egressOf(settings, place),
  )
  return { value: scope?.options[key], origin: scope?.origin(key) ?? 'default' }
}

function egressOf(settings: Settings, { binding: text }: EvaluationPlace): Egress | undefined {
  if (text === undefined) return undefined
  const [first = '', second] = text.split('/')
  const egress = second === undefined ? settings.findBinding(first) : settings.findBinding(second, first)
  if (egress === undefined || (second !== undefined && egress.bindingGroup !== first)) {
    throw mistake(`there is no Binding ${quote(text)}`)
  }
  return egress
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
  const listen = findListen(settings.listens, named)
  if (listen === undefined) throw mistake(`there is no Listen ${quote(named)}; there are ${list}`)
  return listen
}

/** The Listen of that instance, in whatever spelling of the address. */
export function findListen(listens: readonly ListenSettings[], named: string): ListenSettings | undefined {
  const wanted = keyOf(named)
  return listens.find(({ instance }) => instance === named || keyOf(instance) === wanted)
}

/** The same for all spellings of an address. */
function keyOf(instance: string): string {
  const address = parseListenAddress(instance)
  return typeof address === 'string' ? instance : listenKey(address)
}

function isKey<T extends object>(table: T, key: string): key is Extract<keyof T, string> {
  return Object.hasOwn(table, key)
}

function mistake(message: string): ConfigError {
  return new ConfigError([{ severity: 'error', message }])
}

/** The value as it would be written in a configuration file; undefined where there is none. */
export function format(value: unknown, key = ''): string | undefined {
  if (value === undefined) return undefined
  if (typeof value === 'string') return inQuotes(value)
  if (typeof value === 'number') return isMode(key) ? `0${value.toString(8)}` : String(value)
  if (typeof value === 'boolean') return String(value)
  if (typeof value !== 'object' || value === null) return undefined
  if ('count' in value && 'seconds' in value)
    return inQuotes(`${String(value.count)}/${String(value.seconds)}`)
  if (Array.isArray(value))
    return `( ${value.map((item: unknown) => format(item) ?? '').join(' ')} )`.replace('(  )', '( )')
  if ('text' in value && typeof value.text === 'string') return inQuotes(value.text)
  const entries = Object.entries(value).map(([name, item]) => `${inQuotes(name)} = ${format(item) ?? ''}`)
  return `[ ${entries.join(' ')} ]`.replace('[  ]', '[ ]')
}

/** The text in quotes, as the configuration's language escapes it. */
export function inQuotes(text: string): string {
  const escaped = text.replace(/["\\\r\n\t]/g, (character) => escapes[character] ?? `\\${character}`)
  return `"${escaped}"`
}

const escapes: Readonly<Record<string, string>> = { '\r': '\\r', '\n': '\\n', '\t': '\\t' }

/** Whether an option is the mode of a file, which is written in octal. */
function isMode(key: string): boolean {
  return isKey(tables, key) && tables[key].codec === permissions
}

/** The context's values are byte strings. */
function asText(context: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const entries = Object.entries(context).map(([name, value]) => [
    name,
    Buffer.from(value, 'latin1').toString('utf8'),
  ])
  return Object.fromEntries(entries) as Record<string, string>
}

const moduleTables = [
  loggerOptions,
  bounceLoggerOptions,
  customLoggerOptions,
  tlsLogOptions,
  maildirOptions,
  pipeOptions,
  webhookOptions,
  scriptOptions,
  securityOptions,
  httpOptions,
  partnerOptions,
]
