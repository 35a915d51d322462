/**
 * A mail server of Debian's in a root of its own: unpacked packages, never installed ones.
 *
 * Debian's mail servers exclude each other, run as users that they create and look for their files at places that are
 * compiled in. So apt fetches the packages, dpkg unpacks them into a temporary folder with accounts, devices and
 * libraries of its own, and chroot makes that folder the root of what is started there. Nothing outside of it changes.
 * Needs root and a mirror of Debian; throws when either is missing, because there is no result without the servers.
 */

import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

/** An account inside the root; numbers that nobody has outside. */
export interface Account {
  readonly name: string
  readonly id: number
}

/** Whom mailboxes belong to. */
export const MAILBOX_OWNER: Account = { name: 'vmail', id: 64_100 }
const NOBODY: Account = { name: 'nobody', id: 65_534 }

/** what every one of them is linked against, and the shell that some of them start programs with */
const COMMON_PACKAGES = ['dash', 'libc6', 'libcrypt1', 'libgcc-s1']

export interface RootRequest {
  /** the package of the mail server */
  readonly package: string
  /** further packages: libraries */
  readonly libraries: readonly string[]
  /** a release of Debian; the machine's own unless given */
  readonly release?: string
  readonly accounts: readonly Account[]
}

/** A program that runs inside the root, with its output so far. */
export interface RunningProgram {
  readonly output: () => string
  readonly ended: () => boolean
  /**
   * Ends the program and whatever else runs in the root; resolves when nothing of it is left. Whoever was started with
   * a listener's socket keeps it open, and connections that come meanwhile are reset rather than refused.
   */
  stop(signal?: NodeJS.Signals): Promise<void>
}

export class DebianRoot {
  readonly folder: string
  /** version of the package */
  readonly version: string

  private constructor(folder: string, version: string) {
    this.folder = folder
    this.version = version
  }

  static make(request: RootRequest): DebianRoot {
    if (process.getuid?.() !== 0)
      throw new Error('the suite of mail servers needs root: they change users and use chroot')
    // the servers' own users have to find their way about, however private whoever runs this keeps his files
    process.umask(0o022)
    const folder = mkdtempSync(path.join(tmpdir(), `postern-${request.package}-`))
    // a test run that is ended from outside leaves nothing behind
    process.once('exit', () => {
      killAll(folder)
      rmSync(folder, { recursive: true, force: true, maxRetries: 20 })
    })
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => process.exit(1))
    try {
      chmodSync(folder, 0o755)
      const packages = [request.package, ...COMMON_PACKAGES, ...request.libraries]
      const version = unpack(folder, packages, request.release)
      const root = new DebianRoot(folder, version)
      root.#furnish([...request.accounts, MAILBOX_OWNER, NOBODY])
      return root
    } catch (error) {
      rmSync(folder, { recursive: true, force: true })
      throw error
    }
  }

  /** Where a path inside the root lies for us. */
  outside(inside: string): string {
    return path.join(this.folder, inside)
  }

  write(inside: string, text: string, mode = 0o644): void {
    mkdirSync(path.dirname(this.outside(inside)), { recursive: true })
    writeFileSync(this.outside(inside), text)
    chmodSync(this.outside(inside), mode)
  }

  directory(inside: string, mode: number, owner: { readonly user: number; readonly group: number }): void {
    mkdirSync(this.outside(inside), { recursive: true })
    chownSync(this.outside(inside), owner.user, owner.group)
    chmodSync(this.outside(inside), mode)
  }

  read(inside: string): string {
    try {
      return readFileSync(this.outside(inside), 'latin1')
    } catch {
      return ''
    }
  }

  /** Runs a program inside to its end. @returns its standard output @throws when it fails */
  run(program: string, ...args: string[]): string {
    return execFileSync('chroot', [this.folder, program, ...args], { encoding: 'utf8', timeout: 30_000 })
  }

  /** Starts a program inside, as the leader of a process group. */
  start(program: string, ...args: string[]): RunningProgram {
    const child = spawn('chroot', [this.folder, program, ...args], {
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
    })
    const exit = once(child, 'exit')
    let output = ''
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk: Buffer) => {
        output += chunk.toString('latin1')
      })
    return {
      output: () => output,
      ended: () => child.exitCode !== null || child.signalCode !== null,
      stop: async (signal = 'SIGTERM') => {
        await end(child, exit, signal)
        await nobodyIn(this.folder)
      },
    }
  }

  /** Messages in the mailboxes, all of which are maildirs of `/mail`. */
  mailboxes(): readonly { readonly user: string; readonly text: string }[] {
    return entries(this.outside('mail')).flatMap((user) =>
      entries(this.outside(`mail/${user}/new`)).map((file) => ({
        user,
        text: this.read(`mail/${user}/new/${file}`),
      })),
    )
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true })
  }

  #furnish(accounts: readonly Account[]): void {
    this.write('etc/passwd', lines(['root:x:0:0::/:/bin/sh', ...accounts.map(accountLine)]))
    this.write('etc/group', lines(['root:x:0:', ...accounts.map(({ name, id }) => `${name}:x:${id}:`)]))
    this.write('etc/hosts', '127.0.0.1 localhost\n')
    this.write('etc/services', 'smtp 25/tcp\n')
    this.write('etc/resolv.conf', 'lookup file\nnameserver 127.0.0.1\n')
    this.write('etc/nsswitch.conf', 'passwd: files\ngroup: files\nhosts: files\nservices: files\n')
    this.write('etc/mailname', 'mta.test\n')
    this.directory('home', 0o755, { user: 0, group: 0 })
    this.directory('tmp', 0o1777, { user: 0, group: 0 })
    this.directory('mail', 0o755, { user: MAILBOX_OWNER.id, group: MAILBOX_OWNER.id })
    mkdirSync(this.outside('dev'), { recursive: true })
    for (const [name, minor] of [
      ['null', '3'],
      ['random', '8'],
      ['urandom', '9'],
    ] as const) {
      execFileSync('mknod', ['-m', '666', this.outside(`dev/${name}`), 'c', '1', minor])
    }
    execFileSync('chroot', [this.folder, '/bin/sh', '-c', 'exit 0'])
  }
}

async function end(child: ChildProcess, exit: Promise<unknown>, signal: NodeJS.Signals): Promise<void> {
  if (child.pid === undefined) return
  if (child.exitCode === null && child.signalCode === null) {
    child.kill(signal)
    const late = setTimeout(() => child.kill('SIGKILL'), 5000)
    await exit
    clearTimeout(late)
  }
}

/** Kills what runs in a root until nothing does. @throws Error with what cannot be killed */
async function nobodyIn(folder: string): Promise<void> {
  for (let until = Date.now() + 10_000; killAll(folder); ) {
    if (Date.now() > until) throw new Error(`processes in ${folder} do not end`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

/** Those in roots further inside too; not all are in the process group of who was started. @returns whether there was one */
function killAll(folder: string): boolean {
  const inside = entries('/proc').filter((name) => /^\d+$/.test(name) && isIn(folder, `/proc/${name}/root`))
  for (const pid of inside) {
    try {
      process.kill(Number(pid), 'SIGKILL')
    } catch {
      // it has ended by itself
    }
  }
  return inside.length > 0
}

function isIn(folder: string, link: string): boolean {
  try {
    const root = readlinkSync(link)
    return root === folder || root.startsWith(`${folder}/`)
  } catch {
    // it has ended, or is about to: it holds nothing any more
    return false
  }
}

/** @returns the version of the first of them */
function unpack(folder: string, packages: readonly string[], release: string | undefined): string {
  const store = path.join(folder, 'packages')
  mkdirSync(store)
  try {
    download(store, packages, release)
    const files = readdirSync(store).filter((file) => file.endsWith('.deb'))
    // libraries are looked for in /lib, which is /usr/lib
    for (const name of ['bin', 'lib', 'lib64', 'sbin']) {
      mkdirSync(path.join(folder, 'usr', name), { recursive: true })
      execFileSync('ln', ['-s', `usr/${name}`, path.join(folder, name)])
    }
    for (const file of files) {
      const tar = execFileSync('dpkg-deb', ['--fsys-tarfile', path.join(store, file)], {
        maxBuffer: 1 << 30,
      })
      // through the links above, which dpkg -x would replace
      execFileSync('tar', ['-x', '--keep-directory-symlink', '--exclude=./usr/share/*', '-C', folder], {
        input: tar,
      })
    }
    const file = files.find((name) => name.startsWith(`${packages[0]}_`)) ?? ''
    return execFileSync('dpkg-deb', ['-f', path.join(store, file), 'Version'], { encoding: 'utf8' }).trim()
  } finally {
    rmSync(store, { recursive: true, force: true })
  }
}

/** @throws Error that says what is missing */
function download(store: string, packages: readonly string[], release: string | undefined): void {
  const options = [
    '-qq',
    '-o',
    'APT::Sandbox::User=root',
    ...(release === undefined ? [] : foreign(store, release)),
  ]
  const apt = (...args: readonly string[]): void => {
    execFileSync('apt-get', [...options, ...args], { cwd: store, stdio: ['ignore', 'ignore', 'pipe'] })
  }
  try {
    if (release !== undefined) apt('update')
    try {
      apt('download', ...packages)
    } catch {
      // the lists of packages may be older than the mirror
      apt('update')
      apt('download', ...packages)
    }
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new Error(`apt could not fetch ${packages.join(' ')}; nothing was tested: ${why}`, { cause: error })
  }
}

/** Options that make apt see another release on the machine's first mirror, with lists of its own. */
function foreign(store: string, release: string): readonly string[] {
  const format = ['--format', '$(REPO_URI) $(ORIGIN)', 'Created-By: Packages']
  const listed = execFileSync('apt-get', ['indextargets', ...format], { encoding: 'utf8' })
  const mirror = /^(\S+) Debian$/m.exec(listed)?.[1]
  if (mirror === undefined) throw new Error('apt knows no mirror of Debian; run apt-get update first')
  const sources = path.join(store, 'sources.list')
  mkdirSync(path.join(store, 'lists/partial'), { recursive: true })
  const signed = existsSync(KEYRING) ? `[signed-by=${KEYRING}] ` : ''
  writeFileSync(sources, `deb ${signed}${mirror} ${release} main\n`)
  return [
    `Dir::Etc::SourceList=${sources}`,
    'Dir::Etc::SourceParts=-',
    `Dir::State::Lists=${path.join(store, 'lists')}`,
    `Dir::Cache=${path.join(store, 'cache')}`,
    'Acquire::Languages=none',
  ].flatMap((option) => ['-o', option])
}

const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg'

function accountLine({ name, id }: Account): string {
  return `${name}:x:${id}:${id}::/home:/bin/sh`
}

function lines(all: readonly string[]): string {
  return `${all.join('\n')}\n`
}

function entries(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}
