/** Who one is, and what one may do (momentum: console-commands/authz-id, authz-roles-list). */

import type { Answer } from './answer.ts'
import type { CommandContext, ConsoleCommand } from './command.ts'
import type { ConsoleServices } from './services.ts'

export const authorizationCommands: readonly ConsoleCommand[] = [
  {
    name: 'authz id',
    arguments: '',
    help: 'who you are, how that is known, and the groups that you are in',
    run: (_args, _services, context) => identity(context),
  },
  {
    name: 'authz roles list',
    arguments: '',
    help: 'the roles of Authorization, each with the commands that it allows',
    run: (_args, services) => roles(services),
  },
]

async function identity({ operator, groups }: CommandContext): Promise<Answer> {
  const mine = (await groups?.()) ?? []
  const { name, known, from } = operator
  return {
    kind: 'document',
    data: { user: name, known, from, groups: mine },
    lines: [
      `${name} (${ways[known]}), from ${from}`,
      `groups: ${mine.length === 0 ? 'none' : mine.join(', ')}`,
    ],
  }
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
