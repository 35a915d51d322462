/**
 * Those who have connected and not yet shown who they are: before a handshake, before a login, before a request. Whoever
 * comes is let in, and where there is no place left, one who came before has to go: the first of the network that has the
 * most here, the newcomer included. So a flood from some networks only ever displaces its own, however often it comes.
 *
 * Three rooms, none of which takes a place from another: clients of UNIX sockets, clients from where somebody is expected, and
 * all others.
 */

export type Room = 'local' | 'expected' | 'strangers'

export interface Guest {
  /** what counts as one client's address; may change */
  readonly network: string
  /** Called once, when he has to go. */
  turnOut(): void
}

export class WaitingRooms {
  readonly #rooms: Readonly<Record<Room, WaitingRoom>>

  /** @param places of each room @param perNetwork places of one network among them, but for UNIX sockets */
  constructor(places: number, perNetwork: number) {
    this.#rooms = {
      local: new WaitingRoom(places, places),
      expected: new WaitingRoom(places, perNetwork),
      strangers: new WaitingRoom(places, perNetwork),
    }
  }

  /** @returns what gives the place back, however often it is called */
  enter(room: Room, guest: Guest): () => void {
    return this.#rooms[room].enter(guest)
  }
}

class WaitingRoom {
  readonly #places: number
  readonly #perNetwork: number
  /** in the order in which they came */
  readonly #guests = new Set<Guest>()

  constructor(places: number, perNetwork: number) {
    this.#places = places
    this.#perNetwork = perNetwork
  }

  enter(guest: Guest): () => void {
    this.#guests.add(guest)
    const [first] = this.#tooMany(guest.network)
    if (first !== undefined) {
      this.#guests.delete(first)
      first.turnOut()
    }
    return () => void this.#guests.delete(guest)
  }

  /** Those of whom one has to go, the first of them first. */
  #tooMany(network: string): readonly Guest[] {
    const networks = Map.groupBy(this.#guests, (guest) => guest.network)
    const own = networks.get(network) ?? []
    if (own.length > this.#perNetwork) return own
    if (this.#guests.size <= this.#places) return []
    // of networks that have as many, the one whose first guest came first
    return [...networks.values()].toSorted((a, b) => b.length - a.length)[0] ?? []
  }
}
