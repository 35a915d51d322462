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
  /** recipients that were asked for on it */
  readonly recipients: number
  /** octets that had been sent before this message */
  readonly bytesBefore: number
}

/** What a session is used for. */
interface Use {
  readonly recipients: number
  readonly options: Pick<
    OutboundValues,
    'idle_timeout' | 'max_deliveries_per_connection' | 'max_recipients_per_connection'
  >
}

export class Sessions {
  readonly #idle = new ConnectionPool<UsableSession>()

  /** @throws SetupEnd, or the signal's reason */
  async make(plan: SessionPlan, signal: AbortSignal): Promise<UsableSession> {
    return { ...(await setUp(plan, signal)), used: 0, recipients: 0, bytesBefore: 0 }
  }

  /** Keeps it for the next message with the same plan, or ends it. */
  keep(session: UsableSession, plan: SessionPlan, { recipients: asked, options }: Use): void {
    const used = session.used + 1
    const recipients = session.recipients + asked
    const { max_deliveries_per_connection: messages, max_recipients_per_connection: most } = options
    const isSpent = (messages !== 0 && used >= messages) || (most !== 0 && recipients >= most)
    if (options.idle_timeout === 0 || isSpent) session.connection.quit()
    else this.#idle.put(keyOf(plan), { ...session, used, recipients }, options.idle_timeout)
  }

  close(): void {
    this.#idle.close()
  }

  /** One that still answers, and takes so many recipients more. @throws the signal's reason */
  async reuse(
    plan: SessionPlan,
    { recipients, options }: Use,
    signal: AbortSignal,
  ): Promise<UsableSession | undefined> {
    const kept = this.#idle.take(keyOf(plan))
    if (kept === undefined) return undefined
    const { connection } = kept
    const most = options.max_recipients_per_connection
    if (most !== 0 && kept.recipients + recipients > most) {
      connection.quit()
      return undefined
    }
    connection.resume(signal)
    connection.transcript = plan.trace?.()
    connection.transcript?.note('a connection that was used before')
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

function keyOf({ host, from, client, tls, login, introduction }: SessionPlan): string {
  const parts = [
    host.address,
    host.port,
    from ?? '',
    client.ehloHostname,
    client.method,
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
