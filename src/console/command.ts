/** What the one table of commands holds (`commands.ts`). */

import type { Answer } from './answer.ts'
import { ConsoleError } from './answer.ts'
import type { Standing } from './door.ts'
import type { Operator } from './operator.ts'
import type { ConsoleServices } from './services.ts'

/** About the one command that is being run. */
export interface CommandContext {
  /** who gave it: for audit lines */
  readonly operator: Operator
  /** the line as it was typed, quotes included, without `json` before it; the words stand for it where it is absent */
  readonly line?: string
  /** one for each connection, aborted when that ends; absent: there is nothing that could last longer than a command */
  readonly connection?: AbortSignal
  /** what the operator may; absent: nobody knows */
  readonly standing?: () => Promise<Standing>
  /** for a command that goes on, and tells what happens until the client sends a further line; absent: nobody listens */
  readonly follow?: () => Followed
}

export interface Followed {
  /** Tells more. @returns false when the client is gone or does not read */
  readonly more: (text: string) => Promise<boolean>
  /** aborted when the client has sent a further line, or is gone */
  readonly stop: AbortSignal
}

export interface ConsoleCommand {
  /** `tls show cache` */
  readonly name: string
  /** what follows the name: `[-d DOMAIN]… [-l N]`; '' when nothing may */
  readonly arguments: string
  /** one line */
  readonly help: string
  /** @throws ConsoleError for what cannot be done */
  readonly run: (
    args: readonly string[],
    services: ConsoleServices,
    context: CommandContext,
  ) => Answer | Promise<Answer>
}

export function usageOf({ name, arguments: rest }: ConsoleCommand): string {
  return rest === '' ? name : `${name} ${rest}`
}

/**
 * Takes options apart: `-d a -d b -l 5`.
 * @param known the options that there are
 * @throws ConsoleError for anything else
 */
export function takeOptions(
  args: readonly string[],
  known: readonly string[],
): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, readonly string[]>()
  for (let at = 0; at < args.length; at += 2) {
    const [name = '', value] = args.slice(at, at + 2)
    if (!known.includes(name))
      throw new ConsoleError(`${JSON.stringify(name)} is no option here; there are ${known.join(', ')}`)
    if (value === undefined) throw new ConsoleError(`${name} needs a value`)
    found.set(name, [...(found.get(name) ?? []), value])
  }
  return found
}

/** @throws ConsoleError */
export function takeCount(text: string): number {
  if (!/^\d{1,6}$/.test(text)) throw new ConsoleError(`${JSON.stringify(text)} is not a whole number`)
  return Number(text)
}
