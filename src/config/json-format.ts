/**
 * Formats of a custom_logger whose lines are JSON. Such a format is tried with the worst that its macros can say: one that
 * says text may stand inside a string and nowhere else, one that always says a number also in the place of a number.
 */

import type { LogFormat, LogMacro, LogStage } from './log-format.ts'
import { stageLetters } from './log-format.ts'

/** Why the format makes no object of JSON in this stage; undefined: it does. */
export function wrongJson({ parts }: LogFormat, stage: LogStage): string | undefined {
  const tried = parts.map((part) => (typeof part === 'string' ? part : worst(part, stage))).join('')
  try {
    const value: unknown = JSON.parse(tried)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return undefined
    return 'it begins with { and ends with }'
  } catch {
    const numbers = Object.keys(numeric).filter((name) => isNumber({ name, argument: '' }, stage))
    return `keys and texts stand in quotes, and so does every macro but ${numbers.map((name) => `%${name}`).join(', ')}`
  }
}

/** What can be least in its place: a letter is nothing outside a string, digits may begin with 0. */
function worst(macro: LogMacro, stage: LogStage): string {
  if (macro.name === 'us') return '0'.repeat(Number(macro.argument))
  // its own point: a second one makes it no number
  if (macro.name === 'T' && isNumber(macro, stage))
    return (0).toFixed(macro.argument === '' ? 2 : Number(macro.argument))
  return isNumber(macro, stage) ? '0' : 'x'
}

function isNumber(
  { name, argument }: Pick<LogMacro, 'argument'> & { name: string },
  stage: LogStage,
): boolean {
  if (name === 't' && argument !== '') return false
  return Object.hasOwn(numeric, name) && (numeric[name] ?? '').includes(stageLetters[stage])
}

/** Macros that say a number, with the stages in which they always do. */
const numeric: Readonly<Record<string, string>> = {
  t: 'RDTPX',
  B: 'RDTP',
  N: 'RDTP',
  S: 'DTP',
  C: 'TP',
  T: 'RDTP',
}
