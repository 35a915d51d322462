/** One event, one line of JSON, as `event-keys.ts` declares it. */

import type { ConfigurationChange } from '../../events/configuration.ts'
import type {
  AuthenticationFact,
  DeliveryOutcome,
  OperatorAct,
  OperatorFact,
  OutOfBandBounce,
  Panic,
  Reception,
  Rejection,
} from '../../events/events.ts'
import { eventKeys } from './event-keys.ts'
import type { JsonKey } from './keys.ts'
import { asciiJson, time } from './text.ts'

/** Those that ec_logger and bounce_logger write down. */
export type LineEvent =
  | Reception
  | DeliveryOutcome
  | OutOfBandBounce
  | Rejection
  | Panic
  | AuthenticationFact
  | OperatorFact
  | OperatorAct
  | ConfigurationChange

/** octets that a line takes at most */
export const MAX_LINE = 64 * 1024

/** The line of an event without its line ending. */
export function jsonLine(event: LineEvent): string {
  const declared: readonly JsonKey<never>[] = lines[event.kind]
  let line = ''
  for (const { key, value } of declared) {
    const found = value(event as never)
    // keys are ours and need no escapes
    if (found !== undefined) line += `${line === '' ? '{' : ','}"${key}":${asciiJson(found)}`
  }
  return `${line}}`
}

/** A marker line. @param log whose: several may share a file @param at milliseconds since the epoch */
export function jsonHeartbeat(log: string, at: number): string {
  return asciiJson({ event: 'heartbeat', time: time(at) ?? '', log })
}

const outcome = Object.values(eventKeys.DeliveryOutcome).flat()

/** In the order of a line. */
const lines: {
  readonly [Kind in LineEvent['kind']]: readonly JsonKey<Extract<LineEvent, { kind: Kind }>>[]
} = {
  reception: Object.values(eventKeys.Reception).flat(),
  delivery: outcome,
  'transient-failure': outcome,
  'permanent-failure': outcome,
  'out-of-band-bounce': Object.values(eventKeys.OutOfBandBounce).flat(),
  rejection: Object.values(eventKeys.Rejection).flat(),
  panic: Object.values(eventKeys.Panic).flat(),
  authentication: Object.values(eventKeys.AuthenticationFact).flat(),
  operator: Object.values(eventKeys.OperatorFact).flat(),
  'operator-act': Object.values(eventKeys.OperatorAct).flat(),
  'configuration-change': Object.values(eventKeys.ConfigurationChange).flat(),
}
