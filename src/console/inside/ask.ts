/** Asking every process, and saying so where one does not answer. */

import { type Answer, ConsoleError } from '../answer.ts'
import type { ConsoleServices } from '../services.ts'
import type { InsideQuestions, InsideReports, InsideTopic } from './questions.ts'

/** @throws ConsoleError where nobody answers */
export async function askInside<T extends InsideTopic>(
  { inside }: ConsoleServices,
  topic: T,
  order: InsideQuestions[T]['order'],
): Promise<InsideReports<T>> {
  const answered = await inside.ask(topic, order)
  if (answered.reports.length === 0) throw new ConsoleError(answered.missing.join('\n'))
  return answered
}

/** A table that is not whole says so; a program must not take a part for the whole. */
export function together(answer: Extract<Answer, { kind: 'table' }>, missing: readonly string[]): Answer {
  if (missing.length === 0) return answer
  throw new ConsoleError(`only a part of the node has answered:\n${missing.join('\n')}`)
}

/** One number of all processes. */
export function sumOf<T>(all: readonly T[], value: (each: T) => number): number {
  return all.reduce((sum, each) => sum + value(each), 0)
}
