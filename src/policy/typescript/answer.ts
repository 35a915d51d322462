/** What a callout returned, put into the decision of its phase. */

import type { Decision } from '../decision.ts'
import type { MemberAnswer } from '../member.ts'
import type { AnyPhase } from '../phases.ts'
import { type AnyAnswer, isCode, isDuration, type PlainAnswer, permittedAnswers } from './verdicts.ts'

/**
 * Undefined when the value is none of the answers that the phase permits: an error of the policy. Nothing about the
 * value is believed, because policies may be written without types.
 */
export function takeAnswer(value: unknown, phase: AnyPhase, decision: Decision): MemberAnswer | undefined {
  const answer = readAnswer(value, phase)
  if (answer?.kind !== 'tarpit') return answer === undefined ? undefined : put(answer, decision)
  decision.tarpit(answer.seconds)
  return put(answer.after, decision)
}

function readAnswer(value: unknown, phase: AnyPhase): AnyAnswer | undefined {
  if (value === undefined) return { kind: 'proceed' }
  if (!isAnswer(value)) return undefined
  const permitted: readonly string[] = ['proceed', 'done', ...permittedAnswers[phase]]
  if (!permitted.includes(value.kind)) return undefined
  if (value.kind !== 'tarpit') return value
  const { after } = value
  return permitted.includes(after.kind) ? value : undefined
}

function isAnswer(value: unknown, within = false): value is AnyAnswer {
  if (typeof value !== 'object' || value === null || !('kind' in value)) return false
  const fields: Readonly<Record<string, unknown>> = { ...value }
  switch (value.kind) {
    case 'proceed':
    case 'done':
      return true
    case 'accept':
      return isCode(fields['code'], 200, 299) && typeof fields['text'] === 'string'
    case 'reject':
    case 'disconnect':
      return isCode(fields['code'], 400, 599) && typeof fields['text'] === 'string'
    case 'discard':
      return typeof fields['reason'] === 'string'
    case 'tarpit':
      return !within && isDuration(fields['seconds']) && isAnswer(fields['after'], true)
    default:
      return false
  }
}

function put(answer: PlainAnswer, decision: Decision): MemberAnswer {
  const { kind } = answer
  if (kind === 'proceed') return 'go-on'
  if (kind === 'done') return 'stop'
  if (kind === 'accept') {
    // what an earlier script refused stays refused
    if ((decision.code ?? 0) < 400) decision.reply(answer.code, byteString(answer.text))
    return 'go-on'
  }
  if (kind === 'discard') {
    const reason = byteString(answer.reason)
    decision.discard(/^[245]\d\d /.test(reason) ? reason : `550 5.7.0 ${reason}`)
    return 'final'
  }
  decision.reply(answer.code, byteString(answer.text))
  if (kind === 'disconnect') decision.close = true
  return 'final'
}

/** Replies and logs are octets. */
function byteString(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1')
}
