/** The version in package.json, which lies beside `src/` and beside `dist/`. */

import { readFileSync } from 'node:fs'
import path from 'node:path'

export function readVersion(): string {
  const file = path.join(import.meta.dirname, '..', '..', 'package.json')
  const parsed: unknown = JSON.parse(readFileSync(file, 'utf8'))
  const version =
    typeof parsed === 'object' && parsed !== null && 'version' in parsed ? parsed.version : undefined
  return typeof version === 'string' ? version : 'unknown'
}
