/**
 * The `key=value, key="value"` lists of DIGEST-MD5 (RFC 2831 §7.1). Strict: what is not of this form, or says the same
 * thing twice, is not read at all.
 */

/** octets; RFC 2831 §2.1.2 */
const MAX_RESPONSE = 4096

/** Keys in lower case, values without their quotes; undefined when the text is no such list. */
export function parseDirectives(text: string): ReadonlyMap<string, string> | undefined {
  if (text.length > MAX_RESPONSE) return undefined
  const directives = new Map<string, string>()
  const pattern =
    /[\s,]*(?<key>[!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*=\s*(?:"(?<quoted>(?:[^"\\\0]|\\[^\0])*)"|(?<token>[!#$%&'*+.^_`|~0-9A-Za-z/:@-]+))\s*(?=,|$)/y
  while (pattern.lastIndex < text.length) {
    const groups = pattern.exec(text)?.groups
    if (groups === undefined) return undefined
    const key = (groups['key'] ?? '').toLowerCase()
    if (directives.has(key)) return undefined
    directives.set(key, groups['quoted']?.replace(/\\([^])/g, '$1') ?? groups['token'] ?? '')
    if (/^[\s,]*$/.test(text.slice(pattern.lastIndex))) break
  }
  return directives
}

/** A quoted string (RFC 2831 §7.1). */
export function quoted(text: string): string {
  return `"${text.replace(/["\\]/g, '\\$&')}"`
}
