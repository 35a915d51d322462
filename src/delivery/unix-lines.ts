/** CRLF → LF, as mail in a file has it on UNIX, over a message that comes in pieces. A lone CR or LF stays. */

const CR = 0x0d
const LF = 0x0a

export class UnixLines {
  /** the last octet was a CR; whether it stays depends on the next one */
  #heldCr = false

  convert(chunk: Uint8Array): Buffer {
    const out = Buffer.allocUnsafe(chunk.length + 1)
    let length = 0
    for (const octet of chunk) {
      if (this.#heldCr && octet !== LF) out[length++] = CR
      this.#heldCr = octet === CR
      if (!this.#heldCr) out[length++] = octet
    }
    return out.subarray(0, length)
  }

  /** What is left at the end: a CR that nothing followed. */
  end(): Buffer {
    const rest = Buffer.from(this.#heldCr ? [CR] : [])
    this.#heldCr = false
    return rest
  }
}
