/** Haraka and smtp-server, by exact versions, in a folder of this run. Their install scripts do not run. */

import { execFile } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { promisify } from 'node:util'
import type { Cleanup } from '../support/cleanup.ts'

const VERSIONS = { Haraka: '3.3.4', 'smtp-server': '3.21.6' }
const DEADLINE_MS = 300_000

/** @returns the folder of the packages @throws Error with what npm said */
export async function installPackages(cleanup: Cleanup): Promise<string> {
  const folder = cleanup.folder('npm')
  writeFileSync(path.join(folder, 'package.json'), JSON.stringify({ private: true, dependencies: VERSIONS }))
  await promisify(execFile)('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--silent'], {
    cwd: folder,
    timeout: DEADLINE_MS,
    env: { ...process.env, PATH: `${path.dirname(process.execPath)}:${process.env['PATH'] ?? ''}` },
  })
  return path.join(folder, 'node_modules')
}

export function versionOf(packages: string, name: keyof typeof VERSIONS): string {
  const manifest = JSON.parse(readFileSync(path.join(packages, name, 'package.json'), 'utf8')) as {
    readonly version: string
  }
  return `${manifest.version} on Node.js ${process.versions.node}`
}
