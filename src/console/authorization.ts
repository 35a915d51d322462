/**
 * Which commands whom (momentum: control-authz): the roles of a user are his name and the groups that he is in, and a
 * command is allowed when a pattern of one of these roles is found in it. What nothing allows is denied.
 */

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

/** The role that allows it, the first in the configuration's order; undefined: none does. */
export function allowingRole(
  mine: readonly string[],
  roles: readonly Role[],
  command: string,
): string | undefined {
  const found = roles.find(
    ({ name, allow }) => mine.includes(name) && allow.some((each) => each.test(command)),
  )
  return found?.name
}
