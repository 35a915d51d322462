/**
 * Statements → stanzas with typed settings (`model.ts`).
 *
 * Decides for every name what becomes of it: it acts; it is recognised and does nothing yet, which is a warning, or an
 * error where ignoring it would keep a door open; it is not valid here; or nobody knows it. Never stops at the first
 * error.
 */

import { type CodecContext, nounOf } from './codec.ts'
import type { Diagnostic, Position } from './diagnostic.ts'
import { nearest, suggestion } from './edit-distance.ts'
import { Instances } from './instances.ts'
import { displayName, displayScopes, findOption, findStanza, namesAnywhere, namesIn } from './known-names.ts'
import { restrictingStanzas } from './known-stanzas.ts'
import type { Model, Stanza } from './model.ts'
import { type NeverOption, neverOptions } from './never-options.ts'
import type { OptionRow, ScopeName } from './option-row.ts'
import { selectors } from './options-partner.ts'
import { quote } from './render.ts'
import { Report } from './report.ts'
import { alreadySo, restricting } from './restricting.ts'
import { isSecret } from './secrets.ts'
import type { Assignment, StanzaNode, Statement, Value } from './tree.ts'

export interface Checked {
  readonly model: Model
  readonly diagnostics: readonly Diagnostic[]
}

/** @param directory of the main configuration file, where relative paths start */
export function check(statements: readonly Statement[], directory: string): Checked {
  return new Checker(directory).run(statements)
}

class Checker {
  readonly #directory: string
  readonly #report = new Report()
  readonly #instances = new Instances(this.#report)
  readonly #names = new Map<ScopeName, readonly string[]>()
  /** inside a stanza that does nothing yet: one warning stands for all its options */
  #quiet = false

  constructor(directory: string) {
    this.#directory = directory
  }

  run(statements: readonly Statement[]): Checked {
    const { model } = this.#instances
    this.#body(statements, model.global)
    this.#pathwayNames()
    this.#required(model.maildirs, 'basedir')
    this.#required(model.pipes, 'program_name')
    for (const option of ['url', 'key_file']) this.#required(model.webhooks, option)
    this.#required(model.scripts, 'source')
    this.#required(model.datasources, 'uri')
    for (const option of ['ca', 'responder']) this.#required(model.ocsp, option)
    const schemes = [...model.authSchemes].flatMap(([name, { authenticate, groups, at }]) => {
      // a Scheme may be there for groups alone
      const unsaid = groups.has('querygroups') && authenticate.settings.size + authenticate.wrong.size === 0
      return [...(unsaid ? [] : [authenticate]), ...groups.values()].map(
        (stanza) => [`${stanza.scope} ${name}`, { stanza, at }] as const,
      )
    })
    const sni = model.sni.map((each, index) => [String(index), each] as const)
    this.#required(new Map(sni), 'tls_certificate')
    for (const option of ['query', 'cache']) this.#required(new Map(schemes), option)
    this.#selectors(model)
    return { model: this.#instances.model, diagnostics: this.#report.diagnostics }
  }

  #body(statements: readonly Statement[], stanza: Stanza): void {
    for (const statement of statements) {
      if (statement.kind === 'assignment') this.#assignment(statement, stanza)
      else if (statement.kind === 'stanza') this.#stanza(statement, stanza)
    }
  }

  #assignment({ name: { text, at }, value }: Assignment, stanza: Stanza): void {
    const name = text.toLowerCase()
    const found = findOption(name, stanza.scope)
    switch (found?.kind) {
      case 'acts':
        this.#set(stanza, name, found.row, value)
        break
      case 'recognised':
        if (neverOptions[name] === undefined) this.#recognised(name, value, at)
        else this.#never(name, value, neverOptions[name])
        break
      case 'elsewhere':
        this.#report.error(`${displayName(name)} is ${validIn(stanza.scope, found.scopes, at)}`, at)
        break
      case undefined:
        if (findStanza(name, stanza.scope) !== undefined) {
          const shown = displayName(name)
          this.#report.error(`${shown} is a stanza and not an option: write ${shown} "…" { … }`, at)
        } else this.#unknown('option', text, stanza.scope, at)
    }
  }

  // oxlint-disable-next-line max-params -- where, what, how, from what
  #set(stanza: Stanza, name: string, row: OptionRow<unknown>, value: Value): void {
    const plain = (tail: string): string => (isSecret(name) ? tail.replace(/, not ".*$/s, '') : tail)
    const context: CodecContext = {
      directory: this.#directory,
      error: (tail, at) => this.#report.error(`${displayName(name)} ${plain(tail)}`, at),
      warning: (tail, at) => this.#report.warning(`${displayName(name)} ${tail}`, at),
    }
    const result = row.codec(value, context)
    const before = stanza.settings.get(name)
    // a file that overrides another one is meant to
    if (before !== undefined && before.at.file === value.at.file && !samePlace(before.at, value.at)) {
      this.#report.warning(
        `${displayName(name)} is set twice in the same stanza, and the last one counts`,
        value.at,
        {
          message: 'it was set here before',
          at: before.at,
        },
      )
    }
    if (result !== undefined) stanza.settings.set(name, { value: result.value, at: value.at })
    else stanza.wrong.add(name)
  }

  #never(name: string, value: Value, { valid, needs, already, instead }: NeverOption): void {
    const shown = displayName(name)
    const text = value.kind === 'scalar' ? value.text : undefined
    if (text === undefined || !valid.test(text)) {
      const given = text === undefined ? `a ${nounOf(value)}` : quote(text)
      this.#report.error(`${shown} needs ${needs}, not ${given}`, value.at)
    } else if (already?.test(text) !== true) {
      this.#report.warning(`${shown} = ${text} changes nothing: ${instead}`, value.at)
    }
  }

  #recognised(name: string, value: Value, at: Position): void {
    if (alreadySo[name] && isHarmless(value, alreadySo[name])) return
    const shown = displayName(name)
    const harmless = restricting[name]
    if (harmless !== undefined && !isHarmless(value, harmless)) {
      const text = value.kind === 'scalar' ? quote(value.text) : `a ${nounOf(value)}`
      this.#report.error(
        `${shown} is recognised, not implemented, and ignoring ${text} would allow what it restricts`,
        value.at,
      )
    } else if (!this.#quiet) this.#report.warning(`${shown} is recognised, not implemented`, at)
  }

  #stanza(node: StanzaNode, parent: Stanza): void {
    const { name } = node
    const lower = name.text.toLowerCase()
    const found = findStanza(lower, parent.scope)
    switch (found?.kind) {
      case 'read':
        this.#read(node, found.scope, parent)
        break
      case 'skipped':
        this.#skipped(node)
        break
      case 'accepted':
        break
      case 'elsewhere':
        this.#report.error(
          `${displayName(lower)} is ${validIn(parent.scope, found.scopes, name.at)}`,
          name.at,
        )
        break
      case undefined:
        if (findOption(lower, parent.scope) !== undefined) {
          const shown = displayName(lower)
          this.#report.error(`${shown} is an option and not a stanza: write ${shown} = …`, name.at)
        } else this.#unknown('stanza', name.text, parent.scope, name.at)
    }
  }

  #read(node: StanzaNode, scope: ScopeName, parent: Stanza): void {
    this.#body(node.body, this.#instances.open(node, scope, parent))
  }

  #skipped(node: StanzaNode): void {
    const name = node.name.text.toLowerCase()
    const shown = node.name.text
    if (restrictingStanzas[name]?.((option) => textsOf(node.body, option))) {
      const message = `${shown} is recognised, not implemented, and ignoring it would allow what it restricts`
      this.#report.error(message, node.name.at)
    } else if (!this.#quiet) this.#report.warning(`${shown} is recognised, not implemented`, node.name.at)
  }

  // oxlint-disable-next-line max-params -- the parts of one sentence and its place
  #unknown(what: 'option' | 'stanza', text: string, scope: ScopeName, at: Position): void {
    let names = this.#names.get(scope)
    if (names === undefined) {
      names = namesIn(scope)
      this.#names.set(scope, names)
    }
    const where = scope === 'global' ? 'the global scope' : displayName(scope)
    const hint = suggestion(text, names) || (what === 'option' ? elsewhere(text, scope) : '')
    this.#report.error(`unknown ${what} ${quote(text)} in ${where}${hint}`, at)
  }

  /** Every `Pathway = "x"` names a pathway that stands somewhere; `default` needs none. */
  #pathwayNames(): void {
    const { listener, listenerPeers, listens, pathways } = this.#instances.model
    const peers = [listenerPeers, ...[...listens.values()].map((listen) => listen.peers)].flatMap(
      (each) => each.all,
    )
    const stanzas = [listener, ...[...listens.values(), ...peers].map((each) => each.stanza)]
    for (const { settings } of stanzas) {
      const setting = settings.get('pathway')
      if (setting === undefined) continue
      const name = setting.value as string
      if (name === 'default' || pathways.has(name)) continue
      this.#report.error(`there is no Pathway ${quote(name)}${suggestion(name, pathways.keys())}`, setting.at)
    }
  }

  /** One that is set and wrong has been told of. */
  #selectors({ partners }: Model): void {
    for (const { stanza, at } of partners.values()) {
      if (selectors.some((name) => stanza.settings.has(name) || stanza.wrong.has(name))) continue
      this.#report.error(
        `Partner ${quote(stanza.instance)} does not say which certificates are its own: it needs one of ${selectors.map(displayName).join(', ')}`,
        at,
      )
    }
  }

  #required(all: Model['maildirs'], option: string): void {
    for (const { stanza, at } of all.values()) {
      if (stanza.settings.has(option) || stanza.wrong.has(option)) continue
      this.#report.error(
        `${displayName(stanza.scope)} ${quote(stanza.instance)} needs ${displayName(option)}`,
        at,
      )
    }
  }
}

/** A file that is included twice sets its options again at the same place. */
function samePlace(a: Position, b: Position): boolean {
  return a.line === b.line && a.column === b.column
}

/** The tail of a message, where an option of other scopes may have been meant. */
function elsewhere(text: string, scope: ScopeName): string {
  const near = nearest(text, namesAnywhere())
  const found = near === undefined ? undefined : findOption(near.toLowerCase(), scope)
  return found?.kind === 'elsewhere'
    ? `; did you mean "${near}"? It is valid in ${displayScopes(found.scopes)}`
    : ''
}

function validIn(scope: ScopeName, scopes: readonly string[], at: Position): string {
  const here = scope === 'global' ? 'the global scope' : displayName(scope)
  // whoever begins a line so is done with the stanza
  const hint =
    scope !== 'global' && at.column === 1 && scopes.includes('global') ? ': is a } missing above?' : ''
  return `not valid in ${here}; it is valid in ${displayScopes(scopes)}${hint}`
}

function isHarmless(value: Value, harmless: RegExp): boolean {
  if (value.kind === 'dictionary') return value.entries.length === 0
  const texts = value.kind === 'scalar' ? [value] : value.items
  return texts.every(({ text }) => harmless.test(text))
}

/** What an option is set to anywhere inside a stanza, in lower case. */
function textsOf(body: readonly Statement[], option: string): string[] {
  return body.flatMap((each) => {
    if (each.kind === 'stanza') return textsOf(each.body, option)
    if (each.kind !== 'assignment' || each.name.text.toLowerCase() !== option) return []
    return [each.value.kind === 'scalar' ? each.value.text.toLowerCase() : '']
  })
}
