/**
 * How many sessions and deliveries the process can hold: derived from its limit of open files.
 *
 * A server that runs out of descriptors cannot even say 421, cannot open its spool and cannot deliver. So sessions and
 * deliveries together stay below the limit, with a reserve for everything else.
 */

import { readFileSync } from 'node:fs'

/** Assumed where the system does not say: the usual soft limit. */
const FALLBACK_LIMIT = 1024
/** `unlimited` is not a number that one can plan with. */
const HIGHEST_LIMIT = 1_048_576
/** Listening sockets, spool, logs, DNS, and the process itself. */
const RESERVE = 128
/** more at once would only crowd the next hops */
const MOST_DELIVERIES = 1000
/** each has a socket or a file that it writes, and may have a body's file that it reads */
const DESCRIPTORS_EACH = 2

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

/** Deliveries under way at once: a quarter of the descriptors at most. @param limit the process's limit of open files */
export function deliveryBudget(limit = descriptorLimit()): number {
  return Math.max(1, Math.min(MOST_DELIVERIES, Math.floor(usable(limit) / 4 / DESCRIPTORS_EACH)))
}

/**
 * Sessions over all listeners.
 * @param configured `Max_Sessions`; 0 derives it: two descriptors per session, its socket and one for the file of a
 *   large body
 */
export function sessionBudget(configured: number, limit: number): SessionBudget {
  const left = Math.max(1, usable(limit) - DESCRIPTORS_EACH * deliveryBudget(limit))
  if (configured === 0)
    return { sessions: Math.max(1, Math.floor(left / DESCRIPTORS_EACH)), warning: undefined }
  if (configured <= left) return { sessions: configured, warning: undefined }
  const warning = `Max_Sessions is ${configured}, but with at most ${limit} open files only ${left} sessions are served; raise LimitNOFILE or ulimit -n`
  return { sessions: left, warning }
}

function usable(limit: number): number {
  return Math.max(1, limit - Math.min(RESERVE, Math.floor(limit / 2)))
}

function readLimits(): string {
  try {
    return readFileSync('/proc/self/limits', 'latin1')
  } catch {
    return ''
  }
}
