/**
 * The doors of the console: what a Control_Listener says of who may come in, log in and give which command, joined with
 * the stores of passwords and the facts of TLS (momentum: control-auth, control-authz, control-acct).
 *
 * Follows the configuration: what is in force counts for every command, also of those who came in before. Whatever fails
 * keeps out. A failed login costs its address time, more with each, and after so many the address is turned away; a right
 * password is then answered like a wrong one. Every login and every command is accounted for.
 */

import type { Settings } from '../config/settings.ts'
import type { ControlAccess } from '../config/settings-control.ts'
import type { Room } from '../console/waiting-room.ts'
import type { EventBus } from '../events/events.ts'
import { QuietAlarms } from '../events/quiet-alarms.ts'
import { hostnameOf } from '../hostname.ts'
import type { Datasources } from '../policy/datasource/datasource.ts'
import { AuthFailures } from '../smtp/auth/failures.ts'
import { HashQueue } from '../smtp/auth/hash-queue.ts'
import { findSchemes } from '../smtp/auth/schemes.ts'
import { CredentialStores } from '../smtp/auth/stores.ts'
import type { Acquaintances } from './acquaintances.ts'
import { type Arrival, ConsoleDoor, type Doors, type Material } from './console-door.ts'
import { OperatorGroups, operatorDatasources } from './groups.ts'
import { Rights } from './rights.ts'

/** milliseconds between two lines of the panic log that say the same */
const QUIET_MS = 10_000

/** What belongs to one configuration. */
interface DoorMaterial extends Material {
  readonly datasources: Datasources
}

export class ConsoleDoors implements Doors {
  readonly events: EventBus
  readonly clock: () => number
  readonly failures: AuthFailures
  readonly acquaintances: Acquaintances
  readonly #hashes = new HashQueue()
  #material: DoorMaterial | undefined
  readonly alarm: (text: string) => void

  constructor(events: EventBus, clock: () => number, acquaintances: Acquaintances) {
    this.events = events
    this.acquaintances = acquaintances
    this.clock = clock
    this.failures = new AuthFailures(clock)
    this.alarm = new QuietAlarms({ events, module: 'console', clock, interval: QUIET_MS }).tell
  }

  /** Ready for a configuration; `commit` puts it in force. */
  prepare(settings: Settings): { commit(): void; rollback(): Promise<void> } {
    const datasources = operatorDatasources(settings)
    // a script that could let operators in is never asked: `check` says so
    const policy = {
      offers: undefined,
      wants: () => false,
      ask: () => Promise.reject(new Error('no policy')),
    }
    const { schemes } = findSchemes({ settings, datasources, policy, hashes: this.#hashes })
    const material: DoorMaterial = {
      settings,
      datasources,
      stores: new CredentialStores({ queue: this.#hashes, schemes }),
      hostname: hostnameOf(settings),
      rights: new Rights({
        roles: settings.roles,
        groups: new OperatorGroups(settings, datasources),
        alarm: this.alarm,
      }),
    }
    return {
      commit: () => {
        const before = this.#material
        this.#material = material
        void before?.datasources.close().catch(() => undefined)
      },
      rollback: () => datasources.close(),
    }
  }

  /** Nothing is asked any more. */
  async close(): Promise<void> {
    await this.#material?.datasources.close()
    this.#material = undefined
  }

  /** undefined: who comes there is turned away. */
  open(arrival: Arrival): ConsoleDoor | undefined {
    const access = this.accessOf(arrival)
    return access === undefined || access.denied ? undefined : new ConsoleDoor(this, arrival, access)
  }

  roomOf(arrival: Arrival): Room {
    const { address } = arrival
    if (address === '') return 'local'
    const isExpected = this.acquaintances.has(address) || this.accessOf(arrival)?.expected === true
    return isExpected ? 'expected' : 'strangers'
  }

  /** What holds now; undefined: the configuration in force has no such Listen. */
  accessOf({ listener, address }: Arrival): ControlAccess | undefined {
    const listen = this.#material?.settings.controlListens.find(({ instance }) => instance === listener)
    return listen?.scope.options.enable ? listen.access(address) : undefined
  }

  /** @throws Error before a configuration is in force */
  get material(): DoorMaterial {
    if (this.#material === undefined) throw new Error('no configuration is in force')
    return this.#material
  }
}
