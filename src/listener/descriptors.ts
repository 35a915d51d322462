/**
 * How many sessions the process can hold: derived from its limit of open files.
 *
 * A server that runs out of descriptors cannot even say 421, cannot open its spool and cannot deliver. So sessions stay
 * below the limit with a reserve for everything else (design §6).
 */

import { readFileSync } from 'node:fs'

/** Assumed where the system does not say: the usual soft limit. */
const FALLBACK_LIMIT = 1024
/** `unlimited` is not a number that one can plan with. */
const HIGHEST_LIMIT = 1_048_576
/** Listening sockets, spool, logs, DNS, the process itself, and deliveries that must go on. */
const RESERVE = 128

/** The process's soft limit of open files. @param limits what `/proc/self/limits` says */
export function descriptorLimit(limits = readLimits()): number {
  const soft = /^Max open files\s+(\d+|unlimited)/m.exec(limits)?.[1]
  if (soft === undefined) return FALLBACK_LIMIT
  return soft === 'unlimited' ? HIGHEST_LIMIT : Math.min(Number(soft), HIGHEST_LIMIT)
}

export interface SessionBudget {
  readonly sessions: number
  /** set when `Max_Sessions` asks for more than the descriptors allow */
  readonly warning: string | undefined
}

/**
 * Sessions over all listeners.
 * @param configured `Max_Sessions`; 0 derives it: two descriptors per session, its socket and one for the file of a
 *   large body or for the delivery that follows
 */
export function sessionBudget(configured: number, limit: number): SessionBudget {
  const usable = Math.max(1, limit - Math.min(RESERVE, Math.floor(limit / 2)))
  if (configured === 0) return { sessions: Math.max(1, Math.floor(usable / 2)), warning: undefined }
  if (configured <= usable) return { sessions: configured, warning: undefined }
  const warning = `Max_Sessions is ${configured}, but with at most ${limit} open files only ${usable} sessions are served; raise LimitNOFILE or ulimit -n`
  return { sessions: usable, warning }
}

function readLimits(): string {
  try {
    return readFileSync('/proc/self/limits', 'latin1')
  } catch {
    return ''
  }
}
