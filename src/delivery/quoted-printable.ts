/** Quoted-printable (RFC 2045 §6.7) for text with CRLF line ends, as a byte string. */

/** what a line may have, the `=` of a soft break included */
const MAX_LINE = 76

/** Whether a text goes as it is: printable ASCII in lines that are not too long, with CRLF everywhere. */
export function isPlain(text: string): boolean {
  return !/[^\t\r\n -~]|\r(?!\n)|(?<!\r)\n|[^\r\n]{990}/.test(text)
}

export function quotedPrintable(text: string): string {
  return text.split('\r\n').map(encodeLine).join('\r\n')
}

function encodeLine(line: string): string {
  // a blank at the end of a line could be lost
  const tokens =
    line.match(/[\s\S]/g)?.map((char, index) => encodeChar(char, index === line.length - 1)) ?? []
  const lines = ['']
  for (const token of tokens) {
    const last = lines.at(-1) ?? ''
    if (last.length + token.length < MAX_LINE) lines[lines.length - 1] = last + token
    else lines.push(token)
  }
  return lines.join('=\r\n')
}

function encodeChar(char: string, isLast: boolean): string {
  if (/[!-<>-~]/.test(char) || (!isLast && (char === ' ' || char === '\t'))) return char
  return `=${char.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`
}
