/**
 * A body that streams to whoever puts it into its canonical form: refused when a line has no end in sight.
 *
 * mailauth gathers a line before it looks at it, and looks at all of it again for each chunk: a message of one line
 * would cost the square of its size, and its size in memory.
 */

/** octets; RFC 5322 §2.1.1 allows 998 */
const MAX_LINE = 256 * 1024

export class LongLineError extends Error {
  constructor() {
    super(`a line of more than ${MAX_LINE} octets`)
    this.name = 'LongLineError'
  }
}

/** The same chunks. @throws LongLineError */
export async function* boundedLines(body: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  let length = 0
  for await (const chunk of body) {
    let start = 0
    for (;;) {
      const end = chunk.indexOf(10, start)
      if (end < 0) break
      if (length + end - start > MAX_LINE) throw new LongLineError()
      length = 0
      start = end + 1
    }
    length += chunk.length - start
    if (length > MAX_LINE) throw new LongLineError()
    yield chunk
  }
}
