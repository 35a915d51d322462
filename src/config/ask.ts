/**
 * One option's effective value by the words of Momentum's `config get` and `config eval`: scopes with their instances,
 * then the option's name (momentum: console-commands/config).
 *
 * `hostname`; `domain example.com max_…`; `listen 192.0.2.1:25 peer 192.0.2.7 tls_verify_mode`; `pathway x …`. An
 * option of reception without a `listen` is that of the only one.
 */

import { normaliseAddress } from './address.ts'
import { suggestion } from './edit-distance.ts'
import { displayName } from './known-names.ts'
import { inboundOptions } from './options-inbound.ts'
import { globalOptions, outboundOptions } from './options-other.ts'
import { quote } from './render.ts'
import type { ListenSettings, Settings } from './settings.ts'

const scopeWords = ['domain', 'esmtp_listener', 'listen', 'peer', 'pathway'] as const
type ScopeWord = (typeof scopeWords)[number]
type Scopes = Partial<Record<ScopeWord, string>>

export interface ConfigAnswer {
  /** a list or a dictionary has no single value */
  readonly value: string | number | boolean | undefined
  /** as a configuration file would write it; '' when the option is not set */
  readonly text: string
}

/** @throws Error whose message says what is wrong with the words */
export function askConfiguration(settings: Settings, words: readonly string[]): ConfigAnswer {
  const { scopes, option } = readWords(words)
  const value = lookUp(settings, scopes, option.toLowerCase())
  const text = format(value) ?? ''
  return {
    value: isSingle(value) ? value : text === '' ? undefined : text,
    text: text === '' ? '' : `${displayName(option.toLowerCase())} = ${text}`,
  }
}

function readWords(words: readonly string[]): { readonly scopes: Scopes; readonly option: string } {
  const option = words.at(-1)
  if (option === undefined) throw new Error('the name of an option expected')
  const scopes: Scopes = {}
  for (let index = 0; index < words.length - 1; index += 2) {
    const word = words[index]?.toLowerCase() ?? ''
    const scope = scopeWords.find((each) => each === word)
    if (scope === undefined) throw new Error(`${quote(word)} is no scope that can be asked about`)
    // a listener's only instance needs no name
    if (scope === 'esmtp_listener' && isScope(words[index + 1])) {
      index -= 1
      continue
    }
    if (index + 1 === words.length - 1) throw new Error(`${scope} needs an instance and an option`)
    scopes[scope] = words[index + 1] ?? ''
  }
  return { scopes, option }
}

const isScope = (word: string | undefined): boolean => scopeWords.some((each) => each === word?.toLowerCase())

function lookUp(settings: Settings, scopes: Scopes, key: string): unknown {
  const { domain } = scopes
  if (domain !== undefined) {
    if (Object.hasOwn(outboundOptions, key))
      return valueOf(settings.resolveOutbound(domain.toLowerCase()).options, key)
    throw unknownOption(key, Object.keys(outboundOptions))
  }
  const asked = scopes.listen !== undefined || scopes.peer !== undefined || scopes.pathway !== undefined
  if (!asked && Object.hasOwn(globalOptions, key)) return valueOf(settings.global, key)
  if (!asked && Object.hasOwn(outboundOptions, key)) return valueOf(settings.resolveOutbound('').options, key)
  if (Object.hasOwn(inboundOptions, key)) return inbound(settings, scopes, key)
  throw unknownOption(
    key,
    [inboundOptions, outboundOptions, globalOptions].flatMap((table) => Object.keys(table)),
  )
}

function inbound(settings: Settings, scopes: Scopes, key: string): unknown {
  const listen = chooseListen(settings, scopes.listen)
  if (scopes.peer === undefined && scopes.pathway === undefined) return valueOf(listen.scope.options, key)
  const address = scopes.peer === undefined ? '' : normaliseAddress(scopes.peer)
  if (address === undefined) throw new Error(`${quote(scopes.peer ?? '')} is not an IP address`)
  return valueOf(settings.resolveInbound(listen, address, scopes.pathway).options, key)
}

function chooseListen({ listens }: Settings, named: string | undefined): ListenSettings {
  const bare = named?.replace(/^\*/, '')
  const [listen, ...others] = listens.filter(
    ({ instance }) => bare === undefined || instance.replace(/^\*/, '') === bare,
  )
  if (listen === undefined)
    throw new Error(named === undefined ? 'there is no Listen' : `there is no Listen ${quote(named)}`)
  if (others.length > 0) throw new Error('there are several Listens: say which')
  return listen
}

const valueOf = (values: object, key: string): unknown =>
  Object.entries(values).find(([name]) => name === key)?.[1]

function unknownOption(key: string, names: readonly string[]): Error {
  return new Error(`there is no option ${quote(key)} that acts${suggestion(key, names.map(displayName))}`)
}

const isSingle = (value: unknown): value is string | number | boolean =>
  typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'

/** The value as it would be written in a configuration file. */
function format(value: unknown): string | undefined {
  if (typeof value === 'string') return `"${value}"`
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  if (typeof value !== 'object' || value === null) return undefined
  if (Array.isArray(value))
    return `( ${value.map((item: unknown) => format(item) ?? '').join(' ')} )`.replace('(  )', '( )')
  if ('text' in value && typeof value.text === 'string') return `"${value.text}"`
  const entries = Object.entries(value).map(([key, item]) => `${key} = ${format(item) ?? ''}`)
  return `[ ${entries.join(' ')} ]`
}
