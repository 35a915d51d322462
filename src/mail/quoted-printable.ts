/**
 * Quoted-printable (RFC 2045 §6.7) over byte strings. What is a line end is said by whoever encodes; everything else, a
 * lone CR or LF among it, is encoded and comes back as it was.
 */

const lineLength = 76
const [TAB, LF, CR, SPACE, DOT, EQUALS] = [9, 10, 13, 32, 46, 61]
const HEX = '0123456789ABCDEF'
/** 1 for octets that stand for themselves in the midst of a line */
const isPlain = Uint8Array.from({ length: 256 }, (_, octet) =>
  octet === TAB || (octet >= SPACE && octet < 127 && octet !== EQUALS) ? 1 : 0,
)

export interface QuotedPrintableOptions {
  /** `crlf`: that alone, as mail on its way has it; `any`: CRLF and LF, both become CRLF */
  readonly lineEnds: 'crlf' | 'any'
  /** a dot at the start of a line that the encoding made is doubled (RFC 5321 §4.5.2) */
  readonly stuff?: boolean
}

/**
 * Lines of at most 76 characters with CRLF between them; line ends of the text stay line ends. Octet by octet in one
 * buffer: a body may have millions, and nothing else is done meanwhile.
 */
export function encodeQuotedPrintable(
  text: string,
  { lineEnds, stuff = false }: QuotedPrintableOptions,
): string {
  const from = Buffer.from(text, 'latin1')
  // at worst each octet takes three, and each line of 75 a soft break and a second dot
  const to = Buffer.allocUnsafe(Math.ceil(from.length * 3 * (1 + 4 / 72)) + 4)
  let at = 0
  let column = 0
  for (let i = 0; i < from.length; i++) {
    const octet = from[i] ?? 0
    const ends = lineEndAt(from, i, lineEnds)
    if (ends > 0) {
      to[at++] = CR
      to[at++] = LF
      column = 0
      i += ends - 1
      continue
    }
    const plain = isPlain[octet] === 1 && !(isBlank(octet) && endsLine(from, i + 1, lineEnds))
    const width = plain ? 1 : 3
    // room for the soft line break
    if (column + width > lineLength - 1) {
      to[at++] = EQUALS
      to[at++] = CR
      to[at++] = LF
      column = 0
      if (stuff && octet === DOT) {
        to[at++] = DOT
        column = 1
      }
    }
    if (plain) to[at++] = octet
    else {
      to[at++] = EQUALS
      to[at++] = HEX.charCodeAt(octet >> 4)
      to[at++] = HEX.charCodeAt(octet & 15)
    }
    column += width
  }
  return to.toString('latin1', 0, at)
}

/** How many octets of a line end stand here; 0: none. */
function lineEndAt(bytes: Buffer, at: number, lineEnds: QuotedPrintableOptions['lineEnds']): 0 | 1 | 2 {
  const octet = bytes[at]
  if (octet === CR && bytes[at + 1] === LF) return 2
  return octet === LF && lineEnds === 'any' ? 1 : 0
}

function endsLine(bytes: Buffer, at: number, lineEnds: QuotedPrintableOptions['lineEnds']): boolean {
  return at === bytes.length || lineEndAt(bytes, at, lineEnds) > 0
}

const isBlank = (octet: number): boolean => octet === SPACE || octet === TAB

/** Whether a text goes as it is: printable ASCII in lines that are not too long, with CRLF everywhere. */
export function isPlainText(text: string): boolean {
  return !/[^\t\r\n -~]|\r(?!\n)|(?<!\r)\n|[^\r\n]{990}/.test(text)
}

/** Undefined when a `=` stands for nothing. Blanks at the end of a line are taken away, as §6.7 (3) asks. */
export function decodeQuotedPrintable(text: string): string | undefined {
  const out: string[] = []
  const lines = text.split('\n')
  for (const [index, whole] of lines.entries()) {
    const final = index === lines.length - 1
    const ended = !final && whole.endsWith('\r')
    const line = withoutBlanks(ended ? whole.slice(0, -1) : whole)
    const soft = line.endsWith('=')
    const body = soft ? line.slice(0, -1) : line
    if (/=(?![0-9A-Fa-f]{2})/.test(body)) return undefined
    out.push(
      body.replaceAll(/=([0-9A-Fa-f]{2})/g, (_, hex: string) =>
        String.fromCharCode(Number.parseInt(hex, 16)),
      ),
    )
    if (!soft && !final) out.push(ended ? '\r\n' : '\n')
  }
  return out.join('')
}

/** A pattern would try every blank of a long run. */
function withoutBlanks(line: string): string {
  let end = line.length
  while (end > 0 && (line[end - 1] === ' ' || line[end - 1] === '\t')) end--
  return line.slice(0, end)
}
