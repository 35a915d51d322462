/** Where in a policy's text something is wrong: Node's errors as places and sentences. */

import { execFile } from 'node:child_process'
import path from 'node:path'
import { promisify } from 'node:util'
import type { Position } from '../../config/diagnostic.ts'
import { type ModuleText, policyFile } from './modules.ts'

/** A name's place in a text. */
type Place = Omit<Position, 'file'>

export interface Finding {
  readonly message: string
  readonly at: Position
}

/** How a file is called in messages. */
export type Shown = (file: string) => string

/** Why a module could not be loaded. */
export async function explainLoadError(error: unknown, module: ModuleText, shown: Shown): Promise<Finding> {
  const message = describeError(error)
  const found =
    atCaret(error, shown) ??
    atMissingImport(error, module, shown) ??
    (error instanceof SyntaxError ? await byParsing(module, shown) : undefined) ??
    position(ownFrame(error), shown)
  return { message, at: found ?? { file: shown(module.path), line: 1, column: 1, length: 1 } }
}

/** Where a policy's code stood when an error was made, as `FILE:LINE:COLUMN`; it may be a policy of the program's own. */
export function placeOf(error: unknown, shown: Shown): string | undefined {
  const outside = frames(error).find(({ url }) => !url.startsWith(HERE))
  const at = position(ownFrame(error) ?? outside, shown)
  return at && `${at.file}:${at.line}:${at.column}`
}

/** Whether a policy's code stood where an error was made. */
export function isPolicyError(error: unknown): boolean {
  return ownFrame(error) !== undefined
}

/** An error that reached nobody, with its place if a policy's code is to be seen in its stack. */
export function describeStray(error: unknown): string {
  const place = placeOf(error, (file) => file)
  return place === undefined ? describeError(error) : `${place}: ${describeError(error)}`
}

/** An error in one line. Whatever a policy threw: nothing about it is believed. */
export function describeError(error: unknown): string {
  try {
    if (!(error instanceof Error)) return `threw ${JSON.stringify(error) ?? String(error)}`
    const [text = ''] = error.message.split('\n')
    const cause = error.cause instanceof Error ? ` (${error.cause.message.split('\n')[0]})` : ''
    return error.name === 'Error' ? `${text}${cause}` : `${error.name}: ${text}${cause}`
  } catch {
    return 'threw something that cannot be shown'
  }
}

/** The first place where a name is written as a key or a method. */
export function placeOfName(text: string, name: string): Place | undefined {
  const written = `(?:async\\s+)?(['"]?)${escapeRegExp(name)}\\1\\s*`
  const method = new RegExp(`(?:^|[{,])\\s*${written}[(:]`, 'm')
  const anything = new RegExp(`(?:^|[\\s{,])${written}[(:,=}]`, 'm')
  // a method may have the name of something that is imported
  const policy = Math.max(0, text.search(/\bdefinePolicy\s*\(\s*\{/))
  const inside = text.slice(policy)
  const match = method.exec(inside) ?? anything.exec(inside)
  const start = match === null ? 0 : policy
  const found = match ?? anything.exec(text)
  if (found === null) return undefined
  return { ...placeAt(text, start + found.index + found[0].indexOf(name)), length: name.length }
}

/** What V8 and Node's parser of TypeScript put in front of a stack: the file, lines of it, and a caret. */
function atCaret(error: unknown, shown: Shown): Position | undefined {
  const stack = stackOf(error)
  const [, url = '', line] = /^(file:[^\n]*):(\d+)\n/.exec(stack) ?? []
  const file = policyFile(url)
  const [, indent, carets] = /\n([ \t]*)(\^+)[ \t]*\n/.exec(stack) ?? []
  if (file === undefined || indent === undefined || carets === undefined) return undefined
  return { file: shown(file), line: Number(line), column: indent.length + 1, length: carets.length }
}

function atMissingImport(error: unknown, { texts }: ModuleText, shown: Shown): Position | undefined {
  if (!(error instanceof Error)) return undefined
  const [, missing, importer = ''] =
    /^Cannot find (?:module|package) '([^']+)' imported from (.+)$/m.exec(error.message) ?? []
  const text = texts.get(importer)
  if (missing === undefined || text === undefined) return undefined
  const name = escapeRegExp(path.basename(missing))
  const match = new RegExp(`(['"])(?:[^'"\\n]*/)?${name}(?:/[^'"\\n]*)?\\1`).exec(text)
  if (match === null) return undefined
  return { file: shown(importer), ...placeAt(text, match.index), length: match[0].length }
}

/** Node keeps the place of a syntax error in JavaScript to itself, except on the command line. */
async function byParsing({ texts }: ModuleText, shown: Shown): Promise<Position | undefined> {
  for (const file of texts.keys()) {
    if (!/\.m?js$/.test(file)) continue
    const said = await promisify(execFile)(process.execPath, ['--check', file], { timeout: 5000 }).then(
      () => '',
      ({ stderr }: { readonly stderr?: string }) => stderr ?? '',
    )
    const [, line] = /^[^\n]*:(\d+)\n/.exec(said) ?? []
    const [, indent, carets] = /\n([ \t]*)(\^+)[ \t]*\n/.exec(said) ?? []
    if (line === undefined || indent === undefined || carets === undefined) continue
    return { file: shown(file), line: Number(line), column: indent.length + 1, length: carets.length }
  }
  return undefined
}

/** One line of a stack. */
interface Frame {
  readonly url: string
  readonly line: number
  readonly column: number
}

/** Innermost first. */
function frames(error: unknown): Frame[] {
  const lines = stackOf(error).matchAll(/^ +at .*?\(?(file:[^()\n]*):(\d+):(\d+)\)?$/gm)
  return Array.from(lines, ([, url = '', line, column]) => ({
    url,
    line: Number(line),
    column: Number(column),
  }))
}

/** The innermost frame that is a loaded policy's. */
function ownFrame(error: unknown): Frame | undefined {
  return frames(error).find(({ url }) => policyFile(url) !== undefined)
}

function position(frame: Frame | undefined, shown: Shown): Position | undefined {
  if (frame === undefined) return undefined
  const file = policyFile(frame.url)
  const { url, line, column } = frame
  return { file: file === undefined ? url.replace(/^file:\/\//, '') : shown(file), line, column, length: 1 }
}

/** the folder of this program's source, as a URL */
const HERE = new URL('../../', import.meta.url).href

function stackOf(error: unknown): string {
  return error instanceof Error && typeof error.stack === 'string' ? error.stack : ''
}

function placeAt(text: string, index: number): Place {
  const before = text.slice(0, index).split('\n')
  return { line: before.length, column: (before.at(-1)?.length ?? 0) + 1, length: 1 }
}

function escapeRegExp(text: string): string {
  return text.replaceAll(/[\\^$.*+?()[\]{}|/-]/g, '\\$&')
}
