/**
 * Haraka from npm, on the same runtime as Postern. `haraka-discard` throws mail away; `haraka-fsync-N` writes one file for each message
 * and syncs it before the 250, in one process or in N workers. Its log goes to a file, at its default level.
 */

import { cpSync, mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { freePorts } from '../../test/mta/mta.ts'
import { type Peer, RUNTIME_WARM_UP } from '../rows/row.ts'
import { startQuietly } from '../support/program.ts'
import { versionOf } from './npm-packages.ts'
import type { PeerRequest } from './request.ts'

export interface HarakaVariant {
  readonly name: 'haraka-discard' | 'haraka-fsync-1' | 'haraka-fsync-2'
  /** 0: no workers, one process */
  readonly nodes: number
}

const ACCEPT = `exports.hook_rcpt = (next) => next(OK)\n`

const FSYNC = `'use strict'
const fs = require('node:fs')
const path = require('node:path')
let last = 0
exports.hook_queue = (next, connection) => {
  last += 1
  const file = path.join(process.env.BENCH_MAIL, process.pid + '-' + last)
  const { mail_from, rcpt_to, message_stream } = connection.transaction
  const envelope = Buffer.from(JSON.stringify([mail_from.original, rcpt_to.map((each) => each.original)]) + '\\n')
  message_stream.get_data((message) => {
    const data = Buffer.concat([envelope, message])
    fs.open(file, 'wx', (failed, fd) => {
      if (failed) return next(DENYSOFT, failed.message)
      fs.write(fd, data, (failed) => {
        if (failed) return next(DENYSOFT, failed.message)
        fs.fsync(fd, (failed) => {
          fs.close(fd, () => (failed ? next(DENYSOFT, failed.message) : next(OK)))
        })
      })
    })
  })
}
`

export async function startHaraka(request: PeerRequest, variant: HarakaVariant): Promise<readonly Peer[]> {
  const { cleanup, pki } = request
  const packages = await request.packages()
  const folder = cleanup.folder(variant.name)
  const write = (name: string, text: string): void => writeFileSync(path.join(folder, name), text)
  for (const name of ['plugins', 'mail']) mkdirSync(path.join(folder, name))
  // what `haraka -i` makes
  cpSync(path.join(packages, 'Haraka', 'config'), path.join(folder, 'config'), { recursive: true })
  const [port = 0] = await freePorts(1)
  const discards = variant.name === 'haraka-discard'
  write('config/smtp.ini', `listen=127.0.0.1:${port}\nnodes=${variant.nodes}\n`)
  write('config/plugins', `tls\naccept_all\n${discards ? 'queue/discard' : 'keep'}\n`)
  write('config/me', 'gate.example\n')
  write(
    'config/tls.ini',
    'key=tls_key.pem\ncert=tls_cert.pem\nca=tls_ca.pem\nrequestCert=true\nrejectUnauthorized=false\n',
  )
  write('config/tls_key.pem', pki.server.key)
  write('config/tls_cert.pem', pki.server.cert)
  write('config/tls_ca.pem', pki.authority.cert)
  write('plugins/accept_all.js', ACCEPT)
  write('plugins/keep.js', FSYNC)
  const { pids, stop } = await startQuietly({
    command: process.execPath,
    args: [path.join(packages, 'Haraka', 'bin', 'haraka'), '-c', folder],
    cwd: folder,
    env: { BENCH_MAIL: path.join(folder, 'mail'), YES_REALLY_DO_DISCARD: '1' },
    log: path.join(folder, 'log'),
    port,
    cleanup,
  })
  return [
    {
      subject: { name: variant.name, host: '127.0.0.1', port, pids, stop },
      version: versionOf(packages, 'Haraka'),
      durable: !discards,
      messages: { starttls: 500, 'plain-1': 1500, 'plain-20': 3000 },
      warmUp: RUNTIME_WARM_UP,
    },
  ]
}
