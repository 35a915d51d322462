/** This host's name, where no scope names another. */

import { hostname as systemHostname } from 'node:os'
import type { Settings } from './config/settings.ts'

export function hostnameOf(settings: Settings): string {
  return settings.global.hostname ?? systemHostname()
}
