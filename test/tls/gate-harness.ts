/** A gate without SMTP: accepts, shakes hands, says `hello`; and a client that tells what it saw. */

import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { type ConnectionOptions, connect as connectTls, type SecureVersion, type TLSSocket } from 'node:tls'
import type {
  FilePath,
  InboundScope,
  InboundValues,
  OcspSettings,
  Settings,
} from '../../src/config/settings.ts'
import type { ServerEvent } from '../../src/events/events.ts'
import { loadTls, type TlsContexts } from '../../src/tls/contexts.ts'
import type { TlsFacts } from '../../src/tls/peer.ts'
import { TicketSecret } from '../../src/tls/ticket-secret.ts'

export type TlsOptions = Partial<InboundValues>

const DEFAULTS: TlsOptions = {
  use_ssl: false,
  tls_sni: [],
  tls_session_tickets: true,
  tls_client_eku: 'clientAuth',
  tls_client_crl_mode: 'hard',
  tls_client_crl_alarm_age: 0,
  tls_client_ocsp: false,
  tls_client_ocsp_mode: 'hard',
  tls_handshake_timeout: 10,
  tls_max_handshakes_per_address: 0,
}

/** The line of an option in the imagined configuration file, to recognise it in diagnostics. */
export const LINES: Partial<Record<keyof InboundValues, number>> = {
  use_ssl: 1,
  tls_certificate: 2,
  tls_key: 3,
  tls_client_ca: 4,
  tls_client_crl: 5,
  tls_verify_mode: 6,
  tls_protocols: 7,
  tls_ciphers: 8,
  tlsv13_ciphersuites: 9,
  tls_ec_curve_names: 10,
}

export function file(path: string): FilePath {
  return { path, text: path.replace(/^.*\//, '') }
}

export function scopeOf(options: TlsOptions, id = 'listen'): InboundScope {
  return {
    id,
    options: { ...DEFAULTS, ...options } as InboundValues,
    pathway: 'default',
    pathwayGroup: 'default',
    origin: (option) => {
      const line = LINES[option]
      if (options[option] === undefined || line === undefined) return 'default'
      return { file: 'gate.conf', line, column: 5, length: 8 }
    },
  }
}

export function settingsOf(...scopes: readonly InboundScope[]): Settings {
  return {
    ocsp: [],
    global: { tls_expiry_warning: [30] },
    httpListens: [],
    controlListens: [],
    inboundScopes: () => scopes.map((scope) => ({ scope })),
  } as unknown as Settings
}

export interface LoadOptions {
  readonly clock?: () => number
  readonly ticketSecret?: TicketSecret
  readonly previous?: TlsContexts
  readonly events?: ServerEvent[]
  readonly watchInterval?: number
  readonly ocsp?: readonly OcspSettings[]
}

export function load(scopes: readonly InboundScope[], options: LoadOptions = {}): Promise<TlsContexts> {
  return loadTls(
    { ...settingsOf(...scopes), ocsp: options.ocsp ?? [] },
    {
      ticketSecret: options.ticketSecret ?? new TicketSecret(),
      events: { emit: (event) => options.events?.push(event) },
      clock: options.clock ?? Date.now,
      previous: options.previous,
      ...(options.watchInterval === undefined ? {} : { watchInterval: options.watchInterval }),
    },
  )
}

/** What became of one connection on the server's side. */
export type Arrival = { readonly facts: TlsFacts; readonly socket: TLSSocket } | { readonly error: Error }

export interface Gate extends AsyncDisposable {
  readonly port: number
  /** the scope and contexts that the next connections meet */
  use(contexts: TlsContexts, scope: InboundScope): void
  /** the next arrival that nobody asked for yet */
  arrival(): Promise<Arrival>
}

export async function openGate(
  contexts: TlsContexts,
  scope: InboundScope,
  greet: (raw: Socket) => Promise<void> = () => Promise.resolve(),
): Promise<Gate> {
  const target = { contexts, scope }
  const sockets = new Set<Socket>()
  const arrivals: Arrival[] = []
  const waiting: ((arrival: Arrival) => void)[] = []
  const arrived = (arrival: Arrival): void => {
    const next = waiting.shift()
    if (next === undefined) arrivals.push(arrival)
    else next(arrival)
  }
  const receive = async (raw: Socket): Promise<void> => {
    sockets.add(raw)
    const { contexts: current, scope: here } = target
    try {
      await greet(raw)
      const { socket, facts } = await current.accept(raw, here, '127.0.0.1')
      socket.on('error', () => {})
      socket.on('end', () => socket.end())
      socket.resume()
      socket.write('hello\r\n')
      arrived({ facts, socket })
    } catch (error) {
      arrived({ error: error as Error })
    }
  }
  const server = createServer({ allowHalfOpen: true }, (raw) => void receive(raw)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as { port: number }).port,
    use: (contexts, scope) => Object.assign(target, { contexts, scope }),
    arrival: () => {
      const ready = arrivals.shift()
      return ready === undefined ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve(ready)
    },
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

/** What a client saw of its connection. */
export interface Visit {
  /** Node's name of the error: an alert that was received, mostly */
  readonly error: string | undefined
  readonly greeting: string
  readonly reused: boolean | undefined
  readonly session: Buffer | undefined
}

export interface VisitOptions {
  readonly credential?: { readonly cert: string; readonly key: string } | undefined
  readonly version?: SecureVersion
  readonly session?: Buffer | undefined
  /** a connection on which the handshake is to run */
  readonly over?: Socket
  readonly more?: ConnectionOptions
  /** sent as soon as the client believes itself secure */
  readonly eager?: string | Buffer
}

/** Connects, waits for the greeting or the end, closes. */
export async function visit(port: number, options: VisitOptions = {}): Promise<Visit> {
  const { credential, version, session, over } = options
  const socket = connectTls({
    ...(over === undefined ? { host: '127.0.0.1', port } : { socket: over }),
    servername: 'gate.example',
    rejectUnauthorized: false,
    ...(version === undefined ? {} : { minVersion: version, maxVersion: version }),
    ...(session === undefined ? {} : { session }),
    ...(credential === undefined ? {} : { cert: credential.cert, key: credential.key }),
    ...options.more,
  })
  const seen: { -readonly [K in keyof Visit]: Visit[K] } = {
    error: undefined,
    greeting: '',
    reused: undefined,
    session: undefined,
  }
  socket.on('secureConnect', () => {
    seen.reused = socket.isSessionReused()
    if (options.eager !== undefined) socket.write(options.eager)
  })
  socket.on('session', (ticket) => {
    seen.session = ticket
  })
  socket.on('error', (error: NodeJS.ErrnoException) => {
    seen.error ??= error.code ?? error.message
  })
  socket.on('data', (data: Buffer) => {
    seen.greeting += data.toString('latin1')
    if (seen.greeting.endsWith('\r\n')) socket.end()
  })
  await new Promise((resolve) => socket.once('close', resolve))
  return seen
}

/** The facts of an arrival that must have succeeded. */
export async function factsOf(gate: Gate): Promise<TlsFacts> {
  const arrival = await gate.arrival()
  if ('error' in arrival) throw arrival.error
  return arrival.facts
}

/** The reason of an arrival that must have failed. */
export async function failureOf(gate: Gate): Promise<string> {
  const arrival = await gate.arrival()
  if ('facts' in arrival) throw new Error('the handshake was expected to fail')
  return arrival.error.message
}
