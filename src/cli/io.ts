/** Where a command of the program writes, and how it looks there. Passed in, so that tests can read along. */

import type { Writable } from 'node:stream'

export interface Io {
  readonly stdout: Writable
  readonly stderr: Writable
  /** whether stdout is a terminal: colour and progress, else plain text */
  readonly terminal: boolean
}

export type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow'

const codes: Readonly<Record<Style, readonly [number, number]>> = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
}

/** Colours text on a terminal, leaves it alone elsewhere. */
export function styler(io: Io): (style: Style, text: string) => string {
  if (!io.terminal) return (_style, text) => text
  return (style, text) => `\u001b[${codes[style][0]}m${text}\u001b[${codes[style][1]}m`
}
