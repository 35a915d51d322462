/**
 * `postern serve`: runs the server in the foreground. SIGTERM and SIGINT drain and end it with exit code 0, SIGHUP
 * reloads. Prints `postern ready` on stdout when every listener is bound.
 */

import { ConfigError, describeOrigin } from '../config/diagnostic.ts'
import { loadSettings } from '../config/load.ts'
import type { ServerEvent } from '../events/events.ts'
import { ListenError } from '../listener/listener.ts'
import { formatForStderr } from '../logs/stderr.ts'
import { Server } from '../server.ts'
import { type Io, say } from './io.ts'
import { locateConfig } from './locate.ts'
import { notify } from './notify.ts'
import { dropPrivileges } from './privileges.ts'
import { silenceWarning } from './silence.ts'
import { surviveStrayErrors } from './stray-errors.ts'
import { readVersion } from './version.ts'

const COULD_NOT_BIND = 2
/** how long the process may live on after the server has ended */
const LEFTOVERS_MS = 500

export interface ServeOptions {
  readonly config?: string
  readonly workers?: number
}

/** Serves until a signal ends it. @returns the exit code */
export async function runServe(options: ServeOptions, io: Io): Promise<number> {
  // Whoever reads our output may go away; without a listener the next line would end the process, and mail with it.
  for (const stream of [io.stdout, io.stderr]) stream.on('error', () => undefined)
  const early = new EarlyHangUps()
  const file = locateConfig(options.config)
  const { settings, diagnostics } = await loadSettings(file)
  if (settings === undefined) throw new ConfigError(diagnostics)
  say(io, dropPrivileges(settings))
  const told = new AbortController()
  const server = await startOrExplain({ file, workers: options.workers ?? 0, told }, io)
  if (server === undefined) return COULD_NOT_BIND
  surviveStrayErrors(server)
  say(io, [...server.warnings, ...silenceWarning(server.settings)])
  const ended = untilTold({ server, told: told.signal, early }, io)
  io.stdout.write(
    `postern ready pid=${process.pid} ${[...server.addresses, ...services(server)].join(' ')}\n`,
  )
  await notify('READY=1')
  await ended
  // A script that still waits for something would keep the process; everything that matters is closed.
  setTimeout(() => process.exit(), LEFTOVERS_MS).unref()
  return 0
}

/** What is bound besides the listeners of mail: `console=/run/postern/console`, `http=127.0.0.1:8080`. */
function services({ serviceAddresses: { console, http } }: Serving): readonly string[] {
  return [...console.map((path) => `console=${path}`), ...http.map((address) => `http=${address}`)]
}

/** One process, or a supervisor of several: the same to whoever runs it. */
type Serving = Pick<
  Server,
  'addresses' | 'serviceAddresses' | 'settings' | 'warnings' | 'tellPanic' | 'reload' | 'stop'
>

async function startOrExplain(
  {
    file,
    workers,
    told,
  }: { readonly file: string; readonly workers: number; readonly told: AbortController },
  io: Io,
): Promise<Serving | undefined> {
  const onEvent = (event: ServerEvent): void => {
    if (event.kind === 'panic') io.stderr.write(formatForStderr(event))
  }
  try {
    const options = { file, version: readVersion(), onEvent, onShutdown: () => told.abort() }
    if (workers === 0) return await Server.start(options)
    const { Supervisor } = await import('../workers/supervisor.ts')
    return await Supervisor.start({ ...options, workers })
  } catch (error) {
    if (!(error instanceof ListenError)) throw error
    say(io, error.diagnostics)
    return undefined
  }
}

/** A SIGHUP that came while the server was starting: what it was to read anew may have been read before. */
class EarlyHangUps {
  #came = false
  readonly #note = (): void => {
    this.#came = true
  }

  constructor() {
    process.on('SIGHUP', this.#note)
  }

  /** Somebody else hears the signal from now on. @returns whether it came */
  end(): boolean {
    process.off('SIGHUP', this.#note)
    return this.#came
  }
}

interface Told {
  readonly server: Serving
  /** aborted by `shutdown` at the console */
  readonly told: AbortSignal
  readonly early: EarlyHangUps
}

/** Handles the signals, and `shutdown` at the console; resolves when the server has ended. */
function untilTold({ server, told, early }: Told, io: Io): Promise<void> {
  return new Promise((resolve, reject) => {
    let ending = false
    // without a Listen nothing else would hold the process, and deliveries and a later reload need it
    const hold = setInterval(() => undefined, 2 ** 30)
    const end = (): void => {
      if (ending) return
      ending = true
      void notify('STOPPING=1')
      server
        .stop()
        .finally(() => clearInterval(hold))
        .then(resolve, reject)
    }
    process.on('SIGTERM', end)
    told.addEventListener('abort', end)
    process.on('SIGINT', end)
    // Reloads follow one another; a signal that arrives meanwhile starts one more.
    let last = Promise.resolve()
    const hangUp = (): void => {
      last = last.then(() => reload(server, io))
    }
    process.on('SIGHUP', hangUp)
    if (early.end()) hangUp()
  })
}

async function reload(server: Serving, io: Io): Promise<void> {
  await notify('RELOADING=1')
  try {
    await server.reload()
    say(io, [...server.warnings, ...silenceWarning(server.settings)])
    io.stderr.write('postern: the configuration was reloaded\n')
  } catch (error) {
    if (error instanceof ConfigError || error instanceof ListenError) {
      say(io, error.diagnostics)
    } else {
      io.stderr.write(`postern: ${error instanceof Error ? error.message : String(error)}\n`)
    }
    io.stderr.write('postern: reload failed; the configuration before stays in force\n')
    // stderr is not everywhere kept, and the console shows the panic log
    server.tellPanic('error', 'config', `reload failed, and nothing has changed: ${reasonsOf(error)}`)
  }
  await notify('READY=1')
}

/** of one reload */
const MAX_REASONS = 3

/** The first errors with their places, on one line. */
function reasonsOf(error: unknown): string {
  if (!(error instanceof ConfigError || error instanceof ListenError))
    return error instanceof Error ? error.message : String(error)
  const errors = error.diagnostics.filter(({ severity }) => severity === 'error')
  const told = errors
    .slice(0, MAX_REASONS)
    .map(({ at, message }) => (at === undefined ? message : `${describeOrigin(at)}: ${message}`))
  const left = errors.length - told.length
  return [...told, ...(left > 0 ? [`and ${left} more`] : [])].join('; ')
}
