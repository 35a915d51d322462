/**
 * The folders that a configuration names for writing, and making them as root for somebody else.
 */

import { lchownSync, mkdirSync, realpathSync, statSync } from 'node:fs'
import path from 'node:path'
import { customLogFiles } from '../config/custom-loggers.ts'
import { loggerFiles } from '../config/log-files.ts'
import type { Settings } from '../config/settings.ts'

export interface FolderNeed {
  readonly path: string
  /** permissions when it is made; what is missing above it can be passed through by all */
  readonly mode: number
  /** whether the server is of no use without it; a log that cannot be written stops nobody */
  readonly vital: boolean
}

/** Spool, mailboxes, log folders and those of UNIX sockets; each once. */
export function foldersOf(settings: Settings): readonly FolderNeed[] {
  const needs = new Map<string, FolderNeed>()
  const add = (folder: string, mode: number, vital = true): void => {
    if (!needs.has(folder)) needs.set(folder, { path: folder, mode, vital })
  }
  add(settings.global.spoolbase.path, 0o750)
  for (const { basedir } of settings.maildirs) add(basedir.path, 0o750)
  const { listens, controlListens, httpListens } = settings
  for (const { address, scope } of [...listens, ...controlListens, ...httpListens]) {
    if (address.kind === 'unix' && scope.options.enable) add(path.dirname(address.path), 0o755)
  }
  for (const file of [...settings.loggers, ...settings.bounceLoggers].flatMap(loggerFiles))
    add(path.dirname(file.path), 0o755, false)
  for (const logger of settings.customLoggers) {
    for (const file of customLogFiles(logger)) add(path.dirname(file.path), 0o755, false)
  }
  for (const { tlslog } of settings.tlsLogs)
    if (tlslog !== undefined) add(path.dirname(tlslog.path), 0o755, false)
  for (const { output_file: output, error_file: errors } of settings.pipes)
    for (const file of [output, errors]) if (file !== undefined) add(path.dirname(file.path), 0o755, false)
  const { tls_rpt_log: reports, mta_sts_policy_store: policies } = settings.global
  if (reports !== undefined) add(path.dirname(reports.path), 0o755, false)
  if (policies !== undefined) add(policies.path, 0o700, false)
  return [...needs.values()]
}

/**
 * Makes folders and what is missing above them, as root, and gives what was made to its owner. Passes over a folder that
 * exists, and one in whose path anybody but root could have a hand: that one the owner makes, or fails to.
 */
export function createFolders(
  needs: readonly FolderNeed[],
  owner: { readonly uid: number; readonly gid: number },
): void {
  // Nothing belongs to the owner before all of it exists: nobody can put a link between.
  const made = needs.flatMap((need) => create(need))
  for (const folder of made.toReversed()) lchownSync(folder, owner.uid, owner.gid)
}

/** @returns the folders that were made, topmost first */
function create(need: FolderNeed): string[] {
  const missing: string[] = []
  let existing = need.path
  while (statSync(existing, { throwIfNoEntry: false }) === undefined) {
    missing.unshift(path.basename(existing))
    existing = path.dirname(existing)
  }
  const base = realpathSync(existing)
  if (missing.length === 0 || !onlyRootWrites(base)) return []
  const folders = missing.map((_name, index) => path.join(base, ...missing.slice(0, index + 1)))
  for (const folder of folders) mkdirSync(folder, { mode: folder === folders.at(-1) ? need.mode : 0o755 })
  return folders
}

function onlyRootWrites(folder: string): boolean {
  const { uid, mode } = statSync(folder)
  const parent = path.dirname(folder)
  return uid === 0 && (mode & 0o022) === 0 && (parent === folder || onlyRootWrites(parent))
}
