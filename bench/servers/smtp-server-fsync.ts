/**
 * A server made with smtp-server that keeps one synced file for each message, its envelope first, and does nothing else.
 *
 *   node bench/servers/smtp-server-fsync.ts MODULE FOLDER-OF-PKI FOLDER-OF-MAIL PORT PROCESSES
 */

import cluster from 'node:cluster'
import { close, fsync, open, readFileSync, write } from 'node:fs'
import path from 'node:path'
import type { Readable } from 'node:stream'
import { pathToFileURL } from 'node:url'

type Done = (error?: Error | null) => void

/** of the package */
interface Session {
  readonly envelope: unknown
}

/** What is used of the package, which is not installed here. */
interface Package {
  readonly SMTPServer: new (
    options: Readonly<Record<string, unknown>>,
  ) => {
    listen(options: { readonly host: string; readonly port: number; readonly backlog: number }): void
    on(event: 'error', listener: (error: Error) => void): void
  }
}

const [module = '', pki = '.', folder = '.', port = '0', processes = '1'] = process.argv.slice(2)

if (cluster.isPrimary && Number(processes) > 1) {
  for (let n = 0; n < Number(processes); n += 1) cluster.fork()
  process.on('SIGTERM', () => process.exit(0))
} else await serve()

function read(name: string): string {
  return readFileSync(path.join(pki, name), 'latin1')
}

async function serve(): Promise<void> {
  const { SMTPServer } = (await import(pathToFileURL(module).href)) as Package
  let last = 0
  const server = new SMTPServer({
    key: read('server.key'),
    cert: read('server.pem'),
    ca: [read('ca.pem')],
    requestCert: true,
    rejectUnauthorized: false,
    authOptional: true,
    disableReverseLookup: true,
    logger: false,
    onData: (stream: Readable, { envelope }: Session, done: Done) => {
      const chunks: Buffer[] = [Buffer.from(`${JSON.stringify(envelope)}\n`)]
      stream.on('data', (chunk: Buffer) => chunks.push(chunk))
      stream.on('end', () => {
        last += 1
        keep(path.join(folder, `${process.pid}-${last}`), Buffer.concat(chunks), done)
      })
    },
  })
  // clients that go away are no failure of the server
  server.on('error', () => undefined)
  server.listen({ host: '127.0.0.1', port: Number(port), backlog: 511 })
}

function keep(file: string, message: Buffer, done: Done): void {
  open(file, 'wx', (failed, fd) => {
    if (failed !== null) {
      done(failed)
      return
    }
    write(fd, message, (unwritten) => {
      if (unwritten !== null) {
        done(unwritten)
        return
      }
      fsync(fd, (unsynced) => {
        close(fd, () => done(unsynced))
      })
    })
  })
}
