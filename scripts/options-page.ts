/** docs/options.md: every option that acts, stanza by stanza, from the program's own tables and the meanings beside this file. */

import { permissions } from '../src/config/codec.ts'
import { displayName, displayScopes } from '../src/config/known-names.ts'
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
import { hostOptions } from '../src/config/options-queue.ts'
import { httpOptions } from '../src/config/options-services.ts'
import {
  dmarcNotes,
  openarcNotes,
  opendkimNotes,
  signingNotes,
  spfNotes,
} from './option-notes/authenticity.ts'
import { controlNotes, enumGroupsNotes, queryGroupsNotes, roleNotes } from './option-notes/control.ts'
import { authenticateNotes, datasourceNotes } from './option-notes/datasource.ts'
import { hostNotes, maildirNotes, outboundNotes, pipeNotes, webhookNotes } from './option-notes/delivery.ts'
import { globalNotes } from './option-notes/general.ts'
import { bounceLoggerNotes, customLoggerNotes, loggerNotes, tlsLogNotes } from './option-notes/logs.ts'
import { inboundNotes, ocspNotes, partnerNotes } from './option-notes/reception.ts'
import { httpNotes } from './option-notes/services.ts'

type Table = Readonly<Record<string, OptionRow<unknown>>>

export function optionsPage(): string {
  const stanzas = sections.map(([text, rows, notes]) => `${text}\n\n${table(rows, notes)}`)
  return [HEAD, ...stanzas, OTHER_STANZAS].join('\n\n')
}

function table(rows: Table, notes: Readonly<Record<string, string>>): string {
  const lines = Object.entries(rows).map(([name, row]) => {
    const note = notes[name] ?? ''
    return `| \`${displayName(name)}\` | ${defaultOf(row)} | ${displayScopes(row.scopes)} | ${note} |`
  })
  return ['| option | default | scopes | meaning |', '|---|---|---|---|', ...lines].join('\n')
}

/** The default of an option as the pages write it. */
export function defaultOf(row: OptionRow<unknown>): string {
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

const HEAD = `# Options

Every option that acts, made from the program's own tables. Names are case-insensitive; options marked + are
extensions of Postern. Recognised names that do nothing yet are in [compatibility.md](compatibility.md). Sizes are
octets, or take K, M, G. Relative paths start at the configuration file's folder.`

/** in the order of the page: what stands over the table, the options, their meanings */
const sections: readonly (readonly [string, Table, Readonly<Record<string, string>>])[] = [
  [
    `## Reception

In the scopes named; the most specific scope that has the option wins ([tls.md](tls.md) has the order).`,
    inboundOptions,
    inboundNotes,
  ],
  [`## Global`, globalOptions, globalNotes],
  [
    `## Delivery

In a \`Domain "example.com" { }\`, \`Binding "name" { }\` or \`Binding_Group "name" { }\` stanza, or global for all
domains; [delivery.md](delivery.md#bindings) has the order.`,
    outboundOptions,
    outboundNotes,
  ],
  [
    `## \`Host "mx.example.com" { }\`

By name, address or \`"/pattern/"\`; in a Binding or Binding_Group for its own mail. They hold in addition to those of the
domain.`,
    hostOptions,
    hostNotes,
  ],
  [
    `## \`Control_Listener "name" { Listen "/path" { } }\`

The console's sockets, see [console.md](console.md#who-may-use-it). Valid in the listener and in its Listens, and where
the table says so in a \`Peer "10.0.0.0/8" { }\` of either.`,
    controlOptions,
    controlNotes,
  ],
  [`### \`Authorization { Role "name" { } }\``, roleOptions, roleNotes],
  [
    `## \`HTTP_Listener "name" { Listen "127.0.0.1:8080" { } }\`

Metrics, see [metrics.md](metrics.md). Valid in the listener and in its Listens; those that are valid in the global
scope fall back to it.`,
    httpOptions,
    httpNotes,
  ],
  [`## \`ec_logger "name" { }\``, loggerOptions, loggerNotes],
  [`## \`bounce_logger "name" { }\``, bounceLoggerOptions, bounceLoggerNotes],
  [
    `## \`custom_logger "name" { }\`

Lines of your own; [logs.md](logs.md#custom_logger) has the macros.`,
    customLoggerOptions,
    customLoggerNotes,
  ],
  [`## \`tls_log "name" { }\` +`, tlsLogOptions, tlsLogNotes],
  [
    `## \`TLS_OCSP "name" { }\` +

An OCSP responder for clients’ certificates; [tls.md](tls.md#ocsp) tells more.`,
    ocspOptions,
    ocspNotes,
  ],
  [
    `## \`Partner "name" { }\` +

Whose a verified certificate is, and what that is worth: see [partners.md](partners.md).`,
    partnerOptions,
    partnerNotes,
  ],
  [
    `## \`spf_v1 "name" { }\`

SPF for mail that comes in; [message-authentication.md](message-authentication.md) tells more of this and the next three.`,
    spfOptions,
    spfNotes,
  ],
  [
    `## \`opendkim "name" { dkim_domain "example.com" { } }\`

DKIM: signatures of mail that leaves, and verification of mail that comes in.`,
    { ...opendkimOptions, ...signingOptions },
    { ...opendkimNotes, ...signingNotes },
  ],
  [`## \`openarc { }\``, openarcOptions, openarcNotes],
  [`## \`dmarc { }\` +`, dmarcOptions, dmarcNotes],
  [
    `## \`maildir "name" { }\` +

A local part becomes a folder's name only if it is made of letters, digits and \`. _ + = -\`, starts with a letter, a
digit or \`_\`, and has at most 64 characters.`,
    maildirOptions,
    maildirNotes,
  ],
  [
    `## \`pipe_transport "name" { }\`

A program for the mail of some domains; [delivery.md](delivery.md#pipes) tells more.`,
    pipeOptions,
    pipeNotes,
  ],
  [
    `## \`webhook "name" { }\` +

HTTP POST for the mail of some domains; [delivery.md](delivery.md#webhooks) tells more.`,
    webhookOptions,
    webhookNotes,
  ],
  [`## \`datasource "name" { }\``, datasourceOptions, datasourceNotes],
  [
    `## \`auth_ds { Scheme "name" { Authenticate { } } }\`

Users in a database; \`uri = "name://"\` in the parameters of AUTH. [authentication.md](authentication.md) tells more.`,
    authenticateOptions,
    authenticateNotes,
  ],
  [
    `\`QueryGroups { }\` beside it: the groups of an operator, for [the console](console.md#groups-in-a-database).`,
    queryGroupsOptions,
    queryGroupsNotes,
  ],
  [
    `\`EnumGroups { }\`: the groups that there are, for \`postern check\`.`,
    enumGroupsOptions,
    enumGroupsNotes,
  ],
]

const OTHER_STANZAS = `## Other stanzas

| stanza | holds |
|---|---|
| \`Security { User = "…" Group = "…" }\` | whom the server becomes when it is started as root; it keeps the right to bind low ports |
| \`scriptlet "scriptlet" { script "name" { source = "…" } }\` | policy scripts, see [policy.md](policy.md) |
| \`Pathway "name" { }\`, \`Pathway_Group "name" { }\` | named bundles of reception options |
| \`include "path"\`, \`readonly_include "path"\` | a file or a folder of files, in any scope |
`
