/**
 * The sockets of the console, from a connection to a client of the console's server: turned away where nobody may come
 * in, through the handshake where there is one, and then to the door.
 */

import type { Socket } from 'node:net'
import { normaliseAddress } from '../config/address.ts'
import type { ControlListenSettings, InboundScope, Settings } from '../config/settings.ts'
import { ConsoleServer, type ConsoleServerOptions, turnAway } from '../console/server.ts'
import { WaitingRooms } from '../console/waiting-room.ts'
import type { EventBus, Panic } from '../events/events.ts'
import { type PreparedSockets, ServiceSockets } from '../listener/service-sockets.ts'
import { addressKey } from '../smtp/auth/failures.ts'
import { type SecureConnection, TlsHandshakeError } from '../tls/gate.ts'
import type { Acquaintances } from './acquaintances.ts'
import type { Arrival, Material } from './console-door.ts'
import { ConsoleDoors } from './console-doors.ts'
import { realSocket } from './system-user.ts'

export interface EntranceHost extends Pick<ConsoleServerOptions, 'services' | 'servicesFor'> {
  readonly events: EventBus
  readonly acquaintances: Acquaintances
  /** the server's side of a handshake, by the configuration in force */
  readonly accept: (socket: Socket, scope: InboundScope, address: string) => Promise<SecureConnection>
}

/** handshakes that may be under way at once, in each room */
const MAX_SHAKING = 64
/** those of one address, of IPv6 of one /64 */
const MAX_NEAR = 4

export class ConsoleEntrance {
  readonly #host: EntranceHost
  readonly #server: ConsoleServer
  readonly #doors: ConsoleDoors
  readonly #sockets: ServiceSockets<ControlListenSettings>
  readonly #shaking = new Set<Socket>()
  readonly #rooms = new WaitingRooms(MAX_SHAKING, MAX_NEAR)

  constructor(host: EntranceHost) {
    this.#host = host
    this.#doors = new ConsoleDoors(host.events, () => Date.now(), host.acquaintances)
    this.#server = new ConsoleServer({
      services: host.services,
      servicesFor: host.servicesFor,
      onPanic: (level, text) => this.#panic(level, text),
    })
    this.#sockets = new ServiceSockets({
      onSocket: (socket, listen) => void this.#receive(socket, listen),
      onClosed: ({ instance }) => this.#server.end(instance),
      onError: (text) => this.#panic('error', text),
    })
  }

  /** What operators are judged by. @throws Error before a configuration is in force */
  get material(): Pick<Material, 'stores' | 'rights'> {
    return this.#doors.material
  }

  /** What is bound. */
  addresses(): readonly string[] {
    return this.#sockets.addresses()
  }

  /** Binds what a configuration asks for. @throws ListenError; then everything is as it was */
  async prepare(settings: Settings): Promise<PreparedSockets> {
    const doors = this.#doors.prepare(settings)
    try {
      const sockets = await this.#sockets.prepare(settings.controlListens)
      return {
        commit: () => {
          // whoever waited at a new socket meets the new rules
          doors.commit()
          sockets.commit()
        },
        rollback: async () => {
          await sockets.rollback()
          await doors.rollback()
        },
      }
    } catch (error) {
      await doors.rollback()
      throw error
    }
  }

  /** Accepts nobody any more, and lets clients go after the command that they wait for. */
  close(): void {
    this.#sockets.close()
    for (const socket of this.#shaking) socket.destroy()
    this.#server.end()
  }

  /** Cuts off who is still there. */
  end(): void {
    this.#server.destroy()
    void this.#doors.close().catch(() => undefined)
  }

  /** Never rejects. */
  async #receive(raw: Socket, listen: ControlListenSettings): Promise<void> {
    raw.on('error', () => undefined)
    const tcp = listen.address.kind !== 'unix'
    const address = tcp ? normaliseAddress(raw.remoteAddress ?? '') : ''
    const encrypted = tcp && listen.scope.options.use_ssl
    // who is gone already has no address
    if (address === undefined || (tcp && address === '')) {
      raw.destroy()
      return
    }
    const arrival: Arrival = {
      listener: listen.instance,
      address,
      socket: listen.address.kind === 'unix' ? realSocket(listen.address.path) : undefined,
      port: raw.remotePort ?? 0,
      peer: { kind: 'plaintext' },
    }
    if (this.#doors.open(arrival) === undefined) {
      if (encrypted) raw.destroy()
      else turnAway(raw, 'nobody may use the console here')
      return
    }
    try {
      if (encrypted) await this.#receiveSecure(raw, listen, arrival)
      else this.#enter(raw, listen, arrival)
    } catch (error) {
      raw.destroy()
      if (!(error instanceof TlsHandshakeError)) this.#panic('error', `${listen.instance}: ${String(error)}`)
    }
  }

  async #receiveSecure(raw: Socket, listen: ControlListenSettings, arrival: Arrival): Promise<void> {
    const network = addressKey(arrival.address)
    const leave = this.#rooms.enter(this.#doors.roomOf(arrival), { network, turnOut: () => raw.destroy() })
    this.#shaking.add(raw)
    try {
      const { socket, facts } = await this.#host.accept(raw, listen.scope, arrival.address)
      this.#enter(socket, listen, { ...arrival, peer: facts.peer })
    } finally {
      leave()
      this.#shaking.delete(raw)
    }
  }

  #enter(socket: Socket, { instance }: ControlListenSettings, arrival: Arrival): void {
    const door = this.#doors.open(arrival)
    if (door === undefined) turnAway(socket, 'nobody may use the console here')
    else this.#server.take(socket, instance, door)
  }

  #panic(level: Panic['level'], text: string): void {
    this.#host.events.emit({ kind: 'panic', at: Date.now(), level, module: 'console', text })
  }
}
