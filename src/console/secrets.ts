/**
 * A command as it may be written down, in accounts, audit lines and the history of a terminal: what looks like a secret is
 * `***`. Errs on the side of hiding: a value is hidden by the name before it and by what stands in it.
 */

import { looksSecret } from '../config/secrets.ts'

const HIDDEN = '***'
const secretName = /pass|secret|token|credential|private|pin\b|auth_?key|api_?key|key_?data/i
/** `postgres://user:password@host`, `password=…` inside a value */
const insideUri = /(\b[a-z][a-z0-9+.-]*:\/\/[^\s/@:"]*:)[^\s"]+@/gi
/** `pgsql:host=…;password=…`: where such a password ends cannot be told from words that were quoted one by one */
const connectionString = /(\b(?:pgsql|mysql|odbc|ldaps?):.*?\b(?:password|passwd|pwd)\s*=\s*).*$/i
const insideValue =
  /\b((?:[\w-]*(?:pass|secret|token|credential|(?:api|auth|access)[_-]?key)[\w-]*)\s*[=:]\s*)(?:"(?:[^"\\]|\\.)*"|[^\s;,)\]}"]+)/gi
/** a word as it is typed: in quotes where it holds blanks */
const WORD = '(?:"(?:[^"\\\\]|\\\\.)*"?|\\S+)'
/** a choice of messages by what a key or a field of the header says */
const chosen = new RegExp(`(--(?:meta|header)\\s+)(${WORD})(\\s+)${WORD}`, 'gi')
const secretField = /pass|secret|token|credential|private|pin\b|key|authorization|cookie/i
/** a word that says what the next one is: of commands of scripts */
const announced = new RegExp(
  `(^|\\s)("?(?:--?)?(?:[\\w-]+[_-])?(?:password|passwd|passphrase|secret|token|api_?key)"?:?)(\\s+)${WORD}`,
  'gi',
)

/** @param line a command as typed */
export function withoutSecrets(line: string): string {
  if (/^\s*login\b/i.test(line)) return `login ${HIDDEN}`
  const masked = line
    .replace(insideUri, `$1${HIDDEN}@`)
    .replace(connectionString, `$1${HIDDEN}`)
    .replace(insideValue, `$1${HIDDEN}`)
    .replace(chosen, (whole, option: string, name: string, gap: string) =>
      secretField.test(name) ? `${option}${name}${gap}${HIDDEN}` : whole,
    )
  const setting = /^(\s*(?:json\s+)?config\s+set\s+)(.*)$/is.exec(masked)
  if (setting === null)
    return masked.replace(announced, (whole, before: string, name: string, gap: string) =>
      whole.endsWith(HIDDEN) ? whole : `${before}${name}${gap}${HIDDEN}`,
    )
  const [, head = '', rest = ''] = setting
  const words = rest.split(/(\s+)/)
  const at = words.findIndex((word) => (secretName.test(word) || looksSecret(word)) && !word.includes(HIDDEN))
  return at < 0 ? masked : `${head}${words.slice(0, at + 1).join('')} ${HIDDEN}`
}
