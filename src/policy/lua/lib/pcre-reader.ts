/** Reads a pattern from left to right; shared by the parser and its classes. */

/** What is wrong with a pattern. Codes are ours. */
export class PatternError extends Error {
  readonly code: number

  constructor(message: string, at: number, code = 1) {
    super(`${message} at offset ${at}`)
    this.name = 'PatternError'
    this.code = code
  }
}

export class PatternReader {
  readonly pattern: string
  at = 0

  constructor(pattern: string) {
    this.pattern = pattern
  }

  peek(): string {
    return this.pattern[this.at] ?? ''
  }

  next(): string {
    return this.pattern[this.at++] ?? ''
  }

  /** Some characters of what comes. */
  rest(length = 80): string {
    return this.pattern.slice(this.at, this.at + length)
  }

  /** What a sticky expression finds here, as its named groups; undefined and nothing read otherwise. */
  take(expression: RegExp): Readonly<Record<string, string | undefined>> | undefined {
    expression.lastIndex = this.at
    const match = expression.exec(this.pattern)
    if (match === null) return undefined
    this.at = expression.lastIndex
    return match.groups ?? {}
  }

  skipBlanks(): void {
    const blanks = /(?:[ \t-\r]|#[^\n]*(?:\n|$))+/y
    blanks.lastIndex = this.at
    if (blanks.test(this.pattern)) this.at = blanks.lastIndex
  }

  /** The octet that a letter behind a backslash stands for. */
  character(c: string): number {
    const control = controls[c]
    if (control !== undefined) return control
    const rest = this.rest(8)
    if (c === 'x') {
      const match = /^(?:\{([0-9A-Fa-f]{1,6})\}|([0-9A-Fa-f]{0,2}))/.exec(rest)
      this.at += match?.[0].length ?? 0
      const octet = Number.parseInt(match?.[1] ?? match?.[2] ?? '', 16) || 0
      if (octet > 255) throw this.error('a character beyond \\xff: patterns match octets')
      return octet
    }
    if (c === '0') {
      const [octal = ''] = /^[0-7]{0,2}/.exec(rest) ?? []
      this.at += octal.length
      return Number.parseInt(`0${octal}`, 8)
    }
    if (c === 'c') return this.next().toUpperCase().charCodeAt(0) ^ 64
    if (/[A-Za-z0-9]/.test(c)) throw this.error(`\\${c} is not supported`)
    return c.charCodeAt(0)
  }

  error(message: string, shift = 0): PatternError {
    return new PatternError(message, Math.min(this.at + shift, this.pattern.length))
  }
}

const controls: Readonly<Record<string, number>> = { a: 7, e: 27, f: 12, n: 10, r: 13, t: 9 }
