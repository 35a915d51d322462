/**
 * xtext (RFC 3461 §4): how a value of any octets stands in one word of an SMTP command. `+XX` is an octet in
 * hexadecimal, all other characters stand for themselves.
 */

/** The value, a byte string; undefined when the text is no xtext. Digits may be in either case, as in Postfix. */
export function decodeXtext(text: string): string | undefined {
  if (!/^(?:[!-*,-<>-~]|\+[0-9A-Fa-f]{2})*$/.test(text)) return undefined
  return text.replace(/\+(..)/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
}

/** @param value a byte string */
export function encodeXtext(value: string): string {
  return value.replace(
    /[^!-*,-<>-~]/g,
    (octet) => `+${octet.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`,
  )
}
