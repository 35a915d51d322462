/**
 * Writes what is made from the code's own tables: docs/options.md, docs/events.md, docs/json-lines.md, docs/compatibility.md, the list of
 * options in docs/delivery.md, the manual page and the completions. A test fails when they are not what the tables say;
 * `npm run docs` writes them anew.
 */

import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { displayName, displayScopes } from '../src/config/known-names.ts'
import type { OptionRow } from '../src/config/option-row.ts'
import { pipeOptions, webhookOptions } from '../src/config/options-delivery.ts'
import {
  bounceLoggerOptions,
  globalOptions,
  maildirOptions,
  outboundOptions,
} from '../src/config/options-other.ts'
import { hostOptions, queueGlobals } from '../src/config/options-queue.ts'
import { sessionGlobals } from '../src/config/options-session.ts'
import { commandLineFiles } from './command-line.ts'
import { compatibilityPage } from './compatibility-page.ts'
import { eventsPage, jsonLinesPage } from './event-docs.ts'
import { defaultOf, optionsPage } from './options-page.ts'

const docs = path.join(import.meta.dirname, '..', 'docs')

/** file name → what it should hold */
export function generatedPages(): ReadonlyMap<string, string> {
  return new Map([
    ['options.md', optionsPage()],
    ['events.md', eventsPage()],
    ['json-lines.md', jsonLinesPage()],
    ['compatibility.md', compatibilityPage()],
    ['delivery.md', deliveryPage()],
  ])
}

type Table = Readonly<Record<string, OptionRow<unknown>>>

const DELIVERY_OPTIONS = '## Options of delivery'

/** The page as it stands, with the list of options at its end made anew. */
function deliveryPage(): string {
  const text = readFileSync(path.join(docs, 'delivery.md'), 'utf8')
  const [written = ''] = text.split(DELIVERY_OPTIONS)
  const globals = { ...queueGlobals, ...sessionGlobals, dns_servers: globalOptions.dns_servers }
  const { large_message_threshold, bounce_suppress_list } = globalOptions
  const stanzas: readonly (readonly [string, Table])[] = [
    ['In a `Domain`, a `Binding` or a `Binding_Group`, or global', outboundOptions],
    ['Global alone', { ...globals, large_message_threshold, bounce_suppress_list }],
    ['`Host`', hostOptions],
    ['`maildir`', maildirOptions],
    ['`pipe_transport`', pipeOptions],
    ['`webhook`', webhookOptions],
    ['`bounce_logger`', bounceLoggerOptions],
  ]
  const tables = stanzas.map(([title, rows]) => {
    const lines = Object.entries(rows).map(
      ([name, row]) => `| \`${displayName(name)}\` | ${defaultOf(row)} | ${displayScopes(row.scopes)} |`,
    )
    return [`### ${title}`, '', '| option | default | scopes |', '|---|---|---|', ...lines].join('\n')
  })
  return `${written.trimEnd()}

${DELIVERY_OPTIONS}

Made from the program's own tables; [options.md](options.md) says what each of them means.

${tables.join('\n\n')}
`
}

if (import.meta.main) {
  for (const [name, text] of generatedPages()) writeFileSync(path.join(docs, name), text)
  for (const [name, text] of commandLineFiles()) writeFileSync(path.join(docs, '..', name), text)
}
