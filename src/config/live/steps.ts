/**
 * The way from the global scope to an instance of a scope: `ESMTP_Listener Listen ":25"`. Two spellings of one address,
 * network or domain are the same instance, exactly where a configuration file would merge them (`instances.ts`).
 */

import { formatCidr, normaliseAddress, parseCidr } from '../address.ts'
import { recipientDomain } from '../codec-mail.ts'
import { inQuotes } from '../evaluate.ts'
import { anonymousScopes } from '../instances.ts'
import { displayName, findStanza } from '../known-names.ts'
import { listenKey, parseListenAddress } from '../listen-address.ts'
import type { ScopeName } from '../option-row.ts'
import type { StanzaNode } from '../tree.ts'

export interface Step {
  /** of the stanza, in lower case */
  readonly name: string
  /** undefined: its contents are not read */
  readonly scope: ScopeName | undefined
  /** as it is written */
  readonly instance: string | undefined
  /** the same for everything that merges */
  readonly key: string
}

/** Empty: the global scope. */
export type ScopePath = readonly Step[]

/** @param parent undefined: inside something that is not read */
export function stepTo(parent: ScopeName | undefined, stanza: string, instance: string | undefined): Step {
  const name = stanza.toLowerCase()
  const found = parent === undefined ? undefined : findStanza(name, parent)
  const scope = found?.kind === 'read' ? found.scope : undefined
  return { name, scope, instance, key: `${name} ${instanceKey(scope, instance)}` }
}

/** The step that a statement is. */
export function stepOf(parent: ScopeName | undefined, node: StanzaNode): Step {
  const known = steps.get(node)
  if (known !== undefined) return known
  const step = stepTo(parent, node.name.text, node.instance?.text)
  steps.set(node, step)
  return step
}

/** a million networks are parsed once; a statement never stands in two kinds of scopes */
const steps = new WeakMap<StanzaNode, Step>()

/** The scope that a path ends in; undefined: one that is not read. */
export function scopeAt(path: ScopePath): ScopeName | undefined {
  const last = path.at(-1)
  return last === undefined ? 'global' : last.scope
}

/** `ESMTP_Listener Listen ":25"`; '' for the global scope */
export function describePath(path: ScopePath): string {
  return path.map(describeStep).join(' ')
}

export function describeStep({ name, instance }: Pick<Step, 'name' | 'instance'>): string {
  return instance === undefined ? displayName(name) : `${displayName(name)} ${inQuotes(instance)}`
}

/** The same for the same path. */
export function pathKey(path: ScopePath): string {
  return path.map(({ key }) => key).join('\n')
}

function instanceKey(scope: ScopeName | undefined, instance: string | undefined): string {
  if (scope === undefined) return instance ?? ''
  if (anonymousScopes.includes(scope)) return ''
  // a stanza without a name has its own
  const text = instance ?? scope
  switch (scope) {
    case 'listen':
    case 'control_listen':
    case 'http_listen': {
      const address = parseListenAddress(text)
      return typeof address === 'string' ? text : listenKey(address)
    }
    case 'peer':
    case 'control_peer': {
      const cidr = parseCidr(text)
      return cidr === undefined ? text : formatCidr(cidr)
    }
    case 'domain':
      return isPattern(text) ? text : (recipientDomain(text) ?? text)
    case 'host':
      return isPattern(text)
        ? text
        : (normaliseAddress(text.replace(/^\[(.*)\]$/, '$1')) ?? recipientDomain(text) ?? text)
    case 'tls_sni':
    case 'scheme':
    case 'dkim_domain':
      return text.toLowerCase()
    default:
      return text
  }
}

function isPattern(text: string): boolean {
  return /^\/.*\/$/s.test(text)
}
