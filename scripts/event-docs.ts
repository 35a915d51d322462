/**
 * docs/events.md from the types in src/events: each fact that the server can report, with its fields as they are declared
 * there; and docs/json-lines.md from these and the keys that are made of them. Understands the style of these files alone:
 * interfaces, one field to a line or a nested object.
 */

import { readFileSync } from 'node:fs'
import path from 'node:path'
import { eventKeys, nestedKeys } from '../src/logs/json/event-keys.ts'
import type { JsonType } from '../src/logs/json/keys.ts'
import { jsonLinesHead } from './json-lines-head.ts'

const folder = path.join(import.meta.dirname, '..', 'src', 'events')
/** where the members of `ServerEvent` are declared, and what is in them */
const files = [
  'events.ts',
  'configuration.ts',
  'decision.ts',
  'outbound-tls.ts',
  'expiry.ts',
  '../mail/envelope.ts',
]

interface EventType {
  readonly name: string
  readonly note: string
  readonly kinds: readonly string[]
  readonly fields: readonly EventField[]
}

interface EventField {
  readonly name: string
  readonly optional: boolean
  /** as declared; `object` for a nested one */
  readonly type: string
  readonly note: string
}

/** Every member of `ServerEvent`, in its order. @throws when one of them is not found */
function eventTypes(): readonly EventType[] {
  const text = sourceText()
  const [, union = ''] = /export type ServerEvent =([^]*?)\n\n/.exec(text) ?? []
  return [...union.matchAll(/\| (\w+)/g)].map(([, name = '']) => readInterface(text, name))
}

export function eventsPage(): string {
  const sections = eventTypes().map(
    ({ name, note, kinds, fields }) => `## ${kinds.map((kind) => `\`${kind}\``).join(', ')}

${note === '' ? name : note}

${fieldTable(fields, keysOf(name))}`,
  )
  return `# Events

Every fact that the server can report, made from the types in \`src/events\`: the [logs](logs.md) write them down, the
[metrics](metrics.md) count them, and the library hands them to \`onEvent\`. Times are milliseconds since the epoch, strings
that came over the wire are byte strings. The last column has the keys of a field in [lines of JSON](json-lines.md).

${sections.join('\n\n')}

## What is inside

${objects.map(objectSection).join('\n\n')}
`
}

/** shared types that fields have */
const objects = ['Envelope', 'Mailbox', 'Endpoint', 'OutboundTlsFacts', 'TlsPolicyFacts']

function objectSection(name: string): string {
  const { note, fields } = readFields(sourceText(), name)
  return `### ${name}\n\n${note === '' ? '' : `${note}\n\n`}${fieldTable(fields, keysOf(name))}`
}

function fieldTable(fields: readonly EventField[], keys: KeyTable | undefined): string {
  const rows = fields.map(({ name, optional, type, note }) => {
    const row = `| \`${name}\`${optional ? ' (may be absent)' : ''} | \`${cell(type)}\` | ${cell(note)} |`
    return keys === undefined ? row : `${row} ${keysCell(type, keys[name] ?? [])} |`
  })
  const head = ['| field | type | meaning |', '|---|---|---|']
  const wide = ['| field | type | meaning | in JSON |', '|---|---|---|---|']
  return [...(keys === undefined ? head : wide), ...rows].join('\n')
}

/** Of a nested type only what its own table has not. */
function keysCell(type: string, keys: readonly DocumentedKey[]): string {
  const inside = new Set(
    Object.values(keysOf(type) ?? {})
      .flat()
      .map(({ key }) => key),
  )
  const own = keys.filter(({ key }) => !inside.has(key)).map(({ key }) => `\`${key}\``)
  return [...(inside.size === 0 ? [] : [`those of ${type}`]), ...own].join(', ')
}

interface DocumentedKey {
  readonly key: string
  readonly type: JsonType
  readonly optional: boolean
  readonly meaning: string | undefined
}

/** keys by the field that they are made of */
type KeyTable = Readonly<Record<string, readonly DocumentedKey[]>>

/** undefined: it is in no line */
function keysOf(type: string): KeyTable | undefined {
  const tables: Readonly<Record<string, KeyTable>> = { ...eventKeys, ...nestedKeys }
  return tables[type]
}

/** Each event that has a line, with the keys of it in their order. */
export function jsonLinesPage(): string {
  const sections = eventTypes().flatMap(({ name, note, kinds, fields }) => {
    const table = keysOf(name)
    if (table === undefined) return []
    const rows = Object.entries(table).flatMap(([field, keys]) => {
      const declared = fields.find((each) => each.name === field)
      const inside = notesInside(declared?.type ?? '')
      return keys.map((each) => keyRow(each, inside.get(each.key) ?? declared?.note ?? ''))
    })
    const title = kinds.map((kind) => `\`${kind}\``).join(', ')
    return `## ${title}\n\n${note}\n\n| key | type | meaning |\n|---|---|---|\n${rows.join('\n')}`
  })
  return `${jsonLinesHead}\n${sections.join('\n\n')}\n`
}

/** What the fields of a nested type say, by the keys that are made of them. */
function notesInside(type: string): ReadonlyMap<string, string> {
  const table = keysOf(type)
  if (table === undefined) return new Map()
  const { fields } = readFields(sourceText(), type)
  return new Map(
    fields.flatMap(({ name, note }) => (table[name] ?? []).map(({ key }) => [key, note] as const)),
  )
}

/** @throws when nobody says what it means */
function keyRow({ key, type, optional, meaning }: DocumentedKey, note: string): string {
  const said = meaning ?? note
  if (said === '') throw new Error(`nobody says what ${key} means`)
  // what the declaration calls '' or undefined is not there in a line
  const shown = optional ? said.replaceAll(/''|\bundefined\b/g, 'absent') : said
  return `| \`${key}\`${optional ? ' (may be absent)' : ''} | ${type} | ${cell(shown)} |`
}

function sourceText(): string {
  return files.map((file) => readFileSync(path.join(folder, file), 'utf8')).join('\n')
}

function readInterface(text: string, name: string): EventType {
  const { note, fields } = readFields(text, name)
  const kind = fields.find((field) => field.name === 'kind')
  if (kind === undefined) throw new Error(`${name} has no kind`)
  return {
    name,
    note,
    kinds: [...kind.type.matchAll(/'([^']+)'/g)].map(([, each = '']) => each),
    fields: fields.filter((field) => field !== kind),
  }
}

/** @throws when it reads another number of fields than there are */
function readFields(text: string, name: string): Pick<EventType, 'note' | 'fields'> {
  const found = new RegExp(
    `(?:/\\*\\*((?:(?!\\*/)[^])*)\\*/\\n)?export interface ${name}(?: extends [\\w, ]+)? \\{\\n([^]*?)\\n\\}`,
  ).exec(text)
  if (found === null) throw new Error(`src/events has no interface ${name}`)
  const body = found[2] ?? ''
  const fields = fieldsOf(body)
  if (fields.length !== (body.match(/^ {2}readonly /gm) ?? []).length)
    throw new Error(`the fields of ${name} are declared in a way that is not understood here`)
  return { note: plain(found[1] ?? ''), fields }
}

function fieldsOf(body: string): EventField[] {
  const pattern =
    /(?:^ {2}\/\*\*((?:(?!\*\/)[^])*)\*\/\n)?^ {2}readonly (\w+)(\??):(?: (.*)|((?:\n {4}.*)+))(?:\n(?: {4}.*\n)* {2}\}.*)?$/gm
  return [...body.matchAll(pattern)].map(([, note = '', name = '', optional, one, several]) => ({
    name,
    optional: optional === '?',
    type: typeOf(one ?? several ?? ''),
    note: plain(note),
  }))
}

function typeOf(declared: string): string {
  const type = declared.replaceAll(/\s+/g, ' ').trim().replace(/^\| /, '')
  if (type.startsWith('readonly {')) return 'objects'
  return type.startsWith('{') ? 'object' : type
}

function plain(comment: string): string {
  return comment.replaceAll(/\s*\n\s*\*?\s*/g, ' ').trim()
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|')
}
