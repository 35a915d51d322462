/**
 * Daily reports about TLS with the hosts of domains that have a policy (RFC 8460 §4): counts of sessions, by domain,
 * policy and day in UTC, and what went wrong how often.
 *
 * A report is one line of JSON in printable ASCII, whatever a host has said. Bounded: so many domains and so many kinds
 * of failure each; what is beyond is counted in the sums alone, or not at all.
 */

import type { TlsPolicyFacts, TlsSessionFact } from '../events/outbound-tls.ts'

interface Failure {
  readonly fact: TlsSessionFact
  count: number
}

interface Counted {
  readonly day: number
  readonly policy: TlsPolicyFacts
  readonly since: number
  until: number
  successes: number
  failures: number
  readonly details: Map<string, Failure>
}

const DAY = 86_400_000
const MAX_POLICIES = 10_000
const MAX_DETAILS = 100
const MAX_REASON = 500

export class TlsReports {
  readonly #counted = new Map<string, Counted>()

  record(fact: TlsSessionFact): void {
    const { at, policy, failure } = fact
    const day = Math.floor(at / DAY)
    const key = JSON.stringify([day, policy.domain, policy.type, policy.strings])
    let entry = this.#counted.get(key)
    if (entry === undefined) {
      if (this.#counted.size >= MAX_POLICIES) return
      entry = { day, policy, since: at, until: at, successes: 0, failures: 0, details: new Map() }
      this.#counted.set(key, entry)
    }
    entry.until = Math.max(entry.until, at)
    if (failure === undefined) {
      entry.successes += 1
      return
    }
    entry.failures += 1
    const kind = JSON.stringify([failure, fact.receivingHost, fact.receivingIp, fact.sendingIp])
    const known = entry.details.get(kind)
    if (known !== undefined) known.count += 1
    else if (entry.details.size < MAX_DETAILS) entry.details.set(kind, { fact, count: 1 })
  }

  /**
   * The reports of days that are over at `now`, or of all, and forgets them.
   * @param organization who reports @param now milliseconds since the epoch
   */
  take(organization: string, now: number, which: 'over' | 'all'): string[] {
    const today = Math.floor(now / DAY)
    const due = [...this.#counted].filter(([, { day }]) => which === 'all' || day !== today)
    return due.map(([key, entry]) => {
      this.#counted.delete(key)
      return line(report(organization, entry))
    })
  }

  clear(): void {
    this.#counted.clear()
  }
}

function report(organization: string, entry: Counted): unknown {
  const { policy, since, until, successes, failures, details } = entry
  return {
    'organization-name': organization,
    'date-range': { 'start-datetime': time(since), 'end-datetime': time(until) },
    'report-id': `${time(since)}_${policy.type}_${policy.domain}`,
    policies: [
      {
        policy: {
          'policy-type': policy.type,
          'policy-string': policy.strings,
          'policy-domain': policy.domain,
          'mx-host': policy.mxHosts,
        },
        summary: { 'total-successful-session-count': successes, 'total-failure-session-count': failures },
        ...(details.size === 0 ? {} : { 'failure-details': [...details.values()].map(detail) }),
      },
    ],
  }
}

function detail({ fact, count }: Failure): unknown {
  return {
    'result-type': fact.failure,
    'sending-mta-ip': fact.sendingIp,
    'receiving-mx-hostname': fact.receivingHost,
    'receiving-ip': fact.receivingIp,
    'failed-session-count': count,
    'failure-reason-code': fact.reason.slice(0, MAX_REASON),
  }
}

function time(at: number): string {
  return `${new Date(at).toISOString().slice(0, 19)}Z`
}

function line(value: unknown): string {
  return JSON.stringify(value).replace(/[^ -~]/g, escaped)
}

function escaped(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`
}
