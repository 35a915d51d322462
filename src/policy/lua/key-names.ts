/**
 * What is to be said about the context keys that a script reads by a literal name: one that nobody sets and that is
 * close to a predefined one reads as '' for ever, and a check that rests on it never fires.
 */

import { nearest } from '../../config/edit-distance.ts'
import { connectionKeys, messageKeys } from '../context-names.ts'
import type { Finding } from './scripts.ts'

const selector = String.raw`[\w.]*?(?:VCTX|ECMESS_CTX)_(CONN|MESS)\s*,\s*(["'])([^"'\\\r\n]{1,100})\2`
const reading = new RegExp(
  String.raw`:\s*(?:get|context_get|context_exists|context_exists_and_get)\s*\(\s*${selector}`,
  'g',
)
const writing = new RegExp(String.raw`:\s*(?:set|context_set)\s*\(\s*${selector}`, 'g')

/** keys shorter than this are too close to too many */
const shortest = 4
const maxText = 1_048_576

/** @param text a script, byte string. @param file as messages name it */
export function judgeKeys(text: string, file: string): Finding[] {
  const source = withoutComments(text.slice(0, maxText))
  const written = new Set([...source.matchAll(writing)].map(([, , , key = '']) => key))
  return [...source.matchAll(reading)].flatMap(({ 1: dictionary, 3: key = '', index }): Finding[] => {
    const [own, other] = dictionary === 'CONN' ? [connectionKeys, messageKeys] : [messageKeys, connectionKeys]
    if (own.includes(key) || written.has(key) || key.length < shortest) return []
    const line = source.slice(0, index).split('\n').length
    const where = `${file}:${line}: the key "${key}"`
    if (other.includes(key)) {
      const place =
        dictionary === 'CONN'
          ? 'message, not in that of the connection'
          : 'connection, not in that of the message'
      return [{ severity: 'warning', message: `${where} is in the context of the ${place}` }]
    }
    const meant = nearest(key, own)
    if (meant === undefined) return []
    return [{ severity: 'warning', message: `${where} is set by nobody; did you mean "${meant}"?` }]
  })
}

/** Comments become blanks; lines stay where they are. Good enough for a hint: long strings are not looked at. */
function withoutComments(text: string): string {
  return text
    .replaceAll(/--\[\[[^]*?\]\]/g, (comment) => comment.replaceAll(/[^\n]/g, ' '))
    .replaceAll(/--[^\r\n]*/g, '')
}
