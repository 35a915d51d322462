/**
 * Everything that the spool holds, handed to the queue piece by piece, so that a start with a million messages holds up
 * neither sessions nor the first deliveries.
 *
 * A bounce whose message is still there waits for it to go: after a kill in between it is not made a second time. So
 * messages that failed come last, when all bounces are known.
 */

import type { Spool, StoredMessage } from '../spool/spool.ts'
import { bouncedId, delayNoticeOf } from './notices/due.ts'

export type Recovered =
  | { readonly kind: 'due'; readonly message: StoredMessage }
  /** a notice of delay that its message may not count yet */
  | { readonly kind: 'late'; readonly message: StoredMessage; readonly about: string }
  | { readonly kind: 'failed'; readonly message: StoredMessage; readonly bounce: StoredMessage | undefined }

export interface RecoveryHost {
  take(recovered: Recovered): void
  /** A piece is done: others may work before the next one. */
  pause(): void
  stopped(): boolean
  /** messages that are handed over at once (Disk_Queue_Drain_Rate) */
  readonly piece: number
}

export async function recover(spool: Spool, host: RecoveryHost): Promise<void> {
  const failed: string[] = []
  /** by the id of the message that they are about */
  const bounces = new Map<string, StoredMessage>()
  const late: StoredMessage[] = []
  let count = 0
  const piece = async (): Promise<void> => {
    count++
    if (count % host.piece !== 0) return
    host.pause()
    await new Promise(setImmediate)
  }
  for (const message of spool.messages()) {
    if (host.stopped()) return
    const { envelope, state } = message
    const about = bouncedId(envelope)
    if (state.failed) failed.push(envelope.id)
    else if (about !== undefined && spool.contentKey(about) !== undefined && !bounces.has(about))
      bounces.set(about, message)
    else if (delayNoticeOf(envelope) !== undefined) late.push(message)
    else host.take({ kind: 'due', message })
    await piece()
  }
  for (const id of failed) {
    if (host.stopped()) return
    const message = await spool.message(id)
    const bounce = bounces.get(id)
    if (message === undefined) continue
    bounces.delete(id)
    host.take({ kind: 'failed', message, bounce })
    await piece()
  }
  for (const message of bounces.values()) host.take({ kind: 'due', message })
  for (const notice of late) {
    if (host.stopped()) return
    host.take(await lateOrDue(spool, notice))
    await piece()
  }
  host.pause()
}

async function lateOrDue(spool: Spool, notice: StoredMessage): Promise<Recovered> {
  const due: Recovered = { kind: 'due', message: notice }
  const about = delayNoticeOf(notice.envelope)
  if (about === undefined) return due
  const message = await spool.message(about.id)
  if (message === undefined || message.state.failed) return due
  if ((message.state.delayNotices ?? 0) >= about.number) return due
  return { kind: 'late', message: notice, about: about.id }
}
