/**
 * `%{…}` in texts (momentum: lua/ref-msys-expand-macro): `%{vctx_conn:key}` and `%{vctx_mess:key}`, and the form
 * `%vctx_conn{key}` of Momentum's loggers. A key that is not set is empty, `%%` is a percent sign. Any other `%{…}` is
 * an error: left as it is, it would end up in a reply.
 */

import type { ContextKind, ValidationContext } from '../../context.ts'
import { ScriptError } from '../state.ts'

const maxExpanded = 65_536
const kinds: Readonly<Record<string, ContextKind>> = { vctx_conn: 'connection', vctx_mess: 'message' }

/** @throws ScriptError for a macro that does not exist here */
export function expandMacros(text: string, context: ValidationContext | undefined): string {
  const tooLong = new ScriptError(`msys.expandMacro: the result is longer than ${maxExpanded} octets`)
  let length = 0
  const value = (kind: ContextKind, key: string): string => {
    if (context === undefined) throw new ScriptError('msys.expandMacro: there is no session here')
    const found = context.get(kind, key)
    // counted on the way: a short text can ask for more than fits into any memory
    length += found.length
    if (length > maxExpanded) throw tooLong
    return found
  }
  const expanded = text.replaceAll(
    /%%|%(vctx_conn|vctx_mess)?\{([^}]*)\}?/g,
    (whole, logger, inner: string) => {
      if (whole === '%%') return '%'
      if (!whole.endsWith('}')) throw new ScriptError(`msys.expandMacro: "${whole}" has no end`)
      if (typeof logger === 'string') return value(kinds[logger] ?? 'connection', inner)
      const colon = inner.indexOf(':')
      const kind = colon < 0 ? undefined : kinds[inner.slice(0, colon)]
      if (kind === undefined)
        throw new ScriptError(`msys.expandMacro: "${whole}" is not a macro that is known here`)
      return value(kind, inner.slice(colon + 1))
    },
  )
  if (expanded.length > maxExpanded) throw tooLong
  return expanded
}
