/** An operator's question to the queues of all workers, which are parts of one. */

import type { QueueReports } from '../console/services.ts'
import type { QueueQuestions, QueueTopic } from '../delivery/operator/orders.ts'
import type { Crew } from './crew.ts'
import type { Questions } from './protocol.ts'

/** a million messages are gone over in slices, and what is done to them is written */
const ANSWER_MS = 30 * 60_000

export async function askQueues<T extends QueueTopic>(
  crew: Crew,
  topic: T,
  order: QueueQuestions[T]['order'],
): Promise<QueueReports<T>> {
  // topic and order belong together, and so do topic and report
  const question = { topic, order } as Questions['queue']['ask']
  const { answers, missing } = await crew.askAll('queue', question, ANSWER_MS)
  return { reports: answers, missing }
}
