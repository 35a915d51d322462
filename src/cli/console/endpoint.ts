/** Which socket `postern console` talks to. */

import { statSync } from 'node:fs'
import { ConfigError } from '../../config/diagnostic.ts'
import { loadSettings } from '../../config/load.ts'
import { locateConfig } from '../locate.ts'

/**
 * @param named a socket, or a configuration file that names one
 * @throws ConfigError that says what to write where there is none
 */
export async function consolePath(named: string | undefined): Promise<string> {
  if (named !== undefined) {
    const found = statSync(named, { throwIfNoEntry: false })
    if (found?.isSocket()) return named
    if (found === undefined)
      throw mistake(`${named}: there is neither a configuration file nor the socket of a gate that runs`)
  }
  const file = locateConfig(named)
  const { settings, diagnostics } = await loadSettings(file)
  if (settings === undefined) {
    const message = `${file} cannot be read as it is now; name the socket of the running gate: postern console -c /path/of/the/socket`
    throw new ConfigError([...diagnostics, { severity: 'error', message }])
  }
  for (const { address, scope } of settings.controlListens)
    if (address.kind === 'unix' && scope.options.enable) return address.path
  const message = `${file} has no console; write for example: Control_Listener "console" { Listen "/run/postern/console" { } }`
  throw mistake(message)
}

function mistake(message: string): ConfigError {
  return new ConfigError([{ severity: 'error', message }])
}
