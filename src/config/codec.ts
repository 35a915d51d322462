/**
 * How the text of a value becomes a typed value. Strict: what is not one of the forms is an error that says which
 * forms there are, with the nearest one where a word was mistyped. No value is ever guessed.
 *
 * The words of the types are Momentum's (console-commands/config, structs-ec-config-option-def).
 */

import path from 'node:path'
import type { Position } from './diagnostic.ts'
import { nearest } from './edit-distance.ts'
import { quote } from './render.ts'
import type { FilePath } from './settings-tls.ts'
import type { Scalar, Value } from './tree.ts'

export interface CodecContext {
  /** of the main configuration file: relative paths start here, also in included files */
  readonly directory: string
  /** @param tail what follows the option's name in the message */
  error(tail: string, at: Position): undefined
  warning(tail: string, at: Position): void
}

/** undefined: it is wrong, and the context has been told why. */
export type Codec<T> = (value: Value, context: CodecContext) => { readonly value: T } | undefined

/** A codec for one piece of text. @param what the forms it takes: `a whole number of seconds` */
export function scalar<T>(what: string, parse: (text: string) => T | undefined): Codec<T> {
  return (value, context) => {
    if (value.kind !== 'scalar') return context.error(`is ${what}, not a ${nounOf(value)}`, value.at)
    const result = parse(value.text)
    return result === undefined
      ? context.error(`is ${what}, not ${quote(value.text)}`, value.at)
      : { value: result }
  }
}

/** Momentum's spellings of yes and no, in any case. */
export const bool: Codec<boolean> = (value, context) => {
  const result = booleanWord(value, context)
  return result && { value: booleanWords[result.value] === true }
}

/** An enumeration, in any case; gives the canonical word. @param shown how the message lists the words */
export function oneOf<const W extends string>(all: readonly W[], shown = listOf(all)): Codec<W> {
  return words(shown, Object.fromEntries(all.map((word) => [word, true])) as Record<W, boolean>)
}

/** A whole number from `min` to `max`. The message names the range only to a number outside it. */
export function count(what = 'a whole number', { min = 0, max = 2_147_483_647 } = {}): Codec<number> {
  const wrongForm = scalar(what, (text) => (/^\d+$/.test(text) ? Number(text) : undefined))
  const outOfRange = scalar(`${what} from ${min} to ${max}`, (text) => {
    const number = Number(text)
    return number >= min && number <= max ? number : undefined
  })
  return (value, context) => wrongForm(value, context) && outOfRange(value, context)
}

/** A whole number, or -1 for what Momentum gives a meaning of its own. */
export const countOrMinusOne: Codec<number> = scalar('a whole number or -1', (text) =>
  /^(?:-1|\d{1,9})$/.test(text) ? Number(text) : undefined,
)

/** Seconds, up to what a timer can hold (2^31 ms). */
export const seconds = count('a whole number of seconds', { max: 2_147_483 })

/** Seconds that are compared with a clock and never given to one timer: up to ten years. */
export const longSeconds = count('a whole number of seconds', { max: 315_360_000 })

/** Octets, or with K, M, G: powers of 1024. */
export const size: Codec<number> = scalar('a number of octets such as 1048576, 512K, 10M or 1G', (text) => {
  const match = /^(\d{1,12})\s*([kmg]?)b?$/i.exec(text)
  if (match === null) return undefined
  const octets = Number(match[1]) * 1024 ** ' kmg'.indexOf(match[2]?.toLowerCase() || ' ')
  return octets <= 2 ** 50 ? octets : undefined
})

/** The mode of a file, in octal with or without leading zero. */
export const permissions: Codec<number> = scalar('the mode of a file in octal, such as 0660', (text) =>
  /^0?[0-7]{3,4}$/.test(text) && Number.parseInt(text, 8) <= 0o7777 ? Number.parseInt(text, 8) : undefined,
)

/** Text without line ends: it goes into a reply, a header or a log. */
export const line: Codec<string> = scalar('text on one line that is not empty', (text) =>
  text !== '' && !/[\r\n]/.test(text) ? text : undefined,
)

/** The name of a host as it stands in a banner, a header or EHLO. */
export const hostname: Codec<string> = scalar('the name of a host', (text) =>
  text.length <= 255 &&
  /^(?:[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?\.)*[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?$|^\[[0-9a-f:.]+\]$/i.test(
    text,
  )
    ? text
    : undefined,
)

/** A path; relative ones start at the main configuration file's directory. */
export const filePath: Codec<FilePath> = (value, context) => {
  if (value.kind !== 'scalar') return context.error(`is the path of a file, not a ${nounOf(value)}`, value.at)
  const { text } = value
  if (text === '' || /[\r\n]/.test(text))
    return context.error(`is the path of a file, not ${quote(text)}`, value.at)
  const [, scheme, inner = ''] = urlPattern.exec(text) ?? []
  if (scheme !== undefined) {
    const instead = inner.startsWith('/') ? `: write ${quote(inner)}` : ''
    return context.error(`is the path of a file, and ${scheme} is not implemented${instead}`, value.at)
  }
  return { value: { path: path.resolve(context.directory, text), text } }
}

/** `cluster:///path=>master`, `jlog://…`, `syslog://?…`: what Momentum's modules for input and output take */
const urlPattern = /^([a-z][a-z0-9+.-]+:\/\/)(.*?)(?:=>.*|\?.*)?$/i

/** A path, or a word that takes back what a wider scope says. */
export function pathUnless(word: string): Codec<FilePath | undefined> {
  return (value, context) =>
    value.kind === 'scalar' && value.text.toLowerCase() === word
      ? { value: undefined }
      : filePath(value, context)
}

/** A list `( … )`; one value without brackets is a list of one. Every wrong item is reported. */
export function listWhere<T>(
  item: (item: Scalar, context: CodecContext) => { readonly value: T } | undefined,
): Codec<readonly T[]> {
  return (value, context) => {
    if (value.kind === 'dictionary') return context.error('is a list, not a dictionary', value.at)
    const items = value.kind === 'scalar' ? [value] : value.items
    const results = items.map((each) => item(each, context))
    if (results.includes(undefined)) return undefined
    return { value: Object.freeze(results.flatMap((each) => (each === undefined ? [] : [each.value]))) }
  }
}

/** `[ key = value … ]` with text values. */
export const dictionary: Codec<Readonly<Record<string, string>>> = (value, context) => {
  if (value.kind !== 'dictionary') {
    return context.error('is a dictionary such as [ key = "value" ]', value.at)
  }
  let good = true
  const entries: [string, string][] = []
  for (const { key, value: each } of value.entries) {
    if (each.kind === 'scalar') entries.push([key.text, each.text])
    else {
      context.error(`has text as the value of the key ${quote(key.text)}, not a ${nounOf(each)}`, each.at)
      good = false
    }
  }
  return good ? { value: Object.freeze(Object.fromEntries(entries)) } : undefined
}

export function nounOf(value: Value): string {
  return value.kind === 'scalar' ? 'single value' : value.kind === 'array' ? 'list' : 'dictionary'
}

/** `"a", "b" or "c"` */
export function listOf(all: readonly string[]): string {
  return joinWith(
    'or',
    all.map((word) => `"${word}"`),
  )
}

/** `a, b and c` */
export function joinWith(word: 'and' | 'or', all: readonly string[]): string {
  return all.length < 2 ? all.join('') : `${all.slice(0, -1).join(', ')} ${word} ${all.at(-1)}`
}

function words<W extends string>(shown: string, known: Readonly<Record<W, boolean>>): Codec<W> {
  const all = Object.keys(known) as W[]
  return (value, context) => {
    if (value.kind !== 'scalar') return context.error(`is ${shown}, not a ${nounOf(value)}`, value.at)
    const found = all.find((word) => word.toLowerCase() === value.text.toLowerCase())
    if (found !== undefined) return { value: found }
    const near = nearest(value.text, all)
    const hint = near === undefined ? '' : `; did you mean "${near}"?`
    return context.error(`is ${shown}, not ${quote(value.text)}${hint}`, value.at)
  }
}

const booleanWords: Readonly<Record<string, boolean>> = {
  true: true,
  false: false,
  on: true,
  off: false,
  yes: true,
  no: false,
  enabled: true,
  disabled: false,
  1: true,
  0: false,
}

const booleanWord = words('"true" or "false"', booleanWords)
