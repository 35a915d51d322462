/**
 * What a line of the console is about: `esmtp_listener listen :25 idle_time = 5` → the scope, the option and the text
 * of the value (momentum: console-commands/config). Names are taken as the configuration takes them: what is unknown,
 * not valid there or not implemented is refused, and a mistyped name gets the nearest one.
 */

import { ConfigError, type Diagnostic } from '../diagnostic.ts'
import { suggestion } from '../edit-distance.ts'
import { anonymousScopes, namedScopes } from '../instances.ts'
import { displayName, displayScopes, findOption, findStanza, namesIn } from '../known-names.ts'
import { neverOptions } from '../never-options.ts'
import type { OptionRow, ScopeName } from '../option-row.ts'
import { parse } from '../parser.ts'
import { quote } from '../render.ts'
import { isSecret } from '../secrets.ts'
import type { Value } from '../tree.ts'
import { CONSOLE, type SetChange } from './change.ts'
import { findScope, type ScopeTree } from './scope-tree.ts'
import { describePath, type ScopePath, scopeAt, stepTo } from './steps.ts'

export interface Word {
  readonly text: string
  readonly quoted: boolean
}

export interface Target {
  readonly path: ScopePath
  /** in lower case; undefined: the scope itself */
  readonly option: string | undefined
}

/** Words of a line that end at blanks and at `=`, one after the other. */
export class LineReader {
  readonly #line: string
  #at = 0

  constructor(line: string) {
    this.#line = line
  }

  /** The next word, which is taken; undefined at the end. @throws ConfigError for a quote that is not closed */
  take(): Word | undefined {
    const found = this.#match()
    if (found === undefined) return undefined
    this.#at = found.end
    return found.word
  }

  /** The same without taking it. */
  peek(): Word | undefined {
    return this.#match()?.word
  }

  /** What has not been taken. */
  rest(): string {
    return this.#line.slice(this.#at).trim()
  }

  #match(): { readonly word: Word; readonly end: number } | undefined {
    if (this.rest() === '') return undefined
    const pattern = /\s*(?:"(?<double>(?:[^"\\]|\\.)*)"|'(?<single>[^']*)'|(?<plain>=|[^\s"'=]+))/y
    pattern.lastIndex = this.#at
    const groups = pattern.exec(this.#line)?.groups
    if (groups === undefined) throw mistake('a quote is not closed, or stands inside a word')
    const { double, single, plain = '' } = groups
    const text = double?.replace(/\\(["\\])/g, '$1') ?? single ?? plain
    return { word: { text, quoted: double !== undefined || single !== undefined }, end: pattern.lastIndex }
  }
}

/** Reads the names of scopes and, behind them, of an option. @throws ConfigError */
export function readTarget(line: LineReader, tree: ScopeTree): Target {
  const path: ScopePath[number][] = []
  for (let word = line.take(); word !== undefined; word = line.take()) {
    const scope = scopeAt(path)
    const name = word.text.toLowerCase()
    const stanza = scope === undefined ? undefined : findStanza(name, scope)?.kind
    if (stanza === undefined || stanza === 'elsewhere' || word.quoted) {
      checkOption(word, path)
      return { path, option: name }
    }
    path.push(stepTo(scope, name, takeInstance(line, { name, path, tree })))
  }
  return { path, option: undefined }
}

interface Around {
  readonly name: string
  readonly path: ScopePath
  readonly tree: ScopeTree
}

/** undefined: the stanza has none, or it is left out where there is but one without a name */
function takeInstance(line: LineReader, { name, path, tree }: Around): string | undefined {
  const parent = scopeAt(path)
  const { scope } = stepTo(parent, name, undefined)
  if (scope !== undefined && anonymousScopes.includes(scope)) return undefined
  const next = line.peek()
  if (scope !== undefined && namedScopes.includes(scope)) {
    if (next !== undefined && next.text !== '=') return line.take()?.text
    const there = instancesOf(tree, path, name)
    const hint = there.length === 0 ? '' : `; there are ${there.map((each) => quote(each)).join(', ')}`
    throw mistake(`${displayName(name)} needs an instance${hint}`)
  }
  if (next === undefined || next.text === '=') return undefined
  const known = findScope(tree, [...path, stepTo(parent, name, next.text)]) !== undefined
  if (!next.quoted && !known && (scope === undefined || isName(next.text, scope))) return undefined
  return line.take()?.text
}

function instancesOf(tree: ScopeTree, path: ScopePath, name: string): readonly string[] {
  return [...(findScope(tree, path)?.children.values() ?? [])]
    .filter(({ step }) => step?.name === name)
    .flatMap(({ step }) => step?.instance ?? [])
    .slice(0, 10)
}

function isName(text: string, scope: ScopeName): boolean {
  const name = text.toLowerCase()
  const [option, stanza] = [findOption(name, scope)?.kind, findStanza(name, scope)?.kind]
  return (option ?? 'elsewhere') !== 'elsewhere' || (stanza ?? 'elsewhere') !== 'elsewhere'
}

function checkOption({ text, quoted }: Word, path: ScopePath): void {
  const scope = scopeAt(path)
  // whatever stands in a stanza that is not read
  if (scope === undefined) return
  const name = text.toLowerCase()
  const found = quoted ? undefined : findOption(name, scope)
  const where = path.length === 0 ? 'the global scope' : describePath(path.slice(-1))
  if (found === undefined) {
    const elsewhere = findStanza(name, scope)
    if (elsewhere?.kind === 'elsewhere')
      throw mistake(
        `${displayName(name)} is not valid in ${where}; it is valid in ${displayScopes(elsewhere.scopes)}`,
      )
    throw mistake(`unknown option or stanza ${quote(text)} in ${where}${suggestion(text, namesIn(scope))}`)
  }
  if (found.kind === 'elsewhere')
    throw mistake(
      `${displayName(name)} is not valid in ${where}; it is valid in ${displayScopes(found.scopes)}`,
    )
}

/** The row of an option that acts there. */
export function rowOf({ path, option = '' }: Target): OptionRow<unknown> | undefined {
  const scope = scopeAt(path)
  const found = scope === undefined ? undefined : findOption(option, scope)
  return found?.kind === 'acts' ? found.row : undefined
}

/** The same of one that can be set. @throws ConfigError for one that would do nothing */
export function settableRow(target: Target): OptionRow<unknown> {
  const { path, option } = target
  if (option === undefined) throw mistake('say which option, and its value')
  const row = rowOf(target)
  if (row !== undefined) return row
  const what = scopeAt(path) === undefined ? describePath(path.slice(-1)) : displayName(option)
  const never = scopeAt(path) === undefined ? undefined : neverOptions[option.toLowerCase()]
  if (never !== undefined) throw mistake(`${what} never acts: ${never.instead}`)
  throw mistake(`${what} is recognised, not implemented: setting it would do nothing`)
}

/**
 * The value that a text of the configuration's language is. A list or a dictionary as one quoted word, as a shell makes
 * it of its arguments, is taken as that where the option takes it as that.
 * @throws ConfigError with places in `text`
 */
export function readValue(text: string, row: OptionRow<unknown>, directory: string): Value {
  const { statements, diagnostics } = parse(`v = ${text}`, CONSOLE)
  const [first, ...more] = statements
  const wrong = diagnostics.find(({ severity }) => severity === 'error')
  if (wrong !== undefined && /^["'([]/.test(text)) throw mistake(wrong.message)
  if (wrong !== undefined || first?.kind !== 'assignment' || more.length > 0)
    throw mistake('this is not one value: text with blanks stands in quotes, a list in ( )')
  const { value } = first
  if (value.kind !== 'scalar' || !/^[([].*[)\]]$/s.test(value.text.trim())) return value
  const inner = parse(`v = ${value.text}`, CONSOLE)
  const [whole] = inner.statements
  if (inner.diagnostics.length > 0 || inner.statements.length !== 1 || whole?.kind !== 'assignment')
    return value
  const silent = { directory, error: () => undefined, warning: () => undefined }
  return row.codec(whole.value, silent) === undefined ? value : whole.value
}

/** What the option's own rule says against the value of a change. */
export function wrongValue({ path, option, value }: SetChange, directory: string): readonly Diagnostic[] {
  const found: Diagnostic[] = []
  const plain = (tail: string): string => (isSecret(option) ? tail.replace(/, not ".*$/s, '') : tail)
  rowOf({ path, option })?.codec(value, {
    directory,
    error: (tail, at) =>
      void found.push({ severity: 'error', message: `${displayName(option)} ${plain(tail)}`, at }),
    warning: () => undefined,
  })
  return found
}

export function mistake(message: string): ConfigError {
  return new ConfigError([{ severity: 'error', message }])
}
