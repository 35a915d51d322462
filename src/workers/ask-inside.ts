/** An operator's question to the insides of all workers, and of the supervisor itself. */

import type { InsideQuestions, InsideTopic, InsideView, ProcessReport } from '../console/inside/questions.ts'
import { processFigures } from '../operator/inside.ts'
import type { Crew } from './crew.ts'
import type { Questions } from './protocol.ts'

/** a name server, or a web server with a policy, may take its time */
const ANSWER_MS = 30_000

export function insideOf(crew: Crew): InsideView {
  return {
    ask: async <T extends InsideTopic>(topic: T, order: InsideQuestions[T]['order']) => {
      // topic and order belong together, and so do topic and report
      const question = { topic, order } as Questions['inside']['ask']
      const { answers, missing } = await crew.askAll('inside', question, ANSWER_MS)
      const reports = answers as readonly InsideQuestions[T]['report'][]
      if (topic !== 'process') return { reports, missing }
      const processes = withSupervisor(reports as readonly ProcessReport[], crew)
      return { reports: processes, missing }
    },
  }
}

function withSupervisor(workers: readonly ProcessReport[], crew: Crew): readonly ProcessReport[] {
  const own = { ...processFigures(), role: 'supervisor', sessions: 0, received: 0, delivered: 0, restarts: 0 }
  return [own, ...workers.map((report) => ({ ...report, restarts: crew.restartsOf(report.pid) }))]
}
