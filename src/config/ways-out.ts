/**
 * What the stanzas of the ways out say about one another, as far as the text alone tells: whose a domain is must never be
 * open, and nothing that a stranger writes may reach a shell. What needs the files is checked where they are used.
 */

import path from 'node:path'
import type { Diagnostic, Position } from './diagnostic.ts'
import { displayName } from './known-names.ts'
import type { Model, NamedStanza } from './model.ts'
import { quote } from './render.ts'
import type { Report } from './report.ts'
import type { FilePath } from './settings.ts'
import type { Template } from './settings-delivery.ts'

export function checkWaysOut(model: Model, report: Report): void {
  sharedDomains(model, report)
  for (const [what, option, stanzas] of kinds(model)) {
    for (const { stanza, at } of stanzas.values()) {
      if (stanza.settings.has(option) || stanza.wrong.has(option)) continue
      report.warning(`${what} ${quote(stanza.instance)} has no ${displayName(option)}: it gets nothing`, at)
    }
  }
  for (const { stanza } of model.pipes.values()) {
    const program = stanza.settings.get('program_name')?.value as FilePath | undefined
    const given = stanza.settings.get('arguments')
    if (program !== undefined && given !== undefined)
      shellWords(program, { parts: given.value as readonly Template[], at: given.at }, report)
  }
  for (const { stanza } of model.webhooks.values()) {
    const url = stanza.settings.get('url')
    if (url !== undefined) checkUrl(stanza.settings, { text: url.value as string, at: url.at }, report)
  }
}

interface Owner {
  readonly what: string
  readonly name: string
  readonly at: Position
}

/** Two owners of one domain: nobody could say which one gets the mail. */
function sharedDomains(model: Model, report: Report): void {
  const owners = new Map<string, Owner>()
  for (const [what, option, stanzas] of kinds(model)) {
    for (const [name, { stanza }] of stanzas) {
      const setting = stanza.settings.get(option)
      for (const domain of (setting?.value ?? []) as readonly string[]) {
        const other = owners.get(domain)
        if (setting === undefined) continue
        if (other === undefined) owners.set(domain, { what, name, at: setting.at })
        else if (other.what !== what || other.name !== name) {
          const both = other.what === what ? `two ${what}s` : `a ${other.what} and a ${what}`
          const note: Pick<Diagnostic, 'message'> & { readonly at: Position } = {
            message: `${other.what} ${quote(other.name)} has it too`,
            at: other.at,
          }
          report.error(`the domain ${quote(domain)} is in ${both}`, setting.at, note)
        }
      }
    }
  }
}

function kinds(model: Model): readonly (readonly [string, string, ReadonlyMap<string, NamedStanza>])[] {
  return [
    ['maildir', 'domains', model.maildirs],
    ['pipe_transport', 'domain', model.pipes],
    ['webhook', 'domains', model.webhooks],
  ]
}

const shells = ['sh', 'bash', 'dash', 'ash', 'zsh', 'ksh', 'mksh', 'csh', 'tcsh', 'fish', 'busybox']

/** The word behind -c is a program: a value in it, or beside it, would be read as a part of one sooner or later. */
function shellWords(
  program: FilePath,
  { parts, at }: { readonly parts: readonly Template[]; readonly at: Position },
  report: Report,
): void {
  const isShell = shells.includes(path.basename(program.path))
  const runsText = parts.some(({ text }) => /^-[a-z]*c/i.test(text))
  const hasMacro = parts.some((each) => each.parts.some((part) => typeof part !== 'string'))
  if (!isShell || !runsText || !hasMacro) return
  report.error(
    `a shell that is given its program with -c cannot have macros among its arguments: name a script, or use Environment`,
    at,
  )
}

function checkUrl(
  settings: NamedStanza['stanza']['settings'],
  { text, at }: { readonly text: string; readonly at: Position },
  report: Report,
): void {
  const { protocol, hostname } = new URL(text)
  if (protocol === 'https:') {
    if (!settings.has('tls_ca'))
      report.error('a URL with https needs TLS_CA: no CA is trusted that is not named', at)
    return
  }
  for (const option of ['tls_ca', 'tls_certificate', 'tls_key']) {
    const setting = settings.get(option)
    if (setting !== undefined)
      report.error('a URL with http has no TLS: write https, or leave this out', setting.at)
  }
  if (!isLoopbackHost(hostname))
    report.warning('messages go over the network in clear, to whoever answers: write https', at)
}

/** A name that cannot lead elsewhere, or an address of this machine. */
function isLoopbackHost(hostname: string): boolean {
  return /^(?:localhost|127\.\d+\.\d+\.\d+|\[::1\])$/i.test(hostname)
}
