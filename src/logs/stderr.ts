/** Panic events for whoever watches the server in the foreground. Control characters cannot reach the terminal. */

import type { Panic } from '../events/events.ts'
import { escapeText } from './escape.ts'

/** `postern: warning: tls: text`, without a line ending. A byte string: write it as latin1. */
export function formatForStderr({ level, module, text }: Panic): string {
  return `postern: ${level}: ${escapeText(module, ':')}: ${escapeText(text)}`
}
