/** Between UTF-8 and other charsets; all text is byte strings. */

const maxTables = 32
const utf8 = /^utf-?8$/i

/** Octets in a charset → UTF-8 octets. Undefined when the charset is unknown or the octets are not of it. */
export function fromCharset(octets: string, charset: string): string | undefined {
  try {
    const text = new TextDecoder(charset, { fatal: true, ignoreBOM: true }).decode(
      Buffer.from(octets, 'latin1'),
    )
    return Buffer.from(text).toString('latin1')
  } catch {
    return undefined
  }
}

/**
 * UTF-8 octets → octets in a charset. Undefined when the text is not UTF-8, when a character has no place in the
 * charset, or when the charset is not one of single octets.
 */
export function toCharset(octets: string, charset: string): string | undefined {
  if (utf8.test(charset)) return octets
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(
      Buffer.from(octets, 'latin1'),
    )
    const table = tableOf(charset)
    if (table === undefined) return undefined
    let out = ''
    for (const character of text) {
      const octet = table.get(character)
      if (octet === undefined) return undefined
      out += octet
    }
    return out
  } catch {
    return undefined
  }
}

const tables = new Map<string, ReadonlyMap<string, string> | undefined>()

/** Which octet stands for a character; undefined for charsets of more than one octet. */
function tableOf(charset: string): ReadonlyMap<string, string> | undefined {
  const name = charset.toLowerCase()
  if (!tables.has(name)) {
    if (tables.size >= maxTables) tables.clear()
    tables.set(name, makeTable(name))
  }
  return tables.get(name)
}

/** @throws RangeError for a charset that nobody knows */
function makeTable(charset: string): ReadonlyMap<string, string> | undefined {
  const table = new Map<string, string>()
  // WHATWG reads us-ascii and latin1 as windows-1252; what is written must be what was asked for
  const limit = /^(?:us-)?ascii$/.test(charset) ? 128 : 256
  const plain = /^(?:iso-?8859-1|latin1?)$/.test(charset)
  const decoder = new TextDecoder(charset, { fatal: false, ignoreBOM: true })
  for (let octet = 0; octet < limit; octet++) {
    const character = plain ? String.fromCharCode(octet) : decoder.decode(Uint8Array.of(octet))
    if (Array.from(character).length !== 1 || character === '\uFFFD') continue
    table.set(character, String.fromCharCode(octet))
  }
  return table.has('a') && table.size >= 96 && !multiByte.test(decoder.encoding) ? table : undefined
}

const multiByte = /^(?:utf-|gb|big5|euc|shift|iso-2022|replacement)/
