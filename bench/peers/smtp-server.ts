/**
 * smtp-server from npm, on the same runtime as Postern, with one synced file for each message, in one process or two. It
 * writes no log, adds no Received and waits 100 ms before each banner, which bounds its connections per second.
 */

import path from 'node:path'
import { freePorts } from '../../test/mta/mta.ts'
import { type Peer, RUNTIME_WARM_UP } from '../rows/row.ts'
import { startQuietly } from '../support/program.ts'
import { versionOf } from './npm-packages.ts'
import type { PeerRequest } from './request.ts'

const PROGRAM = path.join(import.meta.dirname, '..', 'servers', 'smtp-server-fsync.ts')

export async function startSmtpServer(request: PeerRequest, processes: number): Promise<readonly Peer[]> {
  const packages = await request.packages()
  const name = `smtp-server-fsync-${processes}`
  const folder = request.cleanup.folder(name)
  const [port = 0] = await freePorts(1)
  const module = path.join(packages, 'smtp-server', 'dist', 'esm', 'smtp-server.js')
  const { pids, stop } = await startQuietly({
    command: process.execPath,
    args: [PROGRAM, module, request.folder, folder, `${port}`, `${processes}`],
    log: path.join(folder, 'log'),
    port,
    cleanup: request.cleanup,
  })
  return [
    {
      subject: { name, host: '127.0.0.1', port, pids, stop },
      version: versionOf(packages, 'smtp-server'),
      durable: true,
      messages: { starttls: 500, 'plain-1': 800, 'plain-20': 4000 },
      warmUp: RUNTIME_WARM_UP,
    },
  ]
}
