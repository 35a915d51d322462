/**
 * The instances of Binding_Group, Binding, Domain and Host, in the container that each stands in. Names of bindings and
 * groups are told apart by case (Momentum: config/ref-binding, ref-binding-group, ref-domain, ref-host).
 */

import { normaliseAddress } from './address.ts'
import { recipientDomain } from './codec-mail.ts'
import type { Position } from './diagnostic.ts'
import { type BindingContainer, type Destinations, Stanza } from './model.ts'
import { quote } from './render.ts'
import type { Report } from './report.ts'
import type { Scalar } from './tree.ts'

export class OutboundInstances {
  readonly #report: Report
  readonly #containers = new Map<Stanza, BindingContainer>()
  readonly root: BindingContainer
  readonly groups = new Map<string, BindingContainer>()

  constructor(report: Report, global: Stanza) {
    this.#report = report
    this.root = this.#container(global)
  }

  /** undefined: it belongs to nothing, because of an error that has been reported */
  open(scope: 'domain' | 'host', instance: Scalar, at: Position, parent: Stanza): Stanza | undefined {
    const container = this.#containers.get(parent)
    if (container === undefined) return undefined
    const all = scope === 'domain' ? container.domains : container.hosts
    const regex = /^\/(.*)\/$/s.exec(instance.text)?.[1]
    const key = regex === undefined ? literalKey(scope, instance.text) : instance.text
    if (key === undefined) return this.#report.error(wrongInstance(scope, instance.text), instance.at)
    const known = all.literal.get(key) ?? all.patterns.find(({ stanza }) => stanza.instance === key)?.stanza
    if (known !== undefined) return known
    const stanza = new Stanza(scope, instance.text, at, parent)
    if (regex === undefined) all.literal.set(key, stanza)
    else {
      try {
        // names are compared without case; PCRE's way of saying so in the pattern adds nothing
        all.patterns.push({ stanza, pattern: new RegExp(regex.replace(/^\(\?i\)/, ''), 'i') })
      } catch (error) {
        return this.#report.error(
          `${quote(instance.text)} is not a regular expression: ${reasonOf(error)}`,
          instance.at,
        )
      }
    }
    return stanza
  }

  binding(instance: Scalar, at: Position, parent: Stanza): Stanza | undefined {
    const container = this.#containers.get(parent)
    if (container === undefined) return undefined
    const found = container.bindings.get(instance.text)
    if (found !== undefined) return found.stanza
    if (!isName(instance.text) || instance.text.includes(':')) {
      return this.#report.error(
        `${quote(instance.text)} is not the name of a Binding: one word without ":" or "/"`,
        instance.at,
      )
    }
    const stanza = new Stanza('binding', instance.text, at, parent)
    container.bindings.set(instance.text, this.#container(stanza))
    return stanza
  }

  group(instance: Scalar, at: Position): Stanza | undefined {
    const found = this.groups.get(instance.text)
    if (found !== undefined) return found.stanza
    if (!isName(instance.text)) {
      return this.#report.error(
        `${quote(instance.text)} is not the name of a Binding_Group: one word without "/"`,
        instance.at,
      )
    }
    const stanza = new Stanza('binding_group', instance.text, at)
    this.groups.set(instance.text, this.#container(stanza))
    return stanza
  }

  #container(stanza: Stanza): BindingContainer {
    const container = { stanza, domains: newDestinations(), hosts: newDestinations(), bindings: new Map() }
    this.#containers.set(stanza, container)
    return container
  }
}

function newDestinations(): Destinations {
  return { literal: new Map(), patterns: [] }
}

/** They stand in logs and on the command line. */
function isName(text: string): boolean {
  return /^[!-.0-~]+$/.test(text)
}

function literalKey(scope: 'domain' | 'host', text: string): string | undefined {
  if (scope === 'domain') return recipientDomain(text)
  return normaliseAddress(text.replace(/^\[(.*)\]$/, '$1')) ?? recipientDomain(text)
}

function wrongInstance(scope: 'domain' | 'host', text: string): string {
  return scope === 'domain'
    ? `${quote(text)} is neither a domain nor a regular expression between slashes, such as "/\\.example\\.com$/"`
    : `${quote(text)} is neither the name of a host, nor an address, nor a regular expression between slashes`
}

/** V8's sentence without the pattern, which the message has already. */
function reasonOf(error: unknown): string {
  return error instanceof Error ? (error.message.split(': ').at(-1) ?? error.message) : String(error)
}
