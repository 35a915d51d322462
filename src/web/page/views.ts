/** What may be looked at: for each view the words of a command, and what the page makes of its answer. */

import type { Answer, TableAnswer } from '../../console/answer.ts'
import { dataOf } from '../../console/render.ts'
import { splitWords } from '../../console/words.ts'
import { queueOf } from './acts.ts'
import { PageError } from './http.ts'
import { rowsPage, rowsQuery } from './rows.ts'
import { verdictChart } from './verdict-chart.ts'

export interface View {
  readonly words: (query: URLSearchParams) => readonly string[]
  readonly show: (answer: Answer, query: URLSearchParams) => unknown
}

/** more rows than there are: the page cuts them itself */
const ALL = '999999'

export const views: ReadonlyMap<string, View> = new Map<string, View>([
  ['summary', data('summary')],
  ['system', data('sysinfo')],
  ['panics', data('paniclog')],
  ['processes', table('threads')],
  ['sessions', table('show', 'inbound', '-l', ALL)],
  ['handshakes', table('tls', 'sessions', '-l', ALL)],
  ['shadow', table('tls', 'shadow')],
  ['pins', table('tls', 'pins')],
  ['expiring', table('tls', 'expiring')],
  ['server-only', table('tls', 'server-only')],
  ['queue', table('mailq', '-l', ALL)],
  ['configuration', { words: () => ['config', 'tree'], show: (answer) => ({ tree: dataOf(answer) }) }],
  [
    'effective',
    {
      words: (query) => ['config', 'effective', ...scopeOf(query)],
      show: (answer, query) => rowsPage(asTable(answer), rowsQuery(query)),
    },
  ],
  [
    'messages',
    {
      words: (query) => ['showqueue', 'binding', ...queueOf(Object.fromEntries(query)), '100'],
      show: (answer) => dataOf(answer),
    },
  ],
  [
    'why',
    {
      words: (query) => ['tls', 'why', wordOf(query, 'of')],
      show: (answer) => ({ lines: answer.kind === 'document' ? answer.lines : [] }),
    },
  ],
  [
    'verdicts',
    {
      words: (query) => ['tls', 'verdicts', wordOf(query, 'minutes')],
      show: (answer, query) => verdictChart(dataOf(answer), query),
    },
  ],
])

function data(...words: readonly string[]): View {
  return {
    words: () => words,
    show: (answer) => (answer.kind === 'facts' ? { facts: answer.facts } : { data: dataOf(answer) }),
  }
}

function table(...words: readonly string[]): View {
  return { words: () => words, show: (answer, query) => rowsPage(asTable(answer), rowsQuery(query)) }
}

function asTable(answer: Answer): TableAnswer {
  if (answer.kind !== 'table') throw new TypeError(`a table was expected, not ${answer.kind}`)
  return answer
}

/** The words that lead to a scope. @throws PageError */
function scopeOf(query: URLSearchParams): readonly string[] {
  try {
    return splitWords((query.get('scope') ?? '').slice(0, 1000))
  } catch (error) {
    throw new PageError(422, 'This is no scope.', { cause: error })
  }
}

/** @throws PageError for what is no single word */
function wordOf(query: URLSearchParams, name: string): string {
  const word = (query.get(name) ?? '').trim()
  if (!/^[^\s\p{C}]{1,200}$/u.test(word)) throw new PageError(422, 'Say what to look for: one word.')
  return word
}
