/**
 * The one table of commands: what may be typed, and what answers. Help, completion, the documentation's tests and the
 * client all read it. Commands that scripts registered (`msys.registerControl`) come after these and cannot take the
 * place of one.
 */

import { suggestion } from '../config/edit-distance.ts'
import { type Answer, ConsoleError } from './answer.ts'
import { type CommandContext, type ConsoleCommand, usageOf } from './command.ts'
import { authorizationCommands } from './commands-authorization.ts'
import { configurationCommands } from './commands-configuration.ts'
import { generalCommands } from './commands-general.ts'
import { mailCommands } from './commands-mail.ts'
import { tlsCommands } from './commands-tls.ts'
import { countCommands } from './inside/commands-counts.ts'
import { lookupCommands } from './inside/commands-lookups.ts'
import { processCommands } from './inside/commands-processes.ts'
import { traceCommands } from './inside/commands-trace.ts'
import { actCommands } from './queue/commands-acts.ts'
import { connectionCommands } from './queue/commands-connections.ts'
import { queueCommands } from './queue/commands-queue.ts'
import { refreshCommands } from './queue/commands-refresh.ts'
import { fromBytes } from './render.ts'
import type { ConsoleServices, ScriptCommands } from './services.ts'

const help: ConsoleCommand = {
  name: 'help',
  arguments: '[COMMAND]',
  help: 'lists the commands, or says how one is used',
  run: (args, services) => (args.length === 0 ? listAll(services) : describe(args, services)),
}

/** in the order of `help` */
export const consoleCommands: readonly ConsoleCommand[] = [
  help,
  ...generalCommands,
  ...authorizationCommands,
  ...configurationCommands,
  ...mailCommands,
  ...queueCommands,
  ...actCommands,
  ...connectionCommands,
  ...refreshCommands,
  ...tlsCommands,
  ...lookupCommands,
  ...processCommands,
  ...traceCommands,
  ...countCommands,
]

/** Runs one command. @throws ConsoleError when there is no such command, or it cannot be done */
export async function runCommand(
  words: readonly string[],
  services: ConsoleServices,
  context: CommandContext,
): Promise<Answer> {
  const command = findCommand(words)
  if (command !== undefined) {
    const args = words.slice(command.name.split(' ').length)
    if (command.arguments === '' && args.length > 0)
      throw new ConsoleError(`nothing may follow ${JSON.stringify(command.name)}`)
    return await command.run(args, services, context)
  }
  const answer = await services.scripts()?.command(words.map(toBytes))
  if (answer === undefined) throw unknown(words, services)
  const lines = fromBytes(answer.output).replace(/\n$/, '').split('\n')
  if (answer.kind === 'done') return { kind: 'document', data: { output: fromBytes(answer.output) }, lines }
  throw new ConsoleError([...lines.filter((line) => line !== ''), fromBytes(answer.message)].join('\n'))
}

/** The command with the most words that begins these. */
export function findCommand(words: readonly string[]): ConsoleCommand | undefined {
  const line = `${words.map((word) => word.toLowerCase()).join(' ')} `
  return consoleCommands
    .filter(({ name }) => line.startsWith(`${name} `))
    .toSorted((a, b) => b.name.length - a.name.length)[0]
}

function listAll(services: ConsoleServices): Answer {
  const own = consoleCommands.map(({ name, arguments: rest, help: does }) => ({
    command: name,
    arguments: rest,
    help: does,
  }))
  const scripts = scriptWords(services.scripts()).map((word) => ({
    command: word,
    arguments: '',
    help: 'a command of a script',
  }))
  const all = [...own, ...scripts]
  const width = Math.max(...all.map(({ command }) => command.length))
  return {
    kind: 'document',
    data: all,
    lines: all.map(({ command, help: does }) => `${command.padEnd(width)}  ${does}`),
  }
}

function describe(args: readonly string[], services: ConsoleServices): Answer {
  const line = args.join(' ').toLowerCase()
  const found = consoleCommands.filter(({ name }) => name === line || name.startsWith(`${line} `))
  if (found.length === 0) {
    if (scriptWords(services.scripts()).includes(args[0] ?? ''))
      return { kind: 'value', key: 'help', value: 'a script registered this command (msys.registerControl)' }
    throw unknown(args, services)
  }
  return {
    kind: 'document',
    data: found.map((command) => ({ usage: usageOf(command), help: command.help })),
    lines: found.flatMap((command) => [usageOf(command), `    ${command.help}`]),
  }
}

function unknown(words: readonly string[], services: ConsoleServices): ConsoleError {
  const line = words.join(' ')
  const names = [...consoleCommands.map(({ name }) => name), ...scriptWords(services.scripts())]
  const group = consoleCommands.filter(({ name }) => name.startsWith(`${words[0]?.toLowerCase() ?? ''} `))
  const hint = suggestion(line, names)
  const tail =
    hint !== ''
      ? hint
      : group.length > 0
        ? `; there are ${group.map(({ name }) => name).join(', ')}`
        : '; help lists the commands'
  return new ConsoleError(`there is no command ${JSON.stringify(line)}${tail}`)
}

function scriptWords(scripts: ScriptCommands | undefined): readonly string[] {
  return (scripts?.commands ?? []).map(fromBytes)
}

/** Scripts read byte strings. */
function toBytes(word: string): string {
  return Buffer.from(word, 'utf8').toString('latin1')
}
