/** What the audit says of a change from the console: who, where, what from, what to. Never a password. */

import { displayName } from '../known-names.ts'
import { withoutPasswords } from '../secrets.ts'
import { CONSOLE, type LiveChange } from './change.ts'
import { formatValue } from './format.ts'
import { findScope, type ScopeTree } from './scope-tree.ts'
import { describePath } from './steps.ts'

/** Who gives a command. */
export interface Who {
  readonly name: string
  /** address and port, or `local` */
  readonly from: string
}

/** One line of the audit. */
export interface ChangeFact {
  /** milliseconds since the epoch */
  readonly at: number
  readonly act: 'set' | 'unset' | 'begun from scratch' | 'dropped' | 'saved'
  readonly operator: string
  readonly from: string
  readonly place: string
  readonly scope: string
  readonly option: string
  readonly before: string
  readonly after: string
  readonly warning: string
}

interface About {
  readonly at: number
  readonly who: Who
  /** the configuration before the change, where that is to be told */
  readonly before?: ScopeTree | undefined
  readonly warning?: string
}

export function factOf(change: LiveChange, { at, who, before, warning = '' }: About): ChangeFact {
  const base = {
    at,
    operator: who.name,
    from: who.from,
    place: `${CONSOLE}:${change.number}`,
    scope: '',
    option: '',
    before: '',
    after: '',
    warning,
  }
  if (change.kind === 'scratch') return { ...base, act: 'begun from scratch' }
  const { option = '' } = change
  const old = before && findScope(before, change.path)?.options.get(option)?.value
  return {
    ...base,
    act: change.kind,
    scope: describePath(change.path),
    option: option === '' ? '' : displayName(option),
    before: old === undefined ? '' : formatValue(withoutPasswords(option, old)),
    after: change.kind === 'set' ? formatValue(withoutPasswords(option, change.value)) : '',
  }
}

/** `2026-11-22T13:30:00Z` */
export function dateTime(milliseconds: number): string {
  return new Date(milliseconds).toISOString().replace(/\.\d+Z$/, 'Z')
}
