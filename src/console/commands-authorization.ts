/** Who one is, and what one may do (momentum: console-commands/authz-id, authz-roles-list). */

import type { Answer } from './answer.ts'
import type { CommandContext, ConsoleCommand } from './command.ts'
import type { ConsoleServices } from './services.ts'

export const authorizationCommands: readonly ConsoleCommand[] = [
  {
    name: 'authz id',
    arguments: '',
    help: 'who you are, how that is known, the groups that you are in, and your roles',
    run: (_args, _services, context) => identity(context),
  },
  {
    name: 'authz roles list',
    arguments: '',
    help: 'the roles of Authorization, each with the commands that it allows',
    run: (_args, services) => roles(services),
  },
]

async function identity({ operator, standing }: CommandContext): Promise<Answer> {
  const { groups, source, roles } = (await standing?.()) ?? { groups: [], source: undefined, roles: [] }
  const { name, known, from } = operator
  const asked = source === undefined ? '' : ` (${source})`
  return {
    kind: 'document',
    data: { user: name, known, from, groups: groups ?? null, source: source ?? null, roles: roles ?? null },
    lines: [
      `${name} (${ways[known]}), from ${from}`,
      `groups: ${groups === undefined ? 'nobody can tell at the moment' : listOf(groups)}${asked}`,
      `roles: ${roles === undefined ? 'not asked for here, you may do everything' : listOf(roles)}`,
    ],
  }
}

function listOf(names: readonly string[]): string {
  return names.length === 0 ? 'none' : names.join(', ')
}

const ways: Readonly<Record<CommandContext['operator']['known'], string>> = {
  password: 'by password',
  certificate: 'by certificate',
  'system-user': 'user of this machine',
  not: 'nobody knows who',
}

function roles({ settings }: ConsoleServices): Answer {
  return {
    kind: 'table',
    columns: [
      { key: 'role', head: 'Role' },
      { key: 'allow', head: 'Allow' },
    ],
    rows: settings().roles.flatMap(({ name, allow }) =>
      (allow.length === 0 ? [undefined] : allow).map((pattern) => ({ role: name, allow: pattern?.source })),
    ),
    empty: 'No roles are defined.',
  }
}
