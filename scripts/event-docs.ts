/**
 * docs/events.md from the types in src/events: each fact that the server can report, with its fields as they are declared
 * there. Understands the style of these files alone: interfaces, one field to a line or a nested object.
 */

import { readFileSync } from 'node:fs'
import path from 'node:path'

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

${fieldTable(fields)}`,
  )
  return `# Events

Every fact that the server can report, made from the types in \`src/events\`: the [logs](logs.md) write them down, the
[metrics](metrics.md) count them, and the library hands them to \`onEvent\`. Times are milliseconds since the epoch, strings
that came over the wire are byte strings.

${sections.join('\n\n')}

## What is inside

${objects.map(objectSection).join('\n\n')}
`
}

/** shared types that fields have */
const objects = ['Envelope', 'Mailbox', 'Endpoint', 'OutboundTlsFacts', 'TlsPolicyFacts']

function objectSection(name: string): string {
  const { note, fields } = readFields(sourceText(), name)
  return `### ${name}\n\n${note === '' ? '' : `${note}\n\n`}${fieldTable(fields)}`
}

function fieldTable(fields: readonly EventField[]): string {
  const rows = fields.map(
    ({ name, optional, type, note }) =>
      `| \`${name}\`${optional ? ' (may be absent)' : ''} | \`${cell(type)}\` | ${cell(note)} |`,
  )
  return ['| field | type | meaning |', '|---|---|---|', ...rows].join('\n')
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
