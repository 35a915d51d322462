/**
 * Accepted socket → connection: admits it, takes its PROXY header off where there is one, hands it over.
 *
 * A client's address is the one that a proxy tells where Proxy_Protocol is on: until its header has come, a connection is
 * counted by the proxy's address, from then on by the client's, and nobody behind this file knows of the proxy.
 *
 * Tells `connected` and `disconnected` for each connection that is handed over, and a rejection for each that is not.
 */

import type { Socket } from 'node:net'
import { normaliseAddress } from '../config/address.ts'
import type { InboundScope, ListenSettings } from '../config/settings.ts'
import type { EventSink, Rejection } from '../events/events.ts'
import type { Admission, Placement, Slot } from './admission.ts'
import { assertedKeys } from './asserted.ts'
import type { Connection } from './connection.ts'
import { type Ends, ProxyHeaderError, proxiedEnds, takeProxyHeader } from './proxied.ts'
import type { Planned } from './targets.ts'

/** RFC 5321 §4.2.1; text: Momentum, ref-listener-sessions */
const CONCURRENCY_REPLY = '4.4.5 Service unavailable, concurrency limit reached.'

export interface EntranceOptions {
  readonly admission: Admission<SessionKey>
  /** the scope of an address on a Listen, by the settings in force */
  readonly resolve: (listen: ListenSettings, address: string) => InboundScope
  /** where a session stands by the settings in force; undefined when its Listen is gone */
  readonly placeOf: (session: SessionKey) => Placement | undefined
  /** Takes over an admitted connection. What it throws closes that connection and nothing else. */
  readonly onConnection: (connection: Connection) => void
  readonly nextConnectionId: () => string
  readonly events: EventSink
  /** milliseconds since the epoch */
  readonly clock: () => number
}

/** By what a session is found again after a reload. */
export interface SessionKey {
  readonly endpoint: string
  readonly address: string
}

export class Entrance {
  readonly #options: EntranceOptions
  /** connections whose PROXY header is awaited */
  readonly #unknown = new Set<Socket>()
  #closed = false

  constructor(options: EntranceOptions) {
    this.#options = options
  }

  /** Lets go of everybody who has not said yet who it is. */
  close(): void {
    this.#closed = true
    for (const socket of this.#unknown) socket.destroy()
  }

  /** Takes a socket on which nobody has read or written yet. */
  receive({ key, listen }: Planned, socket: Socket): void {
    // Without a listener an error would end the process; 'close' follows every error.
    socket.on('error', () => undefined)
    const ends = endpointsOf(socket, listen)
    if (ends === undefined) {
      socket.destroy()
      return
    }
    const scope = this.#options.resolve(listen, ends.remote.address)
    const id = this.#options.nextConnectionId()
    const slot = this.#options.admission.admit(
      { listen, scope },
      { endpoint: key, address: ends.remote.address },
    )
    if (slot === undefined) {
      this.#turnAway(socket, { id, scope, ...ends })
      return
    }
    socket.on('close', () => slot.release())
    const entrant = { id, socket, slot, endpoint: key }
    if (scope.options.proxy_protocol) void this.#unwrap(entrant, { listen, scope, ...ends })
    else this.#begin(entrant, { listen, scope, ...ends })
  }

  /** Nothing else happens on a connection of a proxy before it is known who is at its far end. */
  async #unwrap(entrant: Entrant, connected: Identity): Promise<void> {
    const { id, socket, slot, endpoint } = entrant
    this.#unknown.add(socket)
    try {
      const header = await takeProxyHeader(socket, connected)
      if (socket.destroyed) return
      // the settings may have changed while the header was awaited: those in force now decide
      const now = this.#options.placeOf({ endpoint, address: connected.remote.address })
      if (now === undefined || !now.scope.options.proxy_protocol) throw new ProxyHeaderError('not expected')
      const ends = proxiedEnds(header, { ...connected, ...now })
      const key = { endpoint, address: ends.remote.address }
      const identity = { listen: now.listen, scope: this.#options.resolve(now.listen, key.address) }
      const asserted = assertedKeys(header, now.scope, connected.remote.address)
      if (this.#options.admission.move(slot, identity, key))
        this.#begin(entrant, { ...identity, ...ends, asserted })
      else this.#turnAway(socket, { id, scope: identity.scope, ...ends })
    } catch (error) {
      socket.destroy()
      if (!(error instanceof ProxyHeaderError)) this.#panic('critical', `${id}: ${String(error)}`)
      else if (!this.#closed)
        this.#reject({ id, ...connected }, { state: 'just connected', module: 'proxy', text: error.message })
    } finally {
      this.#unknown.delete(socket)
    }
  }

  #begin({ id, socket, slot, endpoint }: Entrant, identity: Identity): void {
    const fact = { connectionId: id, remote: identity.remote, local: identity.local }
    this.#options.events.emit({ kind: 'connected', at: this.#options.clock(), ...fact })
    socket.on('close', () =>
      this.#options.events.emit({ kind: 'disconnected', at: this.#options.clock(), ...fact }),
    )
    const recount = (address: string): boolean => {
      const key = { endpoint, address }
      return this.#options.admission.move(slot, this.#options.placeOf(key), key)
    }
    this.#handOver({ id, socket, ...identity, recount, release: () => slot.release() })
  }

  #handOver(connection: Connection): void {
    try {
      this.#options.onConnection(connection)
    } catch (error) {
      this.#panic('critical', `a connection could not be taken over: ${String(error)}`)
      connection.socket.destroy()
    }
  }

  #turnAway(socket: Socket, arrival: Arrival): void {
    const { scope } = arrival
    // On a port that starts with TLS a reply in clear would only be taken for a broken handshake.
    if (scope.options.use_ssl) {
      socket.destroy()
    } else {
      socket.end(`421 ${CONCURRENCY_REPLY}\r\n`)
      socket.destroySoon()
    }
    this.#reject(arrival, { state: 'concurrency limit', module: 'core', text: CONCURRENCY_REPLY })
  }

  #reject(arrival: Arrival, why: Pick<Rejection, 'state' | 'module' | 'text'>): void {
    const { id, scope, remote, local } = arrival
    this.#options.events.emit({
      kind: 'rejection',
      at: this.#options.clock(),
      connectionId: id,
      remote,
      local,
      pathway: scope.pathway,
      pathwayGroup: scope.pathwayGroup,
      code: 421,
      connectionContext: {},
      messageContext: {},
      ...why,
    })
  }

  #panic(level: 'critical', text: string): void {
    this.#options.events.emit({ kind: 'panic', at: this.#options.clock(), level, module: 'listener', text })
  }
}

interface Arrival extends Ends {
  readonly id: string
  readonly scope: InboundScope
}

/** A connection that was counted. */
interface Entrant {
  readonly id: string
  readonly socket: Socket
  readonly slot: Slot
  readonly endpoint: string
}

/** Who is on a connection, and what that means here. */
type Identity = Pick<Connection, 'listen' | 'scope' | 'asserted'> & Ends

/** undefined when the client has gone already, so that nobody can say who it was. */
function endpointsOf(socket: Socket, listen: ListenSettings): Ends | undefined {
  if (listen.address.kind === 'unix') {
    return { remote: { address: '', port: 0 }, local: { address: listen.address.path, port: 0 } }
  }
  const remote = normaliseAddress(socket.remoteAddress ?? '')
  const local = normaliseAddress(socket.localAddress ?? '')
  if (remote === undefined || local === undefined) return undefined
  return {
    remote: { address: remote, port: socket.remotePort ?? 0 },
    local: { address: local, port: socket.localPort ?? 0 },
  }
}
