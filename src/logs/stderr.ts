/** Panic events for whoever watches the server in the foreground. Control characters cannot reach the terminal. */

import type { Panic } from '../events/events.ts'
import { escapeText } from './escape.ts'

/** `postern: warning: tls: text` with its line ending, as octets: they go out as they came in. */
export function formatForStderr({ level, module, text }: Panic): Buffer {
  return Buffer.from(`postern: ${level}: ${escapeText(module, ':')}: ${escapeText(text)}\n`, 'latin1')
}
