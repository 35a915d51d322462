/**
 * A line of the console ↔ its words. Blanks divide words; a word in double quotes may hold blanks, and there `\"` and
 * `\\` stand for the quote and the backslash.
 */

import { ConsoleError } from './answer.ts'

/** @throws ConsoleError for a quote that is not closed */
export function splitWords(line: string): readonly string[] {
  const words: string[] = []
  let rest = line.trimStart()
  while (rest !== '') {
    const match = /^(?:"(?<quoted>(?:[^"\\]|\\.)*)"|(?<plain>[^\s"]+))(?=\s|$)\s*/u.exec(rest)
    if (match?.groups === undefined) throw new ConsoleError(`a quote is not closed, or stands inside a word`)
    const { quoted, plain = '' } = match.groups
    words.push(quoted === undefined ? plain : quoted.replace(/\\(.)/gu, '$1'))
    rest = rest.slice(match[0].length)
  }
  return words
}

/** The line that `splitWords` takes apart into these words. */
export function joinWords(words: readonly string[]): string {
  return words.map((word) => (/^[^\s"]+$/u.test(word) ? word : quoteWord(word))).join(' ')
}

function quoteWord(word: string): string {
  return `"${word.replace(/["\\]/g, (found) => `\\${found}`)}"`
}
