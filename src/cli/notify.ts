/**
 * Tells systemd how the server is doing (sd_notify(3)), where NOTIFY_SOCKET asks for it.
 *
 * Node has no UNIX datagram sockets, so systemd's own `systemd-notify` sends the message; the unit needs
 * `NotifyAccess=all`, because it comes from another process. It never fails the server: when nothing can be sent, systemd
 * finds out by its own time-out.
 */

import { spawn } from 'node:child_process'

export type ServiceState = 'READY=1' | 'RELOADING=1' | 'STOPPING=1'

export interface NotifyOptions {
  /** default: the process's own */
  readonly env?: NodeJS.ProcessEnv
  /** milliseconds after which the helper is given up; default 5 s */
  readonly timeout?: number
}

/** Sends one state. @returns whether it was sent; never rejects */
export async function notify(state: ServiceState, options: NotifyOptions = {}): Promise<boolean> {
  const { env = process.env, timeout = 5000 } = options
  if ((env['NOTIFY_SOCKET'] ?? '') === '') return false
  const { promise, resolve } = Promise.withResolvers<boolean>()
  try {
    const child = spawn('systemd-notify', messageOf(state), {
      env,
      timeout,
      killSignal: 'SIGKILL',
      stdio: 'ignore',
    })
    child.once('error', () => resolve(false))
    child.once('exit', (code) => resolve(code === 0))
  } catch {
    resolve(false)
  }
  return await promise
}

/** Type=notify-reload wants to know since when, on the monotonic clock. */
function messageOf(state: ServiceState): string[] {
  return state === 'RELOADING=1' ? [state, `MONOTONIC_USEC=${process.hrtime.bigint() / 1000n}`] : [state]
}
