/**
 * What a script has to say about the EHLO list (Momentum: lua/ref-ac-esmtp-capability-add, -remove). It changes what is
 * said and never what is possible: a word that the session announces by its own rules comes back when it was removed
 * before, and is not announced where it cannot be used.
 */

import type { CapabilityEdits } from '../policy/phases.ts'

/** words that a session's scripts can add */
const MAX_ADDED = 50

export class SessionCapabilities implements CapabilityEdits {
  /** as written, by normal form */
  #added: Map<string, string> | undefined
  #removed: Set<string> | undefined

  add(capability: string): void {
    const key = normal(capability)
    this.#removed?.delete(key)
    this.#added ??= new Map()
    if (this.#added.size < MAX_ADDED) this.#added.set(key, capability)
  }

  remove(capability: string): void {
    const key = normal(capability)
    this.#added?.delete(key)
    this.#removed ??= new Set()
    if (this.#removed.size < MAX_ADDED) this.#removed.add(key)
  }

  /**
   * @param lines what the session announces
   * @param isOwn whether a keyword (upper case) is announced by the session's own rules only
   */
  apply(lines: readonly string[], isOwn: (keyword: string) => boolean): string[] {
    if (this.#added === undefined && this.#removed === undefined) return [...lines]
    const kept = lines.map((line) => this.#keep(line)).filter((line) => line !== '')
    const present = new Set(kept.map(normal))
    const added = [...(this.#added ?? [])]
      .filter(([key]) => !present.has(key) && !isOwn(key.split(/[ =]/, 1)[0] ?? ''))
      .map(([, capability]) => capability)
    return [...kept, ...added]
  }

  /** A line without what was removed: the whole line, its keyword, or one of its words, as in `AUTH LOGIN`. */
  #keep(line: string): string {
    const removed = this.#removed
    if (removed === undefined || removed.size === 0) return line
    const [keyword = '', ...words] = line.split(/[ =]/)
    if (removed.has(normal(line)) || removed.has(normal(keyword))) return ''
    const left = words.filter((word) => !removed.has(normal(`${keyword} ${word}`)))
    if (left.length === words.length) return line
    return left.length === 0 ? '' : `${keyword}${line.charAt(keyword.length)}${left.join(' ')}`
  }
}

function normal(text: string): string {
  return text.trim().replace(/\s+/g, ' ').toUpperCase()
}
