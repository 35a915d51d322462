/**
 * Which commands whom (momentum: control-authz): the roles of a user are his name and the groups that he is in, and a
 * command is allowed when a pattern of one of these roles is found in it. What nothing allows is denied, and so is a command
 * over which a pattern takes too long: an operator chooses the command, and the process has mail to serve.
 */

import { createContext, Script } from 'node:vm'

export interface Role {
  readonly name: string
  readonly allow: readonly RegExp[]
}

/** Lines `group:user,user` or `group:password:user,user`; `#` opens a comment line. */
export function parseGroups(text: string): ReadonlyMap<string, readonly string[]> {
  const byUser = new Map<string, string[]>()
  for (const line of text.split(/\r?\n/)) {
    if (line.trim() === '' || line.startsWith('#')) continue
    const parts = line.split(':')
    const [group = '', second = '', third] = parts.map((part) => part.trim())
    if (group === '' || parts.length < 2 || parts.length > 3) continue
    for (const user of (third ?? second).split(/[\s,]+/)) {
      if (user !== '') byUser.set(user, [...(byUser.get(user) ?? []), group])
    }
  }
  return byUser
}

/** milliseconds for all patterns together */
const PATTERNS_MS = 100

/** The role that allows it, the first in the configuration's order; undefined: none does. @throws PatternTimeout */
export function allowingRole(
  mine: readonly string[],
  roles: readonly Role[],
  command: string,
): string | undefined {
  const own = roles.filter(({ name }) => mine.includes(name))
  return inTime(() => own.find(({ allow }) => allow.some((each) => each.test(command)))?.name)
}

/** A pattern of a Role is one that a command can make search for ever. */
export class PatternTimeout extends Error {
  constructor() {
    super(`the patterns of Role take more than ${PATTERNS_MS} milliseconds over a command, which is denied`)
    this.name = 'PatternTimeout'
  }
}

const place = createContext({}) as { work?: () => unknown }
const script = new Script('work()')

/** Nothing else ends a regular expression that searches. */
function inTime<T>(work: () => T): T {
  place.work = work
  try {
    return script.runInContext(place, { timeout: PATTERNS_MS }) as T
  } catch (error) {
    const late = (error as NodeJS.ErrnoException).code === 'ERR_SCRIPT_EXECUTION_TIMEOUT'
    throw late ? new PatternTimeout() : error
  } finally {
    delete place.work
  }
}
