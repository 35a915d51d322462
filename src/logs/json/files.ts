/**
 * The files that want the JSON line of the event in hand. Logs may share one, and then it has one line for an event that
 * is in several of them. The line is made once, and only where somebody wants it.
 */

import type { LogWriter } from '../writer.ts'
import { jsonLine, type LineEvent } from './line.ts'

export class JsonFiles {
  readonly #due = new Set<LogWriter>()
  #event: LineEvent | undefined

  add(file: LogWriter, event: LineEvent): void {
    this.#due.add(file)
    this.#event = event
  }

  /** Writes to those that were added. */
  write(): void {
    if (this.#event === undefined) return
    const line = jsonLine(this.#event)
    for (const file of this.#due) file.write(line)
    this.forget()
  }

  /** The next event begins with none. */
  forget(): void {
    this.#due.clear()
    this.#event = undefined
  }
}
