/**
 * What the end of a program means for a message: what `Code` says of its status, else sysexits.h. Statuses that speak of
 * the message or its recipient are final; whatever else goes wrong may be better the next time.
 */

import type { PipeSettings } from '../../config/settings-delivery.ts'
import { firstLine } from '../said.ts'
import { type AttemptResult, type Stage, stages } from '../transport.ts'
import type { ProgramEnd } from './run-program.ts'

type Answer = Pick<AttemptResult, 'kind' | 'stage' | 'text'>

/** sysexits.h: EX_DATAERR, EX_NOUSER, EX_NOHOST, EX_UNAVAILABLE, EX_NOPERM */
const finalStatuses: Readonly<Record<number, string>> = {
  65: '554 5.6.0',
  67: '550 5.1.1',
  68: '550 5.1.2',
  69: '554 5.3.0',
  77: '554 5.7.0',
}

export function answerOf(pipe: Pick<PipeSettings, 'name' | 'code' | 'timeout'>, end: ProgramEnd): Answer {
  const said = firstLine(end.output)
  const tail = said === '' ? '' : `: ${said}`
  const program = `the program of pipe_transport "${pipe.name}"`
  if (end.kind === 'exited') return ofStatus(pipe, end.status, { program, tail })
  if (end.kind === 'not-started')
    return transient(stages.notConnected, `451 4.3.5 [internal] ${program} cannot be started (${end.reason})`)
  const why =
    end.kind === 'killed'
      ? `451 4.3.0 [internal] ${program} was ended by ${end.by}`
      : `451 4.4.2 [internal] ${program} took longer than ${pipe.timeout} s`
  return transient(stages.sendingBody, `${why}${tail}`)
}

function ofStatus(
  pipe: Pick<PipeSettings, 'name' | 'code'>,
  status: number,
  { program, tail }: { readonly program: string; readonly tail: string },
): Answer {
  const stage = stages.confirmation
  const mapped = pipe.code[String(status)]
  if (mapped !== undefined) return { kind: kindOf(mapped), stage, text: mapped }
  if (status === 0) {
    const text = `250 2.0.0 [internal] Delivered to pipe_transport "${pipe.name}"${tail}`
    return { kind: 'delivered', stage, text }
  }
  const final = finalStatuses[status]
  const text = `${final ?? '451 4.3.0'} [internal] ${program} gave exit status ${status}${tail}`
  return { kind: final === undefined ? 'transient' : 'permanent', stage, text }
}

function transient(stage: Stage, text: string): Answer {
  return { kind: 'transient', stage, text }
}

function kindOf(reply: string): Answer['kind'] {
  return reply.startsWith('2') ? 'delivered' : reply.startsWith('5') ? 'permanent' : 'transient'
}
