/**
 * A PostgreSQL server of a test's own, in a temporary folder, on a UNIX socket. It refuses to run as root, so as root it
 * becomes the user `postgres`, or `nobody`.
 */

import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, globSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

const [initdb] = globSync('/usr/lib/postgresql/*/bin/initdb').toSorted().toReversed()
const bin = initdb === undefined ? undefined : path.dirname(initdb)
const isRoot = process.getuid?.() === 0

/** Why there can be none here; false when there can. */
export const noPostgres: string | false =
  bin === undefined
    ? 'PostgreSQL is not installed'
    : isRoot && spawnSync('setpriv', ['--version']).status !== 0
      ? 'PostgreSQL does not run as root, and there is no setpriv'
      : false

const PASSWORD = 'of the database'

export class TestPostgres {
  readonly #folder: string
  #server: ChildProcess | undefined

  private constructor(folder: string) {
    this.#folder = folder
  }

  /** @param sql what the database holds */
  static async start(sql: string): Promise<TestPostgres> {
    const folder = mkdtempSync(path.join(tmpdir(), 'postern-pg-'))
    const server = new TestPostgres(folder)
    chmodSync(folder, 0o755)
    if (isRoot) execFileSync('chown', [user(), folder])
    writeFileSync(path.join(folder, 'password'), PASSWORD)
    const login = ['-A', 'scram-sha-256', '-U', 'gate', '--pwfile', path.join(folder, 'password')]
    const place = ['-D', path.join(folder, 'data'), '-E', 'UTF8', '--locale=C', '--no-sync']
    execFileSync(...asUser('initdb', [...place, ...login]), { stdio: 'ignore' })
    await server.up()
    server.run(sql)
    return server
  }

  /** What stands in `uri = ( … )`. */
  get uri(): string {
    return `pgsql:host=${this.#folder};dbname=postgres;user=gate;password=${PASSWORD}`
  }

  async up(): Promise<void> {
    const place = ['-D', path.join(this.#folder, 'data'), '-k', this.#folder]
    const options = ['-F', '-c', 'listen_addresses=', '-c', 'shared_buffers=4MB', '-c', 'max_connections=20']
    this.#server = spawn(...asUser('postgres', [...place, ...options]), {
      stdio: 'ignore',
      cwd: this.#folder,
    })
    for (let tries = 0; ; tries += 1) {
      if (spawnSync(`${bin}/pg_isready`, ['-q', '-h', this.#folder]).status === 0) return
      if (tries === 200) throw new Error('PostgreSQL does not start')
      await delay(50)
    }
  }

  /** At once, as a crash would. */
  async down(): Promise<void> {
    const server = this.#server
    if (server === undefined || server.exitCode !== null) return
    server.kill('SIGQUIT')
    await once(server, 'exit')
  }

  /** Runs SQL as psql does; gives what it prints. */
  run(sql: string): string {
    const args = [
      '-X',
      '-q',
      '-A',
      '-t',
      '-v',
      'ON_ERROR_STOP=1',
      '-h',
      this.#folder,
      '-U',
      'gate',
      'postgres',
    ]
    return execFileSync(`${bin}/psql`, args, { input: sql, env: { PGPASSWORD: PASSWORD }, encoding: 'utf8' })
  }

  async stop(): Promise<void> {
    await this.down()
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

function user(): string {
  const known = spawnSync('getent', ['passwd', 'postgres'])
  return known.status === 0 ? 'postgres' : 'nobody'
}

function asUser(program: string, args: readonly string[]): [string, string[]] {
  const whole = `${bin}/${program}`
  if (!isRoot) return [whole, [...args]]
  const group = execFileSync('id', ['-g', user()], { encoding: 'utf8' }).trim()
  return ['setpriv', ['--reuid', user(), '--regid', group, '--clear-groups', whole, ...args]]
}
