/**
 * Sessions with hosts: one that is idle and was made under the same demands, or a new one.
 *
 * What two sessions must have in common is in one key: address, port, our name, everything that TLS rests on, who we have
 * logged in as and whom we have spoken for. A session that went on in clear is found only by who would have it so again.
 */

import { createHash } from 'node:crypto'
import type { OutboundValues } from '../../config/settings.ts'
import { ConnectionPool } from '../connection-pool.ts'
import { AttemptEnd, SmtpClient } from '../smtp-client.ts'
import { type Session, type SessionPlan, setUp } from './setup.ts'

/** A session that a message is about to be sent on. */
export interface UsableSession extends Session {
  /** messages that went over it, or were refused on it */
  readonly used: number
  /** octets that had been sent before this message */
  readonly bytesBefore: number
}

export class Sessions {
  readonly #idle = new ConnectionPool<UsableSession>()

  /** @throws SetupEnd, or the signal's reason */
  async open(plan: SessionPlan, signal: AbortSignal): Promise<UsableSession> {
    return (await this.#reuse(plan, signal)) ?? { ...(await setUp(plan, signal)), used: 0, bytesBefore: 0 }
  }

  /** Keeps it for the next message with the same plan, or ends it. */
  keep(
    session: UsableSession,
    plan: SessionPlan,
    options: Pick<OutboundValues, 'idle_timeout' | 'max_deliveries_per_connection'>,
  ): void {
    const used = session.used + 1
    const limit = options.max_deliveries_per_connection
    if (options.idle_timeout === 0 || (limit !== 0 && used >= limit)) session.connection.quit()
    else this.#idle.put(keyOf(plan), { ...session, used }, options.idle_timeout)
  }

  close(): void {
    this.#idle.close()
  }

  /** One that still answers. @throws the signal's reason */
  async #reuse(plan: SessionPlan, signal: AbortSignal): Promise<UsableSession | undefined> {
    const kept = this.#idle.take(keyOf(plan))
    if (kept === undefined) return undefined
    const { connection } = kept
    connection.resume(signal)
    try {
      await new SmtpClient(connection, plan.client).reset()
      return { ...kept, bytesBefore: connection.bytesSent }
    } catch (error) {
      connection.destroy()
      if (error instanceof AttemptEnd) return undefined
      throw error
    }
  }
}

function keyOf({ host, client, tls, login, introduction }: SessionPlan): string {
  const parts = [
    host.address,
    host.port,
    client.ehloHostname,
    tls?.key ?? '',
    login === undefined ? '' : digestOf([login.type, login.user, login.password, login.inClear]),
    introduction === undefined ? '' : [introduction.required, ...introduction.attributes],
  ]
  return JSON.stringify(parts)
}

/** Passwords do not lie about in keys. */
function digestOf(parts: readonly unknown[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex')
}
