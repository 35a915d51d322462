/**
 * One listening socket: bound, or a sentence that says why not.
 *
 * - Sockets are handed over paused: whoever reads first sees every byte, as a TLS handshake must.
 * - `allowHalfOpen`: a client may shut down its sending side after QUIT or the final dot and still wait for the reply.
 *   Whoever holds the connection ends it; the idle time-out is the backstop.
 * - Keepalive finds partners that vanished, also where `Idle_Time` is 0.
 * - The path of a UNIX socket is cleared only of a socket on which nobody answers. What is not a socket is never removed.
 */

import { chmodSync, existsSync, lstatSync, unlinkSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { dirname } from 'node:path'
import { isMainThread } from 'node:worker_threads'
import type { Planned, Target } from './targets.ts'

const KEEPALIVE_AFTER_MS = 120_000
const PROBE_TIMEOUT_MS = 1000

/** A socket could not be bound. The message names the address and the reason. */
export class BindError extends Error {
  readonly code: string | undefined

  constructor(message: string, options: { readonly code?: string | undefined; readonly cause?: unknown }) {
    super(message, { cause: options.cause })
    this.name = 'BindError'
    this.code = options.code
  }
}

export interface BindPlan extends Planned {
  /** the socket is another process's, which cleared its path and shares it (node:cluster) */
  readonly shared?: boolean
}

/** Binds and listens. @throws BindError */
export async function bind(planned: BindPlan, onSocket: (socket: Socket) => void): Promise<Server> {
  const { target, listen, shared = false } = planned
  const { listen_backlog: backlog, disable_nagle_algorithm: noDelay } = listen.scope.options
  if (target.kind === 'unix' && !shared) await clearStaleSocket(target.path)
  // Replies are whole writes, so Nagle's algorithm saves nothing and can hold a reply back until the client's delayed
  // acknowledgement. It is on only where somebody wrote `Disable_Nagle_Algorithm = false`.
  const immediate = noDelay || listen.scope.origin('disable_nagle_algorithm') === 'default'
  const open = (): Server =>
    createServer(
      {
        pauseOnConnect: true,
        allowHalfOpen: true,
        noDelay: immediate,
        keepAlive: true,
        keepAliveInitialDelay: KEEPALIVE_AFTER_MS,
      },
      onSocket,
    )
  try {
    return await listenOn(open(), target, backlog)
  } catch (error) {
    if (target.kind === 'tcp' && target.fallbackHost !== undefined && lacksIpv6(error)) {
      return await listenOn(open(), { ...target, host: target.fallbackHost }, backlog).catch(
        (cause: unknown) => {
          throw explain(cause, listen.instance)
        },
      )
    }
    throw explain(error, listen.instance)
  }
}

/** Gives a UNIX socket the mode of its configuration. */
export function applyFileMode(target: Target): void {
  if (target.kind === 'unix') chmodSync(target.path, target.mode)
}

async function listenOn(server: Server, target: Target, backlog: number): Promise<Server> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  server.once('listening', resolve)
  server.once('error', reject)
  if (target.kind === 'unix') {
    listenOnPath(server, target.path, backlog)
  } else {
    server.listen({ host: target.host, port: target.port, ipv6Only: target.ipv6Only, backlog })
  }
  await promise
  server.off('error', reject)
  try {
    applyFileMode(target)
  } catch (error) {
    server.close()
    throw error
  }
  return server
}

/**
 * Nobody but the owner can connect before the mode of the configuration is set: the system takes the umask for the
 * mode of a new socket, and the socket is made before this returns. Where the umask cannot be set (in a thread that is
 * not the main one) the one of the process holds until then.
 */
function listenOnPath(server: Server, path: string, backlog: number): void {
  if (!isMainThread) {
    server.listen({ path, backlog })
    return
  }
  const before = process.umask(0o177)
  try {
    server.listen({ path, backlog })
  } finally {
    process.umask(before)
  }
}

/** Makes room for a UNIX socket. @throws BindError when the path is taken by something that is alive or is no socket */
export async function clearStaleSocket(path: string): Promise<void> {
  const found = lstatSync(path, { throwIfNoEntry: false })
  if (found === undefined) {
    // The system's own answer would be "permission denied".
    if (!existsSync(dirname(path)))
      throw new BindError(`cannot listen on ${path}: its folder does not exist`, {})
    return
  }
  if (!found.isSocket()) {
    throw new BindError(
      `cannot listen on ${path}: a file that is not a socket is there, and it is not removed`,
      {},
    )
  }
  const code = await probe(path)
  if (code === 'ENOENT') return
  if (code !== 'ECONNREFUSED') {
    const why =
      code === undefined ? 'another program listens there' : `the socket there cannot be tried (${code})`
    throw new BindError(`cannot listen on ${path}: ${why}`, { code: 'EADDRINUSE' })
  }
  try {
    unlinkSync(path)
  } catch (error) {
    throw explain(error, path)
  }
}

/** Connects to a UNIX socket. @returns undefined when somebody answers, else the system's error code */
async function probe(path: string): Promise<string | undefined> {
  const { promise, resolve } = Promise.withResolvers<string | undefined>()
  const socket = connect({ path })
  socket.setTimeout(PROBE_TIMEOUT_MS, () => resolve('ETIMEDOUT'))
  socket.once('connect', () => resolve(undefined))
  socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? 'unknown error'))
  try {
    return await promise
  } finally {
    socket.destroy()
  }
}

function lacksIpv6(error: unknown): boolean {
  const code = codeOf(error)
  return code === 'EAFNOSUPPORT' || code === 'EADDRNOTAVAIL'
}

function explain(error: unknown, address: string): BindError {
  const code = codeOf(error)
  const reason =
    (code !== undefined && reasons.get(code)) || (error instanceof Error ? error.message : String(error))
  return new BindError(`cannot listen on ${address}: ${reason}`, { code, cause: error })
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined
}

const reasons: ReadonlyMap<string, string> = new Map([
  ['EADDRINUSE', 'the address is in use'],
  [
    'EACCES',
    'permission denied; a port below 1024 needs CAP_NET_BIND_SERVICE, a path a folder that can be written',
  ],
  ['EADDRNOTAVAIL', 'this machine has no such address'],
  ['EAFNOSUPPORT', 'this machine has no IPv6'],
])
