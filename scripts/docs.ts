/**
 * Writes the pages that are made from the code's own tables: docs/options.md, docs/events.md, docs/json-lines.md, docs/compatibility.md and the
 * list of options in docs/delivery.md. A test fails
 * when they are not what the tables say; `npm run docs` writes them anew.
 */

import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { permissions } from '../src/config/codec.ts'
import { displayName, displayScopes } from '../src/config/known-names.ts'
import { knownOptions } from '../src/config/known-options.ts'
import { neverOptions } from '../src/config/never-options.ts'
import type { OptionRow } from '../src/config/option-row.ts'
import {
  dmarcOptions,
  openarcOptions,
  opendkimOptions,
  signingOptions,
  spfOptions,
} from '../src/config/options-authenticity.ts'
import { controlOptions, roleOptions } from '../src/config/options-control.ts'
import { customLoggerOptions } from '../src/config/options-custom-logger.ts'
import {
  authenticateOptions,
  datasourceOptions,
  enumGroupsOptions,
  queryGroupsOptions,
} from '../src/config/options-datasource.ts'
import { pipeOptions, webhookOptions } from '../src/config/options-delivery.ts'
import { inboundOptions } from '../src/config/options-inbound.ts'
import { ocspOptions } from '../src/config/options-ocsp.ts'
import {
  bounceLoggerOptions,
  globalOptions,
  loggerOptions,
  maildirOptions,
  outboundOptions,
  tlsLogOptions,
} from '../src/config/options-other.ts'
import { partnerOptions } from '../src/config/options-partner.ts'
import { hostOptions, queueGlobals } from '../src/config/options-queue.ts'
import { httpOptions } from '../src/config/options-services.ts'
import { sessionGlobals } from '../src/config/options-session.ts'
import { restricting } from '../src/config/restricting.ts'
import {
  unaskedDecisions,
  unbuiltFields,
  unbuiltFunctions,
  unbuiltMethods,
  unbuiltModules,
  uncalledObservers,
} from '../src/policy/lua/catalogue.ts'
import { lifeCycle } from '../src/policy/lua/scripts.ts'
import { type SurfaceGroup, surface } from '../src/policy/lua/surface.ts'
import { callouts } from '../src/policy/phases.ts'
import { commandLineFiles } from './command-line.ts'
import { controlNotes, enumGroupsNotes, queryGroupsNotes, roleNotes } from './control-notes.ts'
import { eventsPage, jsonLinesPage } from './event-docs.ts'
import {
  authenticateNotes,
  bounceLoggerNotes,
  customLoggerNotes,
  datasourceNotes,
  dmarcNotes,
  globalNotes,
  hostNotes,
  httpNotes,
  inboundNotes,
  loggerNotes,
  maildirNotes,
  ocspNotes,
  openarcNotes,
  opendkimNotes,
  outboundNotes,
  partnerNotes,
  pipeNotes,
  signingNotes,
  spfNotes,
  tlsLogNotes,
  webhookNotes,
} from './option-notes.ts'

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

function optionsPage(): string {
  return `# Options

Every option that acts, made from the program's own tables. Names are case-insensitive; options marked + are
extensions of Postern. Recognised names that do nothing yet are in [compatibility.md](compatibility.md). Sizes are
octets, or take K, M, G. Relative paths start at the configuration file's folder.

## Reception

In the scopes named; the most specific scope that has the option wins ([tls.md](tls.md) has the order).

${table(inboundOptions, inboundNotes)}

## Global

${table(globalOptions, globalNotes)}

## Delivery

In a \`Domain "example.com" { }\`, \`Binding "name" { }\` or \`Binding_Group "name" { }\` stanza, or global for all
domains; [delivery.md](delivery.md#bindings) has the order.

${table(outboundOptions, outboundNotes)}

## \`Host "mx.example.com" { }\`

By name, address or \`"/pattern/"\`; in a Binding or Binding_Group for its own mail. They hold in addition to those of the
domain.

${table(hostOptions, hostNotes)}

## \`Control_Listener "name" { Listen "/path" { } }\`

The console's sockets, see [console.md](console.md#who-may-use-it). Valid in the listener and in its Listens, and where
the table says so in a \`Peer "10.0.0.0/8" { }\` of either.

${table(controlOptions, controlNotes)}

### \`Authorization { Role "name" { } }\`

${table(roleOptions, roleNotes)}

## \`HTTP_Listener "name" { Listen "127.0.0.1:8080" { } }\`

Metrics, see [metrics.md](metrics.md). Valid in the listener and in its Listens; those that are valid in the global
scope fall back to it.

${table(httpOptions, httpNotes)}

## \`ec_logger "name" { }\`

${table(loggerOptions, loggerNotes)}

## \`bounce_logger "name" { }\`

${table(bounceLoggerOptions, bounceLoggerNotes)}

## \`custom_logger "name" { }\`

Lines of your own; [logs.md](logs.md#custom_logger) has the macros.

${table(customLoggerOptions, customLoggerNotes)}

## \`tls_log "name" { }\` +

${table(tlsLogOptions, tlsLogNotes)}

## \`TLS_OCSP "name" { }\` +

An OCSP responder for clients’ certificates; [tls.md](tls.md#ocsp) tells more.

${table(ocspOptions, ocspNotes)}

## \`Partner "name" { }\` +

Whose a verified certificate is, and what that is worth: see [partners.md](partners.md).

${table(partnerOptions, partnerNotes)}

## \`spf_v1 "name" { }\`

SPF for mail that comes in; [message-authentication.md](message-authentication.md) tells more of this and the next three.

${table(spfOptions, spfNotes)}

## \`opendkim "name" { dkim_domain "example.com" { } }\`

DKIM: signatures of mail that leaves, and verification of mail that comes in.

${table({ ...opendkimOptions, ...signingOptions }, { ...opendkimNotes, ...signingNotes })}

## \`openarc { }\`

${table(openarcOptions, openarcNotes)}

## \`dmarc { }\` +

${table(dmarcOptions, dmarcNotes)}

## \`maildir "name" { }\` +

A local part becomes a folder's name only if it is made of letters, digits and \`. _ + = -\`, starts with a letter, a
digit or \`_\`, and has at most 64 characters.

${table(maildirOptions, maildirNotes)}

## \`pipe_transport "name" { }\`

A program for the mail of some domains; [delivery.md](delivery.md#pipes) tells more.

${table(pipeOptions, pipeNotes)}

## \`webhook "name" { }\` +

HTTP POST for the mail of some domains; [delivery.md](delivery.md#webhooks) tells more.

${table(webhookOptions, webhookNotes)}

## \`datasource "name" { }\`

${table(datasourceOptions, datasourceNotes)}

## \`auth_ds { Scheme "name" { Authenticate { } } }\`

Users in a database; \`uri = "name://"\` in the parameters of AUTH. [authentication.md](authentication.md) tells more.

${table(authenticateOptions, authenticateNotes)}

\`QueryGroups { }\` beside it: the groups of an operator, for [the console](console.md#groups-in-a-database).

${table(queryGroupsOptions, queryGroupsNotes)}

\`EnumGroups { }\`: the groups that there are, for \`postern check\`.

${table(enumGroupsOptions, enumGroupsNotes)}

## Other stanzas

| stanza | holds |
|---|---|
| \`Security { User = "…" Group = "…" }\` | whom the server becomes when it is started as root; it keeps the right to bind low ports |
| \`scriptlet "scriptlet" { script "name" { source = "…" } }\` | policy scripts, see [policy.md](policy.md) |
| \`Pathway "name" { }\`, \`Pathway_Group "name" { }\` | named bundles of reception options |
| \`include "path"\`, \`readonly_include "path"\` | a file or a folder of files, in any scope |
`
}

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

function table(rows: Table, notes: Readonly<Record<string, string>>): string {
  const lines = Object.entries(rows).map(([name, row]) => {
    const note = notes[name] ?? ''
    return `| \`${displayName(name)}\` | ${defaultOf(row)} | ${displayScopes(row.scopes)} | ${note} |`
  })
  return ['| option | default | scopes | meaning |', '|---|---|---|---|', ...lines].join('\n')
}

function defaultOf(row: OptionRow<unknown>): string {
  const value = row.default
  if (row.codec === permissions) return `\`0${Number(value).toString(8)}\``
  if (value === undefined || value === '') return '–'
  if (Array.isArray(value)) return value.length === 0 ? '( )' : `\`( ${value.join(', ')} )\``
  if (typeof value === 'object' && value !== null) {
    if ('text' in value && typeof value.text === 'string')
      return value.text === '' ? '–' : `\`${value.text}\``
    return '[ ]'
  }
  return typeof value === 'string' || typeof value === 'boolean' || typeof value === 'number'
    ? `\`${String(value)}\``
    : ''
}

function compatibilityPage(): string {
  const acting = new Set(
    [inboundOptions, globalOptions, outboundOptions, controlOptions, httpOptions].flatMap((rows) =>
      Object.keys(rows),
    ),
  )
  const recognised = [...new Set(knownOptions.flatMap(({ names }) => names.trim().split(/\s+/)))]
    .filter((name) => !acting.has(name))
    .toSorted()
  const refused = recognised.filter((name) => name in restricting)
  const ignored = recognised.filter((name) => !(name in restricting || name in neverOptions))
  const never = Object.entries(neverOptions).map(
    ([name, { instead }]) => `| \`${displayName(name)}\` | ${instead} |`,
  )
  return `${readFileSync(path.join(docs, 'compatibility.head.md'), 'utf8').trimEnd()}

## Callouts

| callout | status |
|---|---|
${[...Object.values(callouts).flat(), ...lifeCycle].map((name) => `| \`${name}\` | works |`).join('\n')}
${unaskedDecisions.map((name) => `| \`${name}\` | not yet; a script that registers it is refused, because it would decide |`).join('\n')}
${uncalledObservers.map((name) => `| \`${name}\` | not yet; \`check\` warns that it is never called |`).join('\n')}

## Functions

Every function of Momentum's Lua surface. A test looks each name up in a running state. Beyond them, \`bit.band\`,
\`bit.bor\`, \`bit.bxor\`, \`bit.bnot\`, \`bit.lshift\` and \`bit.rshift\` stand for the operators of Momentum's dialect.

${surface.map(functionTable).join('\n\n')}

## All names that are not there yet

A call raises an error that names the function.

${wrap(unbuiltFunctions)}

Methods: ${Object.entries(unbuiltMethods)
    .filter(([, names]) => names.length > 0)
    .map(([object, names]) => `of \`${object}\`: ${names.map((name) => `\`${name}\``).join(', ')}`)
    .join('; ')}.

Fields, to read or to set: ${unbuiltFields.map((name) => `\`${name}\``).join(', ')}.

## Modules of which nothing works yet

\`require\` finds them, and \`check\` warns of each that a script asks for; their functions are in the list above.

${wrap(unbuiltModules)}

## Options that would restrict something and are not there yet

Setting one of these to a value that keeps somebody or something out is an error, because ignoring it would leave a
door open.

${wrap(refused.map(displayName))}

## Options that never act

They say how Momentum works inside, and there is nothing here for them to change. A value that asks for what happens
anyway is taken as it is; \`check\` warns of any other one and says what happens in its place. None of them weakens
anything.

| option | what happens |
|---|---|
${never.join('\n')}

## Options that are recognised and do nothing yet

\`check\` warns about each: "recognised, not implemented".

${wrap(ignored.map(displayName))}
`
}

function functionTable({ title, prefix, rows }: SurfaceGroup): string {
  const lines = rows.map(({ names, status, note = '' }) => {
    const list = names.split(' ').map((name) => `\`${prefix}${name}\``)
    return `| ${list.join(', ')} | ${status} | ${note} |`
  })
  return [`### ${title}`, '', '| function | status | what differs |', '|---|---|---|', ...lines].join('\n')
}

function wrap(names: readonly string[]): string {
  const lines: string[] = []
  for (const name of names) {
    const last = lines.at(-1)
    const word = `\`${name}\``
    if (last !== undefined && last.length + word.length + 2 <= 118)
      lines[lines.length - 1] = `${last} ${word}`
    else lines.push(word)
  }
  return lines.join('\n')
}

if (import.meta.main) {
  for (const [name, text] of generatedPages()) writeFileSync(path.join(docs, name), text)
  for (const [name, text] of commandLineFiles()) writeFileSync(path.join(docs, '..', name), text)
}
