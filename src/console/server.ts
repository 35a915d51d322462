/**
 * The server's side of the control channel (`protocol.ts`): takes sockets and makes clients of them (`client.ts`).
 *
 * A client's door (`door.ts`) says who may come in, who has to log in first, and which commands he may give. Nothing is
 * unbounded: clients, those who have not logged in, octets of a line, commands that wait, octets of an answer, the time a
 * client may be silent or may leave an answer unread.
 */

import type { Socket } from 'node:net'
import { type ClientOptions, ConsoleClient, NO_ROOM } from './client.ts'
import type { Door } from './door.ts'
import type { Operator } from './operator.ts'
import { encodeFrame } from './protocol.ts'

export type { GatheredServices } from './client.ts'

type ConsoleLimits = ClientOptions['limits'] & {
  readonly clients: number
  /** of one user who has logged in: nobody takes the places of all others */
  readonly clientsPerUser: number
  /** clients that have to log in and have not, and those of one address among them */
  readonly strangers: number
  readonly strangersPerAddress: number
}

const consoleLimits: ConsoleLimits = {
  clients: 32,
  clientsPerUser: 8,
  answer: 8 * 1024 * 1024,
  stall: 60_000,
  strangers: 16,
  strangersPerAddress: 4,
  login: 60_000,
}

export interface ConsoleServerOptions
  extends Omit<ClientOptions, 'place' | 'door' | 'hasRoomFor' | 'limits'> {
  readonly limits?: Partial<ConsoleLimits>
}

export class ConsoleServer {
  readonly #options: ConsoleServerOptions
  readonly #limits: ConsoleLimits
  readonly #clients = new Map<Socket, ConsoleClient>()

  constructor(options: ConsoleServerOptions) {
    this.#options = options
    this.#limits = { ...consoleLimits, ...options.limits }
  }

  /** @param place on which socket it came in; `end` ends all of a place */
  take(socket: Socket, place: string, door: Door): void {
    // without a listener an error would end the process; 'close' follows every error
    socket.on('error', () => undefined)
    if (!this.#hasRoom(door)) {
      turnAway(socket, NO_ROOM)
      return
    }
    const client = new ConsoleClient(socket, {
      ...this.#options,
      place,
      door,
      hasRoomFor: (operator) => this.#hasRoomFor(operator),
      limits: this.#limits,
    })
    this.#clients.set(socket, client)
    socket.once('close', () => this.#clients.delete(socket))
    client.start()
  }

  /** Those who have not logged in take no places from those who have; nor do a few addresses from all others. */
  #hasRoom({ operator, network }: Door): boolean {
    if (operator !== undefined) return this.#hasRoomFor(operator)
    const strangers = [...this.#clients].filter(([, client]) => client.isStranger)
    const near = Map.groupBy(strangers, ([, client]) => client.network)
    const own = near.get(network) ?? []
    if (own.length >= this.#limits.strangersPerAddress) {
      // who has not shown whose process he is yet may be anybody of this machine
      return network === '' && this.#cutOff(own[0]?.[0])
    }
    if (strangers.length < this.#limits.strangers) return true
    // the one that came first, of those of whom there are the most
    const [most = []] = [...near.values()].toSorted((a, b) => b.length - a.length)
    return most.length > own.length + 1 && this.#cutOff(most[0]?.[0])
  }

  /** @returns whether there is a place now */
  #cutOff(socket: Socket | undefined): boolean {
    if (socket === undefined) return false
    this.#clients.delete(socket)
    socket.destroy()
    return true
  }

  #hasRoomFor({ name, known }: Operator): boolean {
    const { clients, clientsPerUser } = this.#limits
    const operators = [...this.#clients.values()].flatMap(({ operator }) => operator ?? [])
    if (operators.length >= clients) return false
    const isLogin = known === 'password' || known === 'certificate'
    return (
      !isLogin ||
      operators.filter((each) => each.name === name && each.known === known).length < clientsPerUser
    )
  }

  /** Ends every client of a place, or of all: each after the command that it waits for. */
  end(place?: string): void {
    for (const client of this.#clients.values())
      if (place === undefined || client.place === place) client.end()
  }

  /** Cuts everybody off. */
  destroy(): void {
    for (const socket of this.#clients.keys()) socket.destroy()
  }
}

/** Says why in place of `hello`, and closes. */
export function turnAway(socket: Socket, why: string): void {
  socket.on('error', () => undefined)
  socket.end(encodeFrame({ status: 'error', text: `${why}\n` }))
  socket.destroySoon()
}
