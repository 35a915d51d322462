/** How scripts change a header: replace, prepend, append; '' deletes. */

import type { HeaderBlock } from '../../mail/headers.ts'
import { ScriptError } from './state.ts'

export interface HeaderEdit {
  readonly name: string
  readonly value: string
  readonly mode: string
}

/** @throws ScriptError */
export function editHeader(headers: HeaderBlock, { name, value, mode }: HeaderEdit): void {
  if (!/^[!-9;-~]{1,128}$/.test(name)) throw new ScriptError('not a header field name')
  if (value === '') headers.delete(name)
  else if (mode === 'replace') headers.replace(name, value)
  else if (mode === 'prepend') headers.prepend(name, value)
  else if (mode === 'append') headers.append(name, value)
  else throw new ScriptError('header mode is "replace", "prepend" or "append"')
}
