/**
 * A format of a custom_logger as a function from an event to a line.
 *
 * Whatever a value holds, it cannot end its field or start a line: a backslash and control characters are escaped as in
 * every log, and so is each sign that stands behind a macro in this format, because that is what separates its fields.
 * In a value that ends the line a blank stays a blank. Times, which the operator has laid out, are not changed. In a format
 * that is JSON, every value is the inside of a string instead.
 */

import type { LogFormat, LogMacro, Sanitize } from '../config/log-format.ts'
import { escapeText } from './escape.ts'
import { asciiJson, text } from './json/text.ts'
import { type LoggedEvent, type MacroRequest, macroValues } from './log-macros.ts'

/** @returns the line of an event, a byte string without its line ending */
export function compileFormat(
  format: LogFormat,
  sanitize: Sanitize,
  pathwayGroup: MacroRequest['pathwayGroup'],
): (event: LoggedEvent) => string {
  const separators = separatorsOf(format)
  const last = format.parts.at(-1)
  const pieces = format.parts.map((part) => {
    if (typeof part === 'string') {
      const literal = bytes(part)
      return () => literal
    }
    const special = part === last ? separators.replace(' ', '') : separators
    return pieceOf(part, { sanitize, special, pathwayGroup })
  })
  return (event) => pieces.map((piece) => piece(event)).join('')
}

interface Layout {
  readonly sanitize: Sanitize
  /** characters to escape in values */
  readonly special: string
  readonly pathwayGroup: MacroRequest['pathwayGroup']
}

function pieceOf({ name, argument: written }: LogMacro, layout: Layout): (event: LoggedEvent) => string {
  const value = macroValues[name]
  const argument = bytes(written)
  const { sanitize, special, pathwayGroup } = layout
  if (sanitize.json) return (event) => inJson(value({ event, argument, pathwayGroup }), sanitize)
  if (laidOut.includes(name)) return (event) => value({ event, argument, pathwayGroup })
  return (event) => clean(value({ event, argument, pathwayGroup }), sanitize, special)
}

function inJson(value: string, sanitize: Sanitize): string {
  return asciiJson(text(mapped(value, sanitize))).slice(1, -1)
}

function mapped(value: string, { translate }: Sanitize): string {
  return translate.size === 0 ? value : Array.from(value, (each) => translate.get(each) ?? each).join('')
}

function clean(written: string, sanitize: Sanitize, special: string): string {
  const value = mapped(written, sanitize)
  if (!sanitize.nonPrintable) return escapeText(value, special)
  return value
    .split(UNPRINTABLE)
    .map((each, n) => (n % 2 === 0 ? escapeText(each, special) : decimal(each)))
    .join('')
}

/** `\010`: three digits, so that what follows is not taken for a part of it. */
function decimal(character: string): string {
  return Array.from(character, (each) => `\\${String(each.charCodeAt(0)).padStart(3, '0')}`).join('')
}

/** The signs that stand directly behind a macro. */
function separatorsOf({ parts }: LogFormat): string {
  const found = parts.flatMap((part, n) => {
    const before = parts[n - 1]
    const [sign = ''] = typeof part === 'string' && before !== undefined ? bytes(part) : ''
    return sign
  })
  return [...new Set(found)].filter((sign) => !/[A-Za-z0-9\\]/.test(sign)).join('')
}

/** The configuration is Unicode, a log is octets. */
function bytes(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1')
}

/** in brackets: `split` keeps what it finds */
const UNPRINTABLE = /([^ -~])/
const laidOut: readonly string[] = ['t', 'us', 'T']
