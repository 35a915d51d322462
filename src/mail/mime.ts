/**
 * The structure of a message (RFC 2045, RFC 2046): which octets of a body belong to which part.
 *
 * Text is byte strings. Strict where it costs nothing to be: depth, parts, the size of a part's header, and the octets that
 * levels go over again are bounded, and what lies beyond a bound is one opaque leaf. A multipart without its closing line,
 * or without any part, is a leaf too. One pass over the lines of each multipart.
 */

import { HeaderBlock } from './headers.ts'

/** What a header says of the content below it. */
export interface ContentFacts {
  /** `text/plain`, lower case */
  readonly type: string
  /** lower case; '' when there is none */
  readonly charset: string
  /** Content-Transfer-Encoding, lower case; `7bit` when there is none */
  readonly encoding: string
  /** from Content-Disposition, otherwise the name of Content-Type; '' when there is neither */
  readonly filename: string
  readonly attachment: boolean
  /** of a multipart, as its header says */
  readonly boundary: string | undefined
}

export interface MimePart extends ContentFacts {
  readonly headers: HeaderBlock
  /** the part's own body in the text that was parsed: its first octet, and the one behind its last */
  readonly start: number
  readonly end: number
  /** where the part's header begins; the same as `start` for the message itself */
  readonly headerStart: number
  /** of a multipart */
  readonly parts: readonly MimePart[]
}

const maxDepth = 20
const maxParts = 1000
const maxHeader = 65_536
/** octets that are looked at for boundaries, each level anew: so many times those of the body, or these */
const maxPasses = 4
const fewOctets = 4 * 1024 * 1024

export function parseMime(headers: HeaderBlock, body: string): MimePart {
  return new Parser(body).part({ headers, headerStart: 0, start: 0, end: body.length }, 0)
}

export function readContentHeader(headers: HeaderBlock): ContentFacts {
  const content = parseParameters(headers.values('content-type')[0] ?? '')
  const disposition = parseParameters(headers.values('content-disposition')[0] ?? '')
  const type = /^[!-.0-~]+\/[!-.0-~]+$/.test(content.value) ? content.value : 'text/plain'
  const filename = disposition.parameters.get('filename') ?? content.parameters.get('name') ?? ''
  const encoding = (headers.values('content-transfer-encoding')[0] ?? '').trim().toLowerCase()
  return {
    type,
    charset: (content.parameters.get('charset') ?? '').toLowerCase(),
    encoding: encoding === '' ? '7bit' : encoding,
    filename,
    attachment: disposition.value === 'attachment' || filename !== '',
    boundary: type.startsWith('multipart/') ? content.parameters.get('boundary') : undefined,
  }
}

/** All parts, a container before its parts. */
export function* walkMime(part: MimePart): Iterable<MimePart> {
  yield part
  for (const child of part.parts) yield* walkMime(child)
}

interface Span {
  readonly headers: HeaderBlock
  readonly headerStart: number
  readonly start: number
  readonly end: number
}

class Parser {
  readonly #text: string
  #count = 0
  /** octets that may still be looked at for boundaries */
  #octets: number

  constructor(text: string) {
    this.#text = text
    this.#octets = Math.max(maxPasses * text.length, fewOctets)
  }

  part(span: Span, depth: number): MimePart {
    const facts = readContentHeader(span.headers)
    const { boundary } = facts
    return {
      ...span,
      ...facts,
      parts: boundary === undefined || depth >= maxDepth ? [] : this.#children(span, boundary, depth),
    }
  }

  #children({ start, end }: Span, boundary: string, depth: number): MimePart[] {
    this.#octets -= end - start
    if (this.#octets < 0) return []
    const spans = this.#split(start, end, boundary)
    this.#count += spans.length
    if (this.#count > maxParts) return []
    return spans.flatMap(([from, to]) => {
      const span = this.#readHeader(from, to)
      return span === undefined ? [] : [this.part(span, depth + 1)]
    })
  }

  /** The text between boundary lines (RFC 2046 §5.1.1); the line end before such a line belongs to it. */
  #split(start: number, end: number, boundary: string): [number, number][] {
    const text = this.#text
    const mark = `--${boundary}`
    const spans: [number, number][] = []
    let open: number | undefined
    for (let at = start; at < end; ) {
      const newline = text.indexOf('\n', at)
      const next = newline < 0 || newline >= end ? end : newline + 1
      if (text.startsWith(mark, at)) {
        const rest = text.slice(at + mark.length, next)
        const closing = /^--[ \t]*\r?\n?$/.test(rest)
        if (closing || /^[ \t]*\r?\n?$/.test(rest)) {
          if (open !== undefined) spans.push([open, lineEndBefore(text, open, at)])
          if (closing) return spans
          if (spans.length > maxParts) return []
          open = next
        }
      }
      at = next
    }
    // truncated: what was open goes on to the end
    if (open !== undefined) spans.push([open, end])
    return spans
  }

  #readHeader(from: number, to: number): Span | undefined {
    const text = this.#text.slice(from, Math.min(to, from + maxHeader))
    // a part may have no header at all: it then begins with an empty line
    const empty = /^\r?\n/.exec(text)
    if (empty !== null) {
      return { headers: new HeaderBlock(''), headerStart: from, start: from + empty[0].length, end: to }
    }
    const gap = /\r?\n\r?\n/.exec(text)
    const length = gap === null ? text.length : gap.index + gap[0].length
    if (gap === null && from + text.length < to) return undefined
    return {
      headers: new HeaderBlock(text.slice(0, length)),
      headerStart: from,
      start: from + length,
      end: to,
    }
  }
}

function lineEndBefore(text: string, least: number, at: number): number {
  let end = at
  if (end > least && text[end - 1] === '\n') end--
  if (end > least && text[end - 1] === '\r') end--
  return end
}

interface Parameters {
  /** lower case */
  readonly value: string
  /** by name in lower case; the first of a name counts */
  readonly parameters: ReadonlyMap<string, string>
}

const maxParameters = 8192

/** `value; name=token; name="quoted"` (RFC 2045 §5.1); what cannot be read ends it. */
export function parseParameters(text: string): Parameters {
  const field = text.slice(0, maxParameters)
  const end = field.indexOf(';')
  const parameters = new Map<string, string>()
  const pattern =
    /;[ \t\r\n]*([!#-'*+.0-9A-Z^-~-]+)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\[^])*)"|([^ \t;"]+))[ \t\r\n]*/gy
  pattern.lastIndex = Math.max(0, end)
  if (end >= 0) {
    for (let found = pattern.exec(field); found !== null; found = pattern.exec(field)) {
      const name = (found[1] ?? '').toLowerCase()
      if (!parameters.has(name))
        parameters.set(name, found[2]?.replaceAll(/\\([^])/g, '$1') ?? found[3] ?? '')
    }
  }
  return { value: (end < 0 ? field : field.slice(0, end)).trim().toLowerCase(), parameters }
}
