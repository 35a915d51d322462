/** What queue commands are given: which messages, and how (momentum: console-commands/fail-domain-quiet). */

import type { Egress } from '../../config/settings-queue.ts'
import type { Filter, Selection } from '../../delivery/operator/orders.ts'
import { queueDomain } from '../../delivery/operator/select.ts'
import { ConsoleError } from '../answer.ts'
import type { ConsoleServices } from '../services.ts'

/** How the clauses are written in usage lines. */
export const FILTER_USAGE = '[--meta KEY VALUE | --header NAME LINE]'

export interface Clauses {
  readonly dryRun: boolean
  readonly filter: Filter | undefined
  /** options with one value, by name */
  readonly values: ReadonlyMap<string, string>
  /** what is left, in its order */
  readonly rest: readonly string[]
}

/**
 * Takes `--dry-run`, wherever it stands, and clauses in front of the first other word.
 * @param known further options with one value, which may stand in front or between
 * @throws ConsoleError
 */
export function takeClauses(args: readonly string[], known: readonly string[] = []): Clauses {
  const words = args.filter((word) => word !== '--dry-run')
  const values = new Map<string, string>()
  let filter: Filter | undefined
  while (words[0]?.startsWith('--') === true) {
    const name = words.shift() ?? ''
    const needed = name === '--meta' || name === '--header' ? 2 : 1
    const [first, second] = words.splice(0, needed)
    if (name !== '--meta' && name !== '--header' && !known.includes(name)) {
      const there = ['--dry-run', '--meta', '--header', ...known].join(', ')
      throw new ConsoleError(`${JSON.stringify(name)} is no option here; there are ${there}`)
    }
    if (first === undefined || (needed === 2 && second === undefined))
      throw new ConsoleError(`${name} needs ${needed === 2 ? 'two values' : 'a value'}`)
    if (needed === 1) {
      if (values.has(name)) throw new ConsoleError(`${name} is there twice`)
      values.set(name, first)
      continue
    }
    if (filter !== undefined) throw new ConsoleError('there can be one --meta or --header')
    filter = filterOf(name, toBytes(first), toBytes(second ?? ''))
  }
  return { dryRun: args.includes('--dry-run'), filter, values, rest: words }
}

function filterOf(name: string, first: string, second: string): Filter {
  return name === '--meta'
    ? { kind: 'meta', key: first, value: second }
    : { kind: 'header', name: first, line: second }
}

/** @returns a domain in lower case; undefined for `all` @throws ConsoleError */
export function takeDomain(word: string | undefined, usage: string): string | undefined {
  if (word === undefined) throw new ConsoleError(`say which domain: ${usage}`)
  return word.toLowerCase() === 'all' ? undefined : oneDomain(word)
}

/** @throws ConsoleError for what cannot be a domain */
export function oneDomain(word: string): string {
  const domain = queueDomain(toBytes(word))
  if (domain === undefined) throw new ConsoleError(`${JSON.stringify(word)} is not a domain`)
  return domain
}

/**
 * `NAME` in any group, `GROUP/NAME`, or `all`.
 * @throws ConsoleError
 */
export function takeBinding(
  word: string | undefined,
  usage: string,
): Pick<Selection, 'binding' | 'bindingGroup'> {
  if (word === undefined || word === '') throw new ConsoleError(`say which binding: ${usage}`)
  if (word.toLowerCase() === 'all') return {}
  const { group, binding } = divided(word)
  return group === undefined ? { binding } : { bindingGroup: group, binding }
}

/** Up to the first slash it is the group: nothing else must be meant by a name that has one. */
function divided(word: string): { readonly group: string | undefined; readonly binding: string } {
  const slash = word.indexOf('/')
  return slash < 0
    ? { group: undefined, binding: word }
    : { group: word.slice(0, slash), binding: word.slice(slash + 1) }
}

/** A binding that the configuration has. @throws ConsoleError */
export function configuredBinding(word: string, { settings }: Pick<ConsoleServices, 'settings'>): Egress {
  const { group, binding } = divided(word)
  const found = settings().findBinding(binding, group)
  if (found === undefined || (group !== undefined && found.bindingGroup !== group))
    throw new ConsoleError(`the configuration has no binding ${JSON.stringify(word)}`)
  return found
}

/** @throws ConsoleError for words that are left over */
export function nothingElse(words: readonly string[], usage: string): void {
  if (words.length > 0) throw new ConsoleError(`${JSON.stringify(words[0])} is too much: ${usage}`)
}

/** Wire and queue have byte strings. */
export function toBytes(word: string): string {
  return Buffer.from(word, 'utf8').toString('latin1')
}
