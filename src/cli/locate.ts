/** Which configuration file a command means. */

import { existsSync } from 'node:fs'
import { ConfigError } from '../config/diagnostic.ts'

const DEFAULT_FILES = ['./postern.conf', '/etc/postern/postern.conf']

/** The named file, else the first default that exists. @throws ConfigError when there is none */
export function locateConfig(named: string | undefined): string {
  const file = named ?? DEFAULT_FILES.find((candidate) => existsSync(candidate))
  if (file !== undefined) return file
  const message = `no configuration file: neither ${DEFAULT_FILES.join(' nor ')} exists; name one with -c FILE`
  throw new ConfigError([{ severity: 'error', message }])
}
