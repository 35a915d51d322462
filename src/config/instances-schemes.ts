/** The instances of auth_ds: each Scheme with its Authenticate, QueryGroups and EnumGroups (momentum: modules/auth-ds). */

import { type SchemeStanza, Stanza } from './model.ts'
import { quote } from './render.ts'
import type { Report } from './report.ts'
import type { Scalar } from './tree.ts'

export class SchemeInstances {
  /** by name in lower case */
  readonly all = new Map<string, SchemeStanza>()
  readonly #report: Report

  constructor(report: Report) {
    this.#report = report
  }

  /** Case does not matter in a URI's scheme. */
  open(instance: Scalar): Stanza | undefined {
    const name = instance.text.toLowerCase()
    if (!/^[a-z][a-z0-9_+.-]{0,62}$/.test(name)) {
      return this.#report.error(
        `${quote(instance.text)} cannot be the scheme of a uri: a letter, then letters, digits and _ + . -`,
        instance.at,
      )
    }
    if (reservedSchemes.includes(name)) {
      return this.#report.error(`${quote(instance.text)} is a scheme of its own already`, instance.at)
    }
    const found = this.all.get(name) ?? {
      stanza: new Stanza('scheme', instance.text, instance.at),
      authenticate: new Stanza('authenticate', instance.text, instance.at),
      groups: new Map(),
      at: instance.at,
    }
    this.all.set(name, found)
    return found.stanza
  }

  /** A stanza inside a Scheme. */
  part(scope: 'authenticate' | 'querygroups' | 'enumgroups', parent: Stanza): Stanza | undefined {
    const scheme = [...this.all.values()].find(({ stanza }) => stanza === parent)
    if (scheme === undefined || scope === 'authenticate') return scheme?.authenticate
    const found = scheme.groups.get(scope) ?? new Stanza(scope, parent.instance, parent.at)
    scheme.groups.set(scope, found)
    return found
  }
}

/** what `uri` means without auth_ds */
const reservedSchemes = ['file', 'digest', 'groups', 'radius', 'ac_auth', 'smtp_auth_proxy']
