/**
 * A message's header as a list of fields that can be read and edited without touching what was not edited.
 *
 * Text is a byte string (one character per octet); other text is refused with a RangeError, because its characters
 * would turn into octets that nobody looked at. A value that is set can never start a new field: its line breaks
 * become folding white space (RFC 5322 §2.2.3). Nor can what a client sent become part of a field that is put above it.
 */

interface Field {
  /** lower case */
  readonly name: string
  /** as received or made: `Name: value CRLF`, folded lines included */
  readonly raw: string
}

export class HeaderBlock {
  /** Never changed, only replaced: copies share it. A header may have 100,000 fields and 1000 copies. */
  #fields: readonly Field[]
  #edited = false

  /**
   * @param text the header with its line endings, with or without the final empty line. A line that is no field and
   *   no continuation is kept as it is, under the name ''. What follows the empty line is not looked at.
   */
  constructor(text: string) {
    requireByteString(text)
    this.#fields = splitFields(text)
  }

  /** whether anything was changed since construction */
  get edited(): boolean {
    return this.#edited
  }

  /** How many fields have this name (any case). */
  count(name: string): number {
    const key = name.toLowerCase()
    let count = 0
    for (const field of this.#fields) if (field.name === key) count++
    return count
  }

  /** The unfolded values of all fields of this name, top first. */
  values(name: string): string[] {
    const key = name.toLowerCase()
    return this.#fields.filter((field) => field.name === key).map((field) => unfold(field.raw))
  }

  /**
   * Puts a field on top. A continuation line that stood there, without a field to continue, is dropped: it would
   * become part of the new field, and so let a client write into our trace.
   */
  prepend(name: string, value: string): void {
    const field = makeField(name, value)
    const hasOrphan = isContinuation(this.#fields[0]?.raw ?? '')
    this.#fields = [field, ...(hasOrphan ? this.#fields.slice(1) : this.#fields)]
    this.#edited = true
  }

  /** Puts a field at the end. */
  append(name: string, value: string): void {
    this.#fields = [...this.#fields, makeField(name, value)]
    this.#edited = true
  }

  /** Replaces the first field of this name and removes the others; appends when there is none. */
  replace(name: string, value: string): void {
    const key = name.toLowerCase()
    const at = this.#fields.findIndex((field) => field.name === key)
    if (at < 0) {
      this.append(name, value)
      return
    }
    const made = makeField(name, value)
    this.#fields = this.#fields
      .filter((field, index) => index === at || field.name !== key)
      .map((field) => (field.name === key ? made : field))
    this.#edited = true
  }

  /** Removes every field of this name; returns how many there were. */
  delete(name: string): number {
    const before = this.#fields.length
    this.#fields = this.#fields.filter((field) => field.name !== name.toLowerCase())
    if (this.#fields.length !== before) this.#edited = true
    return before - this.#fields.length
  }

  /** Removes the fields of this name whose unfolded value fits; returns how many there were. */
  deleteWhere(name: string, fits: (value: string) => boolean): number {
    const key = name.toLowerCase()
    if (!this.#fields.some((field) => field.name === key)) return 0
    const kept = this.#fields.filter((field) => field.name !== key || !fits(unfold(field.raw)))
    const removed = this.#fields.length - kept.length
    this.#fields = kept
    if (removed > 0) this.#edited = true
    return removed
  }

  /** Takes over all fields of another header. */
  assign(other: HeaderBlock): void {
    this.#fields = other.#fields
    this.#edited = true
  }

  /** An independent copy, for one recipient's edits. */
  copy(): HeaderBlock {
    const copy = new HeaderBlock('')
    copy.#fields = this.#fields
    return copy
  }

  /** The header with its final empty line. */
  toBytes(): Buffer {
    let size = END.length
    for (const { raw } of this.#fields) size += raw.length
    const bytes = Buffer.allocUnsafe(size)
    let at = 0
    for (const { raw } of this.#fields) at += bytes.write(raw, at, 'latin1')
    bytes.write(END, at, 'latin1')
    return bytes
  }
}

/** the empty line behind the last field */
const END = '\r\n'

function splitFields(text: string): Field[] {
  const fields: { name: string; raw: string }[] = []
  for (let at = 0, end = 0; at < text.length; at = end) {
    end = text.indexOf('\n', at) + 1 || text.length
    const line = text.slice(at, end)
    if (line === '\r\n' || line === '\n') break
    const last = fields.at(-1)
    if (isContinuation(line) && last !== undefined) {
      last.raw += line
      continue
    }
    fields.push({ name: nameOf(line), raw: line })
  }
  const last = fields.at(-1)
  if (last !== undefined && !last.raw.endsWith('\n')) last.raw += '\r\n'
  return fields
}

/** RFC 5322 §3.6.8, and blanks before the colon (§4.5.8). In lower case; '' for a line that is no field. */
function nameOf(line: string): string {
  let end = 0
  while (isNameCode(line.charCodeAt(end))) end++
  let colon = end
  while (line[colon] === ' ' || line[colon] === '\t') colon++
  return line[colon] === ':' ? line.slice(0, end).toLowerCase() : ''
}

/** Printable ASCII without the colon. */
function isNameCode(code: number): boolean {
  return code > 0x20 && code < 0x7f && code !== 0x3a
}

function isContinuation(line: string): boolean {
  return line.startsWith(' ') || line.startsWith('\t')
}

function unfold(raw: string): string {
  return trimBlanks(raw.slice(raw.indexOf(':') + 1).replace(/\r?\n(?=[ \t])/g, ''))
}

function makeField(name: string, value: string): Field {
  if (!/^[!-9;-~]+$/.test(name)) throw new RangeError('not a header field name')
  const before = `${name}: `
  const raw = `${before}${value}\r\n`
  // looked at where it is part of the field: text is put together once
  if (isFolded(raw, before.length, before.length + value.length)) return { name: name.toLowerCase(), raw }
  requireByteString(value)
  return { name: name.toLowerCase(), raw: `${before}${fold(value)}\r\n` }
}

function fold(value: string): string {
  const lines = value.replaceAll('\0', '').split(/[\r\n]+/)
  // a folded line of nothing but white space is not allowed (RFC 5322 §3.2.2)
  const folded = lines.map(trimBlanks).filter((line) => line !== '')
  return folded.join('\r\n\t')
}

/** Whether a part of the text is a byte string that `fold` would leave as it is: most of what we make ourselves is. */
function isFolded(text: string, start: number, end: number): boolean {
  let lineIsEmpty = true
  let endsInBlank = false
  for (let at = start; at < end; at++) {
    const code = text.charCodeAt(at)
    if (code === NUL || code > 0xff) return false
    if (code === CR || code === LF) {
      if (lineIsEmpty || endsInBlank || !text.startsWith(FOLD, at)) return false
      at += FOLD.length - 1
      lineIsEmpty = true
    } else if (isBlank(code)) {
      if (lineIsEmpty) return false
      endsInBlank = true
    } else {
      lineIsEmpty = false
      endsInBlank = false
    }
  }
  return !lineIsEmpty && !endsInBlank
}

const NUL = 0x00
const LF = 0x0a
const CR = 0x0d
const FOLD = '\r\n\t'

/**
 * Takes blanks and line ends off both ends. String's own `trim` also takes the octet 0xA0, which ends many a UTF-8
 * character; a regular expression would be quadratic in the blanks inside.
 */
function trimBlanks(text: string): string {
  let start = 0
  let end = text.length
  while (start < end && isBlank(text.charCodeAt(start))) start++
  while (end > start && isBlank(text.charCodeAt(end - 1))) end--
  return text.slice(start, end)
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09 || code === 0x0d || code === 0x0a
}

function requireByteString(text: string): void {
  if (/[^\0-\xff]/.test(text)) throw new RangeError('header text must be a byte string')
}
