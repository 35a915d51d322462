/** Values as the configuration's own language writes them (momentum: console-commands/config shows the layout). */

import { inQuotes } from '../evaluate.ts'
import type { Value } from '../tree.ts'

/** On one line. */
export function formatValue(value: Value): string {
  switch (value.kind) {
    case 'scalar':
      return formatText(value.text)
    case 'array':
      return value.items.length === 0
        ? '( )'
        : `( ${value.items.map(({ text }) => formatText(text)).join(' ')} )`
    case 'dictionary':
  }
  const entries = value.entries.map(
    ({ key, value: inner }) => `${formatKey(key.text)} = ${formatValue(inner)}`,
  )
  return entries.length === 0 ? '[ ]' : `[ ${entries.join(' ')} ]`
}

/** `Name = value`; of lists and dictionaries each item has a line of its own. */
export function formatAssignment(name: string, value: Value, indent = ''): readonly string[] {
  switch (value.kind) {
    case 'scalar':
      return [`${indent}${name} = ${formatText(value.text)}`]
    case 'array':
      if (value.items.length === 0) return [`${indent}${name} = ( )`]
      return [
        `${indent}${name} = (`,
        ...value.items.map(({ text }) => `${indent}  ${formatText(text)}`),
        `${indent})`,
      ]
    case 'dictionary':
  }
  if (value.entries.length === 0) return [`${indent}${name} = [ ]`]
  return [
    `${indent}${name} = [`,
    ...value.entries.flatMap(({ key, value: inner }) =>
      formatAssignment(formatKey(key.text), inner, `${indent}  `),
    ),
    `${indent}]`,
  ]
}

/** Numbers and the words for yes and no stand alone; everything else is in quotes, which are never wrong. */
export function formatText(text: string): string {
  return /^(?:\d{1,15}|true|false|on|off|yes|no|enabled|disabled)$/i.test(text) ? text : inQuotes(text)
}

function formatKey(text: string): string {
  return /^[A-Za-z0-9_-]+$/.test(text) ? text : inQuotes(text)
}
