/**
 * The formats of custom_logger: text with macros, `%t@%i@%vctx_mess{rule}` (Momentum: modules/custom-logger,
 * 4-tls-macros). A format is read once, when the configuration is; what it cannot mean is an error at its place.
 *
 * `%name` or `%name{argument}`. The name is as long as letters go on, with single `_` and `:` between them: this is why
 * the page forbids letters as separators. `%namespace:name` names the namespace; `%%` is a percent sign.
 */

import type { Codec } from './codec.ts'
import type { Position } from './diagnostic.ts'
import { nearest } from './edit-distance.ts'
import { quote } from './render.ts'
import type { Scalar } from './tree.ts'

/** The stages of a message that can be logged. */
export const logStages = [
  'reception',
  'delivery',
  'transient_failure',
  'permanent_failure',
  'rejection',
] as const
export type LogStage = (typeof logStages)[number]

export interface LogMacro {
  readonly name: LogMacroName
  /** what stands in the braces; '' without */
  readonly argument: string
  readonly at: Position
}

export interface LogFormat {
  /** as written */
  readonly text: string
  readonly parts: readonly (string | LogMacro)[]
}

interface MacroRow {
  readonly namespace: 'custom_logger' | 'outbound_tls'
  /** what must, may or must not stand in braces */
  readonly argument: 'none' | 'header' | 'key' | 'time' | 'places' | 'digits'
  /** where it can ever say something: R, D, T, P as in the mainlog, X = a rejection */
  readonly stages: string
}

const own = (stages: string, argument: MacroRow['argument'] = 'none'): MacroRow => ({
  namespace: 'custom_logger',
  argument,
  stages,
})
const ofTls: MacroRow = { namespace: 'outbound_tls', argument: 'none', stages: 'RDTP' }

export const logMacros = {
  A: own('RDTPX'),
  b: own('RDTP'),
  B: own('RDTP'),
  BI: own('RDTP'),
  c: own('TP'),
  C: own('TP'),
  CI: own('RDTPX'),
  d: own('RDTP'),
  g: own('RDTP'),
  h: own('RDTP', 'header'),
  H: own('RDTPX'),
  i: own('RDTP'),
  m: own('RDTPX'),
  M: own('RDTPX'),
  n: own('DTPX'),
  N: own('RDTP'),
  OC: own('DTP'),
  p: own('RDTPX'),
  P: own('RDTPX'),
  PG: own('RDTPX'),
  r: own('RDTPX'),
  R: own('RDTPX'),
  s: own('DTPX'),
  S: own('DTP'),
  t: own('RDTPX', 'time'),
  T: own('RDTP', 'places'),
  U: own('RDTPX'),
  us: own('RDTPX', 'digits'),
  vctx_conn: own('RDTPX', 'key'),
  vctx_mess: own('RDTPX', 'key'),
  local_ip: { ...ofTls, stages: 'RDTPX' },
  outbound_tls: ofTls,
  outbound_tls_type: ofTls,
  outbound_tls_cipher: ofTls,
  outbound_tls_cipher_algbits: ofTls,
  outbound_tls_cipher_usebits: ofTls,
  outbound_tls_protocol: ofTls,
  outbound_tls_verified: ofTls,
  outbound_tls_issuer: ofTls,
  outbound_tls_subject: ofTls,
} as const satisfies Record<string, MacroRow>

export type LogMacroName = keyof typeof logMacros

/** The letter of a stage in `logMacros`. */
export const stageLetters: Readonly<Record<LogStage, string>> = {
  reception: 'R',
  delivery: 'D',
  transient_failure: 'T',
  permanent_failure: 'P',
  rejection: 'X',
}

/** conversions of `%t{…}`: strftime of POSIX in the C locale, without those that would end the line */
export const TIME_CONVERSIONS = 'aAbBcCdDeFgGhHIjklmMpRsSTuUVwWxXyYzZ%'

export const logFormat: Codec<LogFormat> = (value, context) => {
  if (value.kind !== 'scalar') return context.error('is a text with macros, such as "%t@%i@%r@%R"', value.at)
  if (value.text === '') return context.error('is empty: it says what is written', value.at)
  if (CONTROL.test(value.text)) {
    return context.error('is one line: there is a line end or another control character in it', value.at)
  }
  const parts: (string | LogMacro)[] = []
  let end = 0
  for (const match of value.text.matchAll(MACRO)) {
    const at = placeInside(value, match.index, match[0].length)
    const read = readMacro(match)
    if ('wrong' in read) return context.error(read.wrong, at)
    append(parts, value.text.slice(end, match.index))
    if (read.literal === undefined) parts.push({ ...read.macro, at })
    else append(parts, read.literal)
    end = match.index + match[0].length
  }
  append(parts, value.text.slice(end))
  return { value: Object.freeze({ text: value.text, parts: Object.freeze(parts) }) }
}

export function macrosOf({ parts }: LogFormat): readonly LogMacro[] {
  return parts.filter((part) => typeof part !== 'string')
}

/** names that a format has in braces after `%h`, in lower case */
export function headersOf({ parts }: LogFormat): readonly string[] {
  return parts.flatMap((part) =>
    typeof part !== 'string' && part.name === 'h' ? [part.argument.toLowerCase()] : [],
  )
}

const MACRO =
  /%(?:(?<percent>%)|(?<name>[A-Za-z]+(?:[_:][A-Za-z]+)*)(?:\{(?<argument>[^}]*)(?<close>\}?))?)?/g
// oxlint-disable-next-line no-control-regex -- what must not be in a line of a log
const CONTROL = /[\u0000-\u0008\u000a-\u001f\u007f]/

type Read =
  | { readonly literal: string; readonly macro?: undefined }
  | { readonly macro: Omit<LogMacro, 'at'>; readonly literal?: undefined }
  | { readonly wrong: string }

function readMacro(match: RegExpMatchArray): Read {
  const { percent, name: written, argument, close } = match.groups ?? {}
  if (percent !== undefined) return { literal: '%' }
  if (written === undefined) return { wrong: 'has a % without a macro; a percent sign is %%' }
  const name = resolve(written)
  if (name === undefined) return { wrong: `has no macro %${written}${didYouMean(written)}` }
  if (close === '') return { wrong: `has a { after %${written} that is not closed` }
  const wrong = wrongArgument(name, argument)
  return wrong === undefined ? { macro: { name, argument: argument ?? '' } } : { wrong }
}

function resolve(written: string): LogMacroName | undefined {
  if (isMacro(written)) return written
  const [namespace, name, ...more] = written.split(':')
  return more.length === 0 && name !== undefined && isMacro(name) && logMacros[name].namespace === namespace
    ? name
    : undefined
}

function isMacro(name: string): name is LogMacroName {
  return Object.hasOwn(logMacros, name)
}

/** Of short names the one that it begins with: a letter stands where a separator should. */
function didYouMean(written: string): string {
  const names = Object.keys(logMacros)
  const near =
    nearest(written, names) ??
    names
      .filter((name) => written.startsWith(name))
      .toSorted((a, b) => b.length - a.length)
      .at(0)
  return near === undefined ? '' : `; did you mean %${near}?`
}

function wrongArgument(name: LogMacroName, argument: string | undefined): string | undefined {
  const { argument: kind } = logMacros[name]
  if (kind === 'none') {
    return argument === undefined ? undefined : `has an argument after %${name}, which takes none`
  }
  if (kind === 'time') return wrongTime(argument)
  const { form, optional, need, example } = argumentForms[kind]
  const good = argument === undefined ? optional : form.test(argument)
  return good ? undefined : `needs ${need} after %${name}: %${name}{${example}}`
}

const argumentForms = {
  header: { form: /^[!-9;-~]{1,200}$/, optional: false, need: 'the name of a header', example: 'Subject' },
  key: { form: /^[^\s{]+$/, optional: false, need: 'a key of the context', example: 'pathway' },
  places: { form: /^[0-6]$/, optional: true, need: '0 to 6 decimal places', example: '3' },
  digits: { form: /^[1-6]$/, optional: false, need: '1 to 6 digits', example: '3' },
} as const

function wrongTime(argument: string | undefined): string | undefined {
  if (argument === undefined) return undefined
  if (argument === '') return 'needs a format of strftime in the braces of %t{…}, such as %t{%F %T}'
  for (const [, conversion = ''] of argument.matchAll(/%(.?)/g)) {
    if (conversion === '') return 'has a % without a conversion in %t{…}'
    if (!TIME_CONVERSIONS.includes(conversion)) {
      return `has %${conversion} in %t{…}; the conversions are ${TIME_CONVERSIONS}`
    }
  }
  return undefined
}

function append(parts: (string | LogMacro)[], text: string): void {
  if (text === '') return
  const last = parts.at(-1)
  if (typeof last === 'string') parts[parts.length - 1] = last + text
  else parts.push(text)
}

/** Where some octets of a text are; the whole text where escapes or line ends make that unclear. */
function placeInside({ text, at }: Scalar, offset: number, length: number): Position {
  if (at.length === text.length + 2) return { ...at, column: at.column + 1 + offset, length }
  return at.length === text.length ? { ...at, column: at.column + offset, length } : at
}

/** How values of others are changed before they are written (Momentum's `sanitize`). */
export interface Sanitize {
  readonly text: string
  /** + the line is JSON, and values are escaped for a string in it */
  readonly json: boolean
  /** octets that are not printable ASCII become decimal numbers */
  readonly nonPrintable: boolean
  /** pairs of characters */
  readonly translate: ReadonlyMap<string, string>
}

export const sanitize: Codec<Sanitize> = (value, context) => {
  const forms = 'is a list of special_characters, non_printable, json and tr/from/to/'
  if (value.kind !== 'scalar') return context.error(forms, value.at)
  const translate = new Map<string, string>()
  const words = new Set<string>()
  for (let rest = value.text.trim(); rest !== ''; ) {
    const item = SANITIZE_ITEM.exec(rest)
    if (item?.groups === undefined) return context.error(`${forms}, not ${quote(value.text)}`, value.at)
    const { word, from = '', to = '' } = item.groups
    if (word === undefined) {
      const pairs = pairsOf(characters(from), characters(to))
      if (pairs === undefined)
        return context.error('has a tr/from/to/ that maps nothing to nothing', value.at)
      for (const [one, other] of pairs) if (!translate.has(one)) translate.set(one, other)
    } else words.add(word.toLowerCase())
    rest = rest.slice(item[0].length)
  }
  const [json, nonPrintable] = [words.has('json'), words.has('non_printable')]
  if (json && nonPrintable)
    return context.error('has json and non_printable, which exclude each other', value.at)
  return { value: Object.freeze({ text: value.text, json, nonPrintable, translate }) }
}

const SANITIZE_ITEM =
  /^\s*(?:(?<word>special_characters|non_printable|json)|tr\/(?<from>(?:[^/\\]|\\.)+)\/(?<to>(?:[^/\\]|\\.)*)\/)\s*(?:,|$)/i

/** As in tr(1): the last character of a shorter second list is repeated. */
function pairsOf(from: readonly string[], to: readonly string[]): [string, string][] | undefined {
  const last = to.at(-1)
  if (from.length === 0 || last === undefined) return undefined
  return from.map((character, n) => [character, to[n] ?? last])
}

/** `a-z` and backslash escapes written out; byte strings. */
function characters(list: string): string[] {
  const octets = Buffer.from(list, 'utf8').toString('latin1')
  const found: string[] = []
  for (const [, escaped, first, last, plain] of octets.matchAll(/\\([^])|([^])-([^])|([^])/g)) {
    if (first === undefined || last === undefined) {
      found.push(escaped === undefined ? (plain ?? '') : (namedControls[escaped] ?? escaped))
      continue
    }
    for (let code = first.charCodeAt(0); code <= last.charCodeAt(0); code += 1) {
      found.push(String.fromCharCode(code))
    }
  }
  return found
}

const namedControls: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t' }
