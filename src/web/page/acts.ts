/** What may be done: for each act the words of a command. Nothing of a request becomes a word but names of domains and bindings. */

import { PageError } from './http.ts'

type Body = Readonly<Record<string, unknown>>

const acts: ReadonlyMap<string, (body: Body) => readonly string[]> = new Map<
  string,
  (body: Body) => readonly string[]
>([['reopen-logs', () => ['reopen', 'logs']]])

/** @throws PageError */
export function actWords(name: string, body: Body): readonly string[] {
  const act = acts.get(name)
  if (act === undefined) throw new PageError(404, 'There is no such act.')
  return act(body)
}
