/**
 * Quoted-printable (RFC 2045 §6.7) over byte strings. What is a line end is said by whoever encodes; everything else, a
 * lone CR or LF among it, is encoded and comes back as it was.
 */

const lineLength = 76

export interface QuotedPrintableOptions {
  /** `crlf`: that alone, as mail on its way has it; `any`: CRLF and LF, both become CRLF */
  readonly lineEnds: 'crlf' | 'any'
  /** a dot at the start of a line that the encoding made is doubled (RFC 5321 §4.5.2) */
  readonly stuff?: boolean
}

/** Lines of at most 76 characters with CRLF between them; line ends of the text stay line ends. */
export function encodeQuotedPrintable(
  text: string,
  { lineEnds, stuff = false }: QuotedPrintableOptions,
): string {
  const lines = text.split(lineEnds === 'crlf' ? '\r\n' : /\r?\n/)
  return lines.map((line) => encodeLine(line, stuff)).join('\r\n')
}

/** Whether a text goes as it is: printable ASCII in lines that are not too long, with CRLF everywhere. */
export function isPlainText(text: string): boolean {
  return !/[^\t\r\n -~]|\r(?!\n)|(?<!\r)\n|[^\r\n]{990}/.test(text)
}

function encodeLine(line: string, stuff: boolean): string {
  const pieces: string[] = []
  let piece = ''
  for (let i = 0; i < line.length; i++) {
    const token = encodeOctet(line.charCodeAt(i), i === line.length - 1)
    // room for the soft line break
    if (piece.length + token.length > lineLength - 1) {
      pieces.push(piece)
      piece = ''
    }
    if (piece === '' && pieces.length > 0 && stuff && token === '.') piece = '.'
    piece += token
  }
  pieces.push(piece)
  return pieces.join('=\r\n')
}

/** Every octet as it is written in the midst of a line; made once, since a body has millions. */
const tokens: readonly string[] = Array.from({ length: 256 }, (_, octet) =>
  (octet > 32 && octet < 127 && octet !== 61) || octet === 32 || octet === 9
    ? String.fromCharCode(octet)
    : escapeOctet(octet),
)

function encodeOctet(octet: number, last: boolean): string {
  return last && (octet === 32 || octet === 9) ? escapeOctet(octet) : (tokens[octet] ?? '')
}

function escapeOctet(octet: number): string {
  return `=${octet.toString(16).toUpperCase().padStart(2, '0')}`
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
