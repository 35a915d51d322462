/**
 * What roles let an operator do, on the console and on the page: those of his name and of his groups, as they are now. What
 * cannot be told is denied, also by a role of his own name.
 */

import type { ControlAuthorization, GroupsSource, RoleSettings } from '../config/settings-control.ts'
import { allowingRole, PatternTimeout } from '../console/authorization.ts'
import type { Standing } from '../console/door.ts'
import { AuthUnavailableError } from '../smtp/auth/store.ts'
import type { OperatorGroups } from './groups.ts'

export type RoleFinding =
  /** `role`: '' for what everybody may */
  { readonly kind: 'allowed'; readonly role: string } | { readonly kind: 'denied'; readonly reason: string }

const DENIED = 'Not Authorized for this command'

/** What anybody may ask who is in: which commands there are, and who he is. */
const always: readonly RegExp[] = [/^help(?: |$)/, /^authz id$/]

export interface RightsParts {
  readonly roles: readonly RoleSettings[]
  readonly groups: OperatorGroups
  /** for the panic log */
  readonly alarm: (text: string) => void
}

export class Rights {
  readonly #parts: RightsParts

  constructor(parts: RightsParts) {
    this.#parts = parts
  }

  /** @param name undefined: nobody knows who he is */
  async judge(
    { groups }: ControlAuthorization,
    name: string | undefined,
    command: string,
  ): Promise<RoleFinding> {
    if (always.some((each) => each.test(command))) return { kind: 'allowed', role: '' }
    // who he says he is nobody knows
    if (name === undefined) return { kind: 'denied', reason: DENIED }
    const mine = await this.#groupsOf(groups, name)
    if (mine === undefined)
      return { kind: 'denied', reason: `${DENIED}: your groups cannot be told at the moment` }
    try {
      const role = allowingRole([name, ...mine], this.#parts.roles, command)
      return role === undefined ? { kind: 'denied', reason: DENIED } : { kind: 'allowed', role }
    } catch (error) {
      if (!(error instanceof PatternTimeout)) throw error
      this.#parts.alarm(error.message)
      return { kind: 'denied', reason: DENIED }
    }
  }

  /** @param authorization undefined: nobody asks for roles */
  async standing(
    authorization: ControlAuthorization | undefined,
    name: string | undefined,
  ): Promise<Standing> {
    if (authorization === undefined || name === undefined)
      return { groups: [], source: undefined, roles: authorization && [] }
    const groups = await this.#groupsOf(authorization.groups, name)
    const mine = this.#parts.roles.filter((role) => role.name === name || groups?.includes(role.name))
    const roles = groups === undefined ? [] : mine.map((role) => role.name)
    return { groups, source: authorization.groups?.text, roles }
  }

  /** undefined: nobody can tell */
  async #groupsOf(source: GroupsSource | undefined, name: string): Promise<readonly string[] | undefined> {
    if (source === undefined) return []
    try {
      return await this.#parts.groups.of(source, name)
    } catch (error) {
      this.#parts.alarm(error instanceof AuthUnavailableError ? error.message : 'authorization failed')
      return undefined
    }
  }
}
