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
import { WaitingRooms } from './waiting-room.ts'

export type { GatheredServices } from './client.ts'

type ConsoleLimits = ClientOptions['limits'] & {
  /** of those who have logged in; and of those who are in without, on sockets that ask for nothing */
  readonly clients: number
  /** of one user who has logged in: nobody takes the places of all others */
  readonly clientsPerUser: number
  /** clients of each room that have to log in and have not, and those of one address among them */
  readonly strangers: number
  readonly strangersPerAddress: number
}

const consoleLimits: ConsoleLimits = {
  clients: 32,
  clientsPerUser: 8,
  answer: 8 * 1024 * 1024,
  stall: 60_000,
  strangers: 64,
  strangersPerAddress: 4,
  login: 60_000,
}

export interface ConsoleServerOptions extends Omit<ClientOptions, 'place' | 'door' | 'admits' | 'limits'> {
  readonly limits?: Partial<ConsoleLimits>
}

export class ConsoleServer {
  readonly #options: ConsoleServerOptions
  readonly #limits: ConsoleLimits
  readonly #clients = new Map<Socket, ConsoleClient>()
  readonly #rooms: WaitingRooms

  constructor(options: ConsoleServerOptions) {
    this.#options = options
    this.#limits = { ...consoleLimits, ...options.limits }
    this.#rooms = new WaitingRooms(this.#limits.strangers, this.#limits.strangersPerAddress)
  }

  /** @param place on which socket it came in; `end` ends all of a place */
  take(socket: Socket, place: string, door: Door): void {
    // without a listener an error would end the process; 'close' follows every error
    socket.on('error', () => undefined)
    if (door.operator !== undefined && !this.#hasRoomFor(door.operator)) {
      turnAway(socket, NO_ROOM)
      return
    }
    let leave: (() => void) | undefined
    const client = new ConsoleClient(socket, {
      ...this.#options,
      place,
      door,
      admits: (operator) => {
        if (!this.#hasRoomFor(operator)) return false
        leave?.()
        return true
      },
      limits: this.#limits,
    })
    this.#clients.set(socket, client)
    socket.once('close', () => {
      this.#clients.delete(socket)
      leave?.()
    })
    client.start()
    if (door.operator === undefined) leave = this.#rooms.enter(door.room, client)
  }

  /** Those who are in without a login take no places from those who have logged in. */
  #hasRoomFor({ name, known }: Operator): boolean {
    const { clients, clientsPerUser } = this.#limits
    const operators = [...this.#clients.values()].flatMap(({ operator }) => operator ?? [])
    const same = operators.filter((each) => isLogin(each) === isLogin({ known }))
    if (same.length >= clients) return false
    return (
      !isLogin({ known }) ||
      same.filter((each) => each.name === name && each.known === known).length < clientsPerUser
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

function isLogin({ known }: Pick<Operator, 'known'>): boolean {
  return known === 'password' || known === 'certificate'
}

/** Says why in place of `hello`, and closes. */
export function turnAway(socket: Socket, why: string): void {
  socket.on('error', () => undefined)
  socket.end(encodeFrame({ status: 'error', text: `${why}\n` }))
  socket.destroySoon()
}
