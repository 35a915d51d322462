/** A configuration that listens on nothing is valid, and hardly ever meant. */

import type { Diagnostic } from '../config/diagnostic.ts'
import type { Settings } from '../config/settings.ts'

export function silenceWarning({ listens }: Settings): readonly Diagnostic[] {
  if (listens.some(({ scope }) => scope.options.enable)) return []
  const cause =
    listens.length === 0 ? 'there is no Listen in an ESMTP_Listener' : 'no Listen is enabled (Enable = false)'
  return [{ severity: 'warning', message: `nothing is listened on: ${cause}` }]
}
