/**
 * A message → the octets after DATA: doubles dots at line starts and adds the end (RFC 5321 §4.5.2); or those of BDAT.
 *
 * The inverse of `DataDecoder` for every message with proper line ends. A lone CR or LF becomes CRLF, so that whatever
 * is in a message, the next hop cannot be made to see an end of data in the middle of it, however lax it is.
 */

const CRLF = '\r\n'

export class DataEncoder {
  readonly #form: 'data' | 'chunks'
  #lineStart = true
  /** the last octet was a CR that was held back: what becomes of it depends on the next one */
  #heldCr = false

  /** @param form `chunks`: for BDAT (RFC 3030), which has neither dots nor an end */
  constructor(form: 'data' | 'chunks' = 'data') {
    this.#form = form
  }

  /** The octets to send for this piece of the message: the piece itself where nothing has to change. */
  encode(chunk: Buffer): Buffer {
    if (chunk.length === 0) return chunk
    // as in the decoder, a string is searched faster than a Buffer, copy included
    const text = chunk.toString('latin1')
    const edit = new Edit(chunk, text)
    let at = this.#releaseCr(text, edit)
    let cr = -1
    let lf = -1
    while (at < text.length) {
      if (this.#form === 'data' && this.#lineStart && text[at] === '.') edit.replace(at, at, '.')
      if (cr < at) cr = find(text, '\r', at)
      if (lf < at) lf = find(text, '\n', at)
      const end = Math.min(cr, lf)
      this.#lineStart = end < text.length
      if (!this.#lineStart) break
      if (cr === end && cr === text.length - 1) {
        edit.replace(cr, cr + 1, '')
        this.#heldCr = true
        break
      }
      if (lf !== cr + 1) edit.replace(end, end + 1, CRLF)
      at = lf === cr + 1 ? lf + 1 : end + 1
    }
    return edit.result()
  }

  /** The octets that end the message; the line end before the dot is added where the message lacks it. */
  end(): Buffer {
    const lineEnd = this.#lineStart && !this.#heldCr ? '' : '\r\n'
    return Buffer.from(this.#form === 'data' ? `${lineEnd}.\r\n` : lineEnd)
  }

  /** Puts the line end out to which the held CR belongs; where to go on. */
  #releaseCr(text: string, edit: Edit): number {
    if (!this.#heldCr) return 0
    this.#heldCr = false
    const own = text.startsWith('\n') ? 1 : 0
    edit.replace(0, own, CRLF)
    return own
  }
}

/** A chunk with changes, made left to right; without any it comes back as it is. */
class Edit {
  readonly #chunk: Buffer
  readonly #text: string
  #done = ''
  #kept = 0
  #changed = false

  constructor(chunk: Buffer, text: string) {
    this.#chunk = chunk
    this.#text = text
  }

  replace(from: number, to: number, by: string): void {
    this.#done += this.#text.slice(this.#kept, from) + by
    this.#kept = to
    this.#changed = true
  }

  result(): Buffer {
    return this.#changed ? Buffer.from(this.#done + this.#text.slice(this.#kept), 'latin1') : this.#chunk
  }
}

function find(text: string, character: string, from: number): number {
  const found = text.indexOf(character, from)
  return found < 0 ? text.length : found
}
