/**
 * How hostile text gets into a line of a log: whatever a value holds, it can neither end its field nor start a line.
 *
 * Text is a byte string (one character per octet), so octets above 127 go out as they came in. What is not a byte
 * string (a file name in an error, say) goes out as UTF-8. `unescapeText` is the exact inverse.
 */

/**
 * Escapes `\`, control characters and DEL with a backslash, and also the characters in `special`.
 * Momentum documents this for the acctlog only; here one rule holds for every log.
 */
export function escapeText(text: string, special = ''): string {
  // Most values need nothing.
  if (!UNPRINTABLE.test(text) && !containsAny(text, `\\${special}`)) return text
  let escaped = ''
  for (const char of asBytes(text)) {
    if (char === '\\' || special.includes(char)) escaped += `\\${char}`
    else if (UNPRINTABLE.test(char)) escaped += namedControls.get(char) ?? `\\x${hex(char)}`
    else escaped += char
  }
  return escaped
}

/** Undoes `escapeText`. */
export function unescapeText(text: string): string {
  return text.replace(/\\(x[0-9a-f]{2}|.)/gs, (_whole, code: string) => {
    if (code.length === 3) return String.fromCharCode(Number.parseInt(code.slice(1), 16))
    return controlNames.get(code) ?? code
  })
}

/** The value in quotes unless it is plain: `word`, but `"two words"`. Empty stays empty. */
export function quoteWhenNeeded(text: string): string {
  return PLAIN.test(text) ? text : quote(text)
}

/** The value in quotes; no value can end them. */
export function quote(text: string): string {
  return `"${escapeText(text, '"')}"`
}

/** A byte string: characters that are no octets become their UTF-8 octets. */
export function asBytes(text: string): string {
  return text.replace(/[\u0100-\uffff]+/g, (wide) => Buffer.from(wide, 'utf8').toString('latin1'))
}

function containsAny(text: string, characters: string): boolean {
  for (const char of characters) if (text.includes(char)) return true
  return false
}

function hex(char: string): string {
  return char.charCodeAt(0).toString(16).padStart(2, '0')
}

/** Neither printable ASCII nor an octet above 127: a control character, DEL, or no octet at all. */
const UNPRINTABLE = /[^ -~\u0080-\u00ff]/
const PLAIN = /^[A-Za-z0-9._:/@+<>()$%&*!?;^~|-]*$/
const namedControls: ReadonlyMap<string, string> = new Map([
  ['\n', '\\n'],
  ['\r', '\\r'],
  ['\t', '\\t'],
])
const controlNames: ReadonlyMap<string, string> = new Map([
  ['n', '\n'],
  ['r', '\r'],
  ['t', '\t'],
])
