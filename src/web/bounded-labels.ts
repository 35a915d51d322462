/**
 * Label values that others choose: cleaned, and bounded in number. The first values that come get their own name, all
 * further ones are `other`, so that nobody can fill the memory of the server or of whoever collects its metrics.
 */

const MAX_LENGTH = 128

export class BoundedLabels {
  readonly #known = new Set<string>()
  readonly #limit: number

  /** @param limit different values besides `other` */
  constructor(limit: number) {
    this.#limit = limit
  }

  of(value: string): string {
    const clean = cleanLabel(value)
    if (this.#known.has(clean)) return clean
    if (this.#known.size >= this.#limit) return 'other'
    this.#known.add(clean)
    return clean
  }
}

/** Printable ASCII and letters of the world, on one line and not too long; a byte string is read as UTF-8. */
export function cleanLabel(value: string): string {
  const text = /^[\0-\u00ff]*$/.test(value) ? Buffer.from(value, 'latin1').toString('utf8') : value
  return text
    .replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Co}\p{Cn}\uFFFD]/gu, '?')
    .slice(0, MAX_LENGTH)
    .toWellFormed()
}
