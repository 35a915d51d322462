/**
 * What is not shown of a configuration, whoever asks: passwords, and what holds one. Screens, transcripts and logs are
 * read by others.
 */

import type { Value } from './tree.ts'

const STARS = '***'

/** Whether an option's value is a password. @param name in lower case */
export function isSecret(name: string): boolean {
  return /(?:^|_)(?:pas|pass|passwd|passphrase|secret)$/.test(name)
}

/** The same of a name that may be mistyped. */
export function looksSecret(name: string): boolean {
  return /_pas|passw|passphrase|secret$/i.test(name)
}

/** The value of an option with every password in it replaced by stars. @param name in lower case */
export function withoutPasswords(name: string, value: Value): Value {
  switch (value.kind) {
    case 'scalar':
      return { ...value, text: isSecret(name) ? STARS : withoutPassword(value.text) }
    case 'array':
      return {
        ...value,
        items: value.items.map((item) => ({
          ...item,
          text: isSecret(name) ? STARS : withoutPassword(item.text),
        })),
      }
    case 'dictionary':
  }
  return {
    ...value,
    entries: value.entries.map(({ key, value: inner }) => ({
      key,
      value: withoutPasswords(isSecret(name) ? name : keyName(key.text), inner),
    })),
  }
}

/** `password` is a password as a key, and part of the names of options that hold none. */
function keyName(key: string): string {
  const name = key.toLowerCase()
  return name === 'password' ? 'pass' : name
}

/** Text of a connection string or a URI without its password, which may hold blanks in the one, and `@` in the other. */
function withoutPassword(text: string): string {
  const value = connectionString.test(text) ? /'(?:[^'\\]|\\.)*'|[^;]*/ : /'(?:[^'\\]|\\.)*'|[^;\s]*/
  return text
    .replaceAll(new RegExp(`(\\b(?:password|passwd|pwd)\\s*=\\s*)(?:${value.source})`, 'gi'), `$1${STARS}`)
    .replaceAll(/(:\/\/[^/@\s:]*:)\S*@/g, `$1${STARS}@`)
    .replaceAll(inQuery, `$1${STARS}`)
}

/** `https://host/path?token=…` */
const inQuery = /([?&][\w-]*(?:pass|secret|token|credential|key|signature)[\w-]*=)[^&#\s]*/gi
/** `pgsql:host=…;user=…;password=…` */
const connectionString = /^\s*\w+:(?!\/\/)/
