/** Where a command of the program writes, and how it looks there. Passed in, so that tests can read along. */

import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import type { Writable } from 'node:stream'
import type { Diagnostic } from '../config/diagnostic.ts'
import { renderDiagnostics } from '../config/render.ts'

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

/** Writes. @returns what to wait for before more is written; undefined: there is room */
export function writeSlowly(stream: Writable, text: string): Promise<unknown> | undefined {
  return stream.write(text) ? undefined : once(stream, 'drain')
}

/** characters; what becomes of them on a terminal may be eight times as much */
const PIECE = 65_536

/** A text that somebody else made and that may be very long, in parts, none of which ends within a character. */
export function* pieces(text: string): Iterable<string> {
  for (let from = 0, to = 0; from < text.length; from = to) {
    to = from + PIECE
    const code = text.charCodeAt(to - 1)
    if (code >= 0xd800 && code < 0xdc00) to -= 1
    yield text.slice(from, to)
  }
}

/** Prints diagnostics on stderr, each with the line it speaks of. */
export function say(io: Io, diagnostics: readonly Diagnostic[]): void {
  if (diagnostics.length > 0) io.stderr.write(renderDiagnostics(diagnostics, readText))
}

function readText(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
}
