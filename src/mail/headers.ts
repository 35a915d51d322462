/**
 * A message's header as a list of fields that can be read and edited without touching what was not edited.
 *
 * Text is a byte string (one character per octet). A value that is set can never start a new field: its line breaks
 * become folding white space (RFC 5322 §2.2.3).
 */

interface Field {
  /** lower case */
  readonly name: string
  /** as received or made: `Name: value CRLF`, folded lines included */
  readonly raw: string
}

export class HeaderBlock {
  #fields: Field[]
  #edited = false

  /**
   * @param text the header with its line endings, with or without the final empty line. A line that is no field and
   *   no continuation is kept as it is, under the name ''.
   */
  constructor(text: string) {
    this.#fields = splitFields(text)
  }

  /** whether anything was changed since construction */
  get edited(): boolean {
    return this.#edited
  }

  /** How many fields have this name (any case). */
  count(name: string): number {
    const key = name.toLowerCase()
    return this.#fields.reduce((n, field) => (field.name === key ? n + 1 : n), 0)
  }

  /** The unfolded values of all fields of this name, top first. */
  values(name: string): string[] {
    const key = name.toLowerCase()
    return this.#fields.filter((field) => field.name === key).map((field) => unfold(field.raw))
  }

  /** Puts a field on top. */
  prepend(name: string, value: string): void {
    this.#edited = true
    this.#fields.unshift(makeField(name, value))
  }

  /** Puts a field at the end. */
  append(name: string, value: string): void {
    this.#edited = true
    this.#fields.push(makeField(name, value))
  }

  /** Replaces the first field of this name and removes the others; appends when there is none. */
  replace(name: string, value: string): void {
    const key = name.toLowerCase()
    const at = this.#fields.findIndex((field) => field.name === key)
    if (at < 0) {
      this.append(name, value)
      return
    }
    this.#edited = true
    this.#fields = this.#fields.filter((field, index) => index === at || field.name !== key)
    this.#fields[this.#fields.findIndex((field) => field.name === key)] = makeField(name, value)
  }

  /** Removes every field of this name; returns how many there were. */
  delete(name: string): number {
    const before = this.#fields.length
    this.#fields = this.#fields.filter((field) => field.name !== name.toLowerCase())
    if (this.#fields.length !== before) this.#edited = true
    return before - this.#fields.length
  }

  /** An independent copy, for one recipient's edits. */
  copy(): HeaderBlock {
    return new HeaderBlock(this.#fields.map((field) => field.raw).join(''))
  }

  /** The header with its final empty line. */
  toBytes(): Buffer {
    return Buffer.from(`${this.#fields.map((field) => field.raw).join('')}\r\n`, 'latin1')
  }
}

function splitFields(text: string): Field[] {
  const fields: Field[] = []
  for (const [line] of text.matchAll(/[^\n]*\n|[^\n]+$/g)) {
    if (line === '\r\n' || line === '\n') break
    const last = fields.at(-1)
    if ((line.startsWith(' ') || line.startsWith('\t')) && last !== undefined) {
      fields[fields.length - 1] = { name: last.name, raw: last.raw + line }
      continue
    }
    const name = /^([!-9;-~]+)[ \t]*:/.exec(line)?.[1] ?? ''
    fields.push({ name: name.toLowerCase(), raw: line.endsWith('\n') ? line : `${line}\r\n` })
  }
  return fields
}

function unfold(raw: string): string {
  return raw.slice(raw.indexOf(':') + 1).replace(/\r?\n(?=[ \t])/g, '').trim()
}

function makeField(name: string, value: string): Field {
  if (!/^[!-9;-~]+$/.test(name)) throw new RangeError('not a header field name')
  const folded = value.replace(/[\r\n]+[ \t]*(?=.)/gs, '\r\n\t').replace(/[\r\n]+$/, '').replaceAll('\0', '')
  return { name: name.toLowerCase(), raw: `${name}: ${folded}\r\n` }
}
