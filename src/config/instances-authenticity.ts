/** The instances of spf_v1, opendkim, dkim_domain, openarc and dmarc. Only opendkim may stand there under several names. */

import type { Position } from './diagnostic.ts'
import { type AuthenticityStanzas, type NamedStanza, type OpendkimStanza, Stanza } from './model.ts'
import { isDnsName } from './options-authenticity.ts'
import { quote } from './render.ts'
import type { Report } from './report.ts'
import type { Scalar } from './tree.ts'

type Scope = 'spf_v1' | 'opendkim' | 'openarc' | 'dmarc'

export class AuthenticityInstances implements AuthenticityStanzas {
  readonly #report: Report
  readonly spf = new Map<string, NamedStanza>()
  readonly opendkim = new Map<string, OpendkimStanza>()
  readonly openarc = new Map<string, NamedStanza>()
  readonly dmarc = new Map<string, NamedStanza>()
  readonly #domains = new Map<Stanza, Map<string, NamedStanza>>()

  constructor(report: Report) {
    this.#report = report
  }

  open(scope: Scope, instance: Scalar): Stanza | undefined {
    if (scope === 'opendkim') return this.#opendkim(instance)
    const all = scope === 'spf_v1' ? this.spf : this[scope]
    const found = all.get(instance.text)
    if (found !== undefined) return found.stanza
    const [other] = all.values()
    if (other !== undefined) {
      return this.#report.error(
        `there is only one ${scope} stanza: use the same instance name`,
        instance.at,
        {
          message: 'the other one was opened here',
          at: other.at,
        },
      )
    }
    const made = { stanza: new Stanza(scope, instance.text, instance.at), at: instance.at }
    all.set(instance.text, made)
    return made.stanza
  }

  domain(instance: Scalar, at: Position, parent: Stanza): Stanza | undefined {
    const all = this.#domains.get(parent)
    const name = instance.text.toLowerCase()
    if (!isDnsName(name)) {
      return this.#report.error(
        `${quote(instance.text)} is not a domain (an international one in its xn-- form)`,
        instance.at,
      )
    }
    const found = all?.get(name)?.stanza ?? new Stanza('dkim_domain', name, at, parent)
    all?.set(name, { stanza: found, at })
    return found
  }

  #opendkim(instance: Scalar): Stanza {
    const found = this.opendkim.get(instance.text)
    if (found !== undefined) return found.stanza
    const stanza = new Stanza('opendkim', instance.text, instance.at)
    const domains = new Map<string, NamedStanza>()
    this.#domains.set(stanza, domains)
    this.opendkim.set(instance.text, { stanza, at: instance.at, domains })
    return stanza
  }
}
