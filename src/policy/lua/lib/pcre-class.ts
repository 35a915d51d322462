/** Character classes of PCRE: `[a-z[:digit:]\d]`. */

import { escapeClass, OctetSet, posixClasses } from './octet-set.ts'
import type { PatternReader } from './pcre-reader.ts'

/** The members of the class whose `[` was read. @param fold ASCII letters count in both cases */
export function readClass(reader: PatternReader, fold: boolean): OctetSet {
  const set = new OctetSet()
  const negated = reader.peek() === '^'
  if (negated) reader.at++
  for (let first = true; ; first = false) {
    const c = reader.next()
    if (c === '') throw reader.error('missing ] at the end of a class')
    if (c === ']' && !first) break
    readItem(reader, set, c)
  }
  const folded = fold ? set.folded() : set
  return negated ? folded.inverted() : folded
}

function readItem(reader: PatternReader, set: OctetSet, c: string): void {
  if (c === '[' && /[:.=]/.test(reader.peek())) {
    const posix = /^\[:(\^?)(\w+):\]/.exec(reader.pattern.slice(reader.at - 1, reader.at + 20))
    if (posix !== null) {
      const known = posixClasses[posix[2] ?? '']
      if (known === undefined) throw reader.error(`unknown class [:${posix[2]}:]`)
      set.addAll(posix[1] === '^' ? known.inverted() : known)
      reader.at += posix[0].length - 1
      return
    }
    if (/^\[([.=])[^\]]*\1\]/.test(reader.pattern.slice(reader.at - 1, reader.at + 40)))
      throw reader.error('collating elements are not supported')
  }
  const low = readMember(reader, set, c)
  if (low === undefined) return
  const behind = reader.pattern[reader.at + 1] ?? ''
  if (reader.peek() !== '-' || behind === ']' || behind === '') {
    set.addRange(low, low)
    return
  }
  reader.at++
  const high = readMember(reader, set, reader.next())
  if (high === undefined) {
    // [a-\d]: the hyphen stands for itself
    set.addRange(low, low)
    set.addRange(45, 45)
  } else if (high < low) throw reader.error('range out of order in a class')
  else set.addRange(low, high)
}

/** The octet of a single character; undefined when it was a set and has been added. */
function readMember(reader: PatternReader, set: OctetSet, c: string): number | undefined {
  if (c !== '\\') return c.charCodeAt(0)
  const letter = reader.next()
  if (letter === '') throw reader.error('missing ] at the end of a class')
  if (letter === 'b') return 8
  if (letter === 'E' || letter === 'Q') throw reader.error(`\\${letter} in a class is not supported`)
  const known = escapeClass(letter)
  if (known !== undefined) {
    set.addAll(known)
    return undefined
  }
  if (!/[1-7]/.test(letter)) return reader.character(letter)
  const [octal = ''] = /^[0-7]{1,3}/.exec(reader.pattern.slice(reader.at - 1)) ?? []
  reader.at += octal.length - 1
  return Number.parseInt(octal, 8) & 255
}
