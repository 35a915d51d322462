/**
 * Giving up root (design §7): started as root with `Security { User = "…" Group = "…" }`, the server becomes that user
 * and keeps CAP_NET_BIND_SERVICE alone, so that a reload can still bind a port below 1024.
 *
 * Node cannot set capabilities. util-linux's `setpriv` can; it takes this process's place and starts the server again
 * in its own place, so the process id stays the same. Nothing may be open or listening before.
 *
 * Folders that the configuration names are made beforehand and belong to the user. Root makes folders only where nobody
 * else can write: in a place that others control a link could lead it astray, and there the user can make them itself.
 */

import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { ConfigError, type Diagnostic } from '../config/diagnostic.ts'
import type { SecuritySettings, Settings } from '../config/settings.ts'
import { createFolders, type FolderNeed, foldersOf } from './folders.ts'

/** Set for the second start: a process that is still root then must not try forever. Holds the process id. */
const GUARD = 'POSTERN_PRIVILEGES_DROPPED'

const CAPABILITIES = '-all,+net_bind_service'

/** What of the system is used; tests pass their own. */
export interface PrivilegeSystem {
  readonly uid: number
  readonly pid: number
  readonly env: NodeJS.ProcessEnv
  readonly execve: (file: string, args: readonly string[], env: NodeJS.ProcessEnv) => void
}

/**
 * Becomes the user of `Security` when started as root; then it does not return, and the program begins anew.
 * @param argv the whole command line to run again: node, its options, the program, its arguments; default: this one
 * @returns what there is to warn of, when there is nothing to give up
 * @throws ConfigError when the user or group is unknown or privileges cannot be given up
 */
export function dropPrivileges(
  settings: Settings,
  argv: readonly string[] = [process.execPath, ...process.execArgv, ...process.argv.slice(1)],
  system: PrivilegeSystem = thisProcess(),
): readonly Diagnostic[] {
  const { security } = settings
  if (system.uid !== 0) return otherUserWarning(security, system.uid)
  if (security === undefined || (security.user ?? security.group) === undefined) return rootWarning(settings)
  const account = lookUpAccount(security)
  if (account.uid === 0) return rootWarning(settings)
  if (system.env[GUARD] === String(system.pid))
    throw failure(security, 'the process is still root after it gave up root')
  const setpriv = findSetpriv(security)
  const needs = foldersOf(settings)
  makeFolders(needs, account, security)
  const flags = flagsFor(account)
  preflight({ setpriv, flags, needs, argv, security })
  const env = { ...system.env, [GUARD]: String(system.pid) }
  system.execve(setpriv, ['setpriv', ...flags, '--', ...argv], env)
  throw failure(security, `${setpriv} could not be started`)
}

/** What `check` has to say about Security: nothing is changed. What would end a start as root is an error only there. */
export function auditSecurity(settings: Settings, uid = thisProcess().uid): readonly Diagnostic[] {
  const { security } = settings
  if ((security?.user ?? security?.group) === undefined) return uid === 0 ? rootWarning(settings) : []
  try {
    return security === undefined || lookUpAccount(security).uid === 0 ? rootWarning(settings) : []
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return error.diagnostics.map((each) => ({ ...each, severity: uid === 0 ? 'error' : 'warning' }))
  }
}

function rootWarning(settings: Settings): readonly Diagnostic[] {
  const message =
    'the server runs as root; write Security { User = "postern" Group = "postern" } to keep only the right to bind low ports'
  const at = settings.security?.at
  return [{ severity: 'warning', message, ...(at === undefined ? {} : { at }) }]
}

function otherUserWarning(security: SecuritySettings | undefined, uid: number): readonly Diagnostic[] {
  if (security?.user === undefined) return []
  const wanted = lookUp('passwd', security.user)?.[2] ?? security.user
  if (wanted === String(uid)) return []
  const message = `Security names user "${security.user}", but the server was started as uid ${uid} and not as root: it stays what it is`
  return [{ severity: 'warning', message, at: security.at }]
}

interface Account {
  readonly uid: number
  readonly gid: number
  /** has an entry in the user database, so that its further groups are known */
  readonly named: boolean
}

/** @throws ConfigError when the user or the group is unknown */
function lookUpAccount(security: SecuritySettings): Account {
  const { user, group } = security
  if (user === undefined) throw failure(security, 'a User is missing: a Group alone does not give up root')
  const entry = lookUp('passwd', user)
  if (entry === undefined && !/^\d+$/.test(user))
    throw failure(security, `there is no user "${user}" on this system`)
  const uid = Number(entry?.[2] ?? user)
  const gid = group === undefined ? entry?.[3] : (lookUp('group', group)?.[2] ?? /^\d+$/.exec(group)?.[0])
  if (gid === undefined) {
    throw failure(
      security,
      group === undefined
        ? `user ${user} has no group; name one`
        : `there is no group "${group}" on this system`,
    )
  }
  return { uid, gid: Number(gid), named: entry !== undefined }
}

/** An entry of the user database, also when it is not in /etc: fields between the colons. */
function lookUp(database: 'passwd' | 'group', name: string): readonly string[] | undefined {
  if (!/^[\w][\w.@$-]*$/.test(name)) return undefined
  try {
    const line = execFileSync('getent', [database, name], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    return line.trimEnd().split(':')
  } catch (error) {
    // Small systems have no getent, and nothing but the files either.
    return (error as NodeJS.ErrnoException).code === 'ENOENT'
      ? lookUpInFile(`/etc/${database}`, name)
      : undefined
  }
}

function lookUpInFile(file: string, name: string): readonly string[] | undefined {
  const entries = readFileSync(file, 'utf8')
    .split('\n')
    .map((line) => line.split(':'))
  return entries.find((entry) => entry[0] === name || entry[2] === name)
}

function makeFolders(needs: readonly FolderNeed[], account: Account, security: SecuritySettings): void {
  try {
    createFolders(needs, account)
  } catch (error) {
    throw failure(
      security,
      `a folder cannot be made: ${error instanceof Error ? error.message : String(error)}`,
    )
  }
}

function findSetpriv(security: SecuritySettings): string {
  const folders = ['/usr/bin', '/bin', '/usr/sbin', '/sbin', '/usr/local/bin']
  const found = folders.map((folder) => path.join(folder, 'setpriv')).find((file) => existsSync(file))
  if (found === undefined) throw failure(security, 'giving up root needs the program setpriv of util-linux')
  return found
}

function flagsFor({ uid, gid, named }: Account): string[] {
  return [
    `--reuid=${uid}`,
    `--regid=${gid}`,
    named ? '--init-groups' : '--clear-groups',
    `--inh-caps=${CAPABILITIES}`,
    `--ambient-caps=${CAPABILITIES}`,
    `--bounding-set=${CAPABILITIES}`,
    '--no-new-privs',
  ]
}

const FOLDER_CHECK = `
  for folder; do
    [ -e "$folder" ] || mkdir -p -- "$folder" 2>/dev/null
    [ -d "$folder" ] && [ -w "$folder" ] && [ -x "$folder" ] || printf '%s\\0' "$folder"
  done
  exit 0`

const FILE_CHECK = `
  for file; do [ -r "$file" ] || printf '%s\\0' "$file"; done
  exit 0`

interface Preflight {
  readonly setpriv: string
  readonly flags: readonly string[]
  readonly needs: readonly FolderNeed[]
  readonly argv: readonly string[]
  readonly security: SecuritySettings
}

/**
 * Tries the change on a shell, before this process is gone. As that user it makes the folders that root did not make, and
 * names those that cannot be used; then the files of the command line that cannot be read, the program first of all.
 * @throws ConfigError
 */
function preflight(change: Preflight): void {
  const { needs, argv, security } = change
  const { user = '' } = security
  const folders = needs.filter((need) => need.vital).map((need) => need.path)
  const messages = [
    ...asThatUser(change, FOLDER_CHECK, folders).map(
      (each) =>
        `user "${user}" cannot use the folder ${each}; give it to that user (chown -R ${user} ${each})`,
    ),
    ...asThatUser(
      change,
      FILE_CHECK,
      argv.filter((each) => path.isAbsolute(each)),
    ).map(
      (each) => `user "${user}" cannot read ${each}; it must be readable, and every folder above it passable`,
    ),
  ]
  if (messages.length === 0) return
  throw new ConfigError(messages.map((message) => ({ severity: 'error', message, at: security.at })))
}

/** What a shell script, run as the user, prints with a NUL after each. @throws ConfigError */
function asThatUser(change: Preflight, script: string, args: readonly string[]): string[] {
  const { setpriv, flags, security } = change
  const run = spawnSync(setpriv, [...flags, '--', '/bin/sh', '-c', script, 'sh', ...args], {
    encoding: 'utf8',
  })
  if (run.status !== 0) {
    const why = run.error?.message ?? run.stderr.trim()
    throw failure(security, `root cannot be given up: ${why}`)
  }
  return run.stdout.split('\0').filter((each) => each !== '')
}

function failure({ at }: SecuritySettings, message: string): ConfigError {
  return new ConfigError([{ severity: 'error', message, at }])
}

function thisProcess(): PrivilegeSystem {
  return {
    uid: process.getuid?.() ?? -1,
    pid: process.pid,
    env: process.env,
    execve: (file, args, env) => process.execve?.(file, args, env),
  }
}
