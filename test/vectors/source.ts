/**
 * OpenSSL's test certificates and recipe, out of the upstream tarball of Debian's source package `openssl`.
 *
 * apt fetches it from the mirrors that this machine is set up for, into a folder of the caller's; what Debian signed is
 * what counts. The release of the same minor version as Node's OpenSSL is taken, else the newest one. Nothing of it is
 * kept. POSTERN_OPENSSL_SOURCE names an unpacked source tree instead, for machines without a mirror.
 */

import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'

export interface OpenSslSource {
  /** text of test/recipes/25-test_verify.t */
  readonly recipe: string
  /** the folder test/certs */
  readonly certs: string
  /** `openssl-3.5.7` */
  readonly version: string
}

/** Debian's releases that have an OpenSSL of Node's kind; the machine's own comes on top. */
const RELEASES = ['trixie', 'forky']
const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg'
const TARBALL = /^'(\S+)' (openssl_[\d.]+\.orig\.tar\.\w+) \d+ (SHA256:\w+)$/m

/**
 * @param folder an empty folder
 * @throws Error that says what is missing; there is no result without the vectors
 */
export function openSslSource(folder: string): OpenSslSource {
  const given = process.env['POSTERN_OPENSSL_SOURCE']
  if (given !== undefined) return inTree(given)
  try {
    return inTree(unpack(folder, download(folder)))
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new Error(
      `OpenSSL's test vectors could not be fetched with apt; nothing was checked (set POSTERN_OPENSSL_SOURCE to an unpacked source tree): ${why}`,
      { cause: error },
    )
  }
}

function inTree(tree: string): OpenSslSource {
  const certs = path.join(tree, 'test', 'certs')
  const recipe = readFileSync(path.join(tree, 'test', 'recipes', '25-test_verify.t'), 'utf8')
  return { recipe, certs, version: path.basename(tree) }
}

function unpack(folder: string, tarball: string): string {
  const wanted = ['*/test/certs', '*/test/recipes/25-test_verify.t']
  execFileSync('tar', ['-C', folder, '-xf', tarball, '--wildcards', ...wanted])
  const tree = readdirSync(folder).find((name) => existsSync(path.join(folder, name, 'test', 'certs')))
  if (tree === undefined) throw new Error(`${tarball} holds no test/certs`)
  return path.join(folder, tree)
}

/** @returns the tarball */
function download(folder: string): string {
  const apt = prepareApt(folder)
  try {
    apt('apt-get', 'update', '-qq')
  } catch {
    // a release that one of the mirrors does not have; what the others listed is enough
  }
  const versions = [...apt('apt-cache', 'showsrc', 'openssl').matchAll(/^Version: (.+)$/gm)].map(
    ([, version = '']) => version,
  )
  const minor = `${process.versions.openssl.split('.').slice(0, 2).join('.')}.`
  const best = [...new Set(versions)].toSorted(
    (a, b) => Number(b.startsWith(minor)) - Number(a.startsWith(minor)) || newerFirst(a, b),
  )
  const problems: string[] = []
  for (const version of best) {
    const listed = apt('apt-get', '--print-uris', 'source', `openssl=${version}`)
    const [, uri = '', name = '', hash = ''] = TARBALL.exec(listed) ?? []
    const file = path.join(folder, name)
    try {
      apt('/usr/lib/apt/apt-helper', 'download-file', uri, file, hash)
      return file
    } catch {
      // a mirror keeps an index for a while after the files
      problems.push(`${version} is not on the mirror`)
    }
  }
  throw new Error(problems.join(', ') || 'no mirror lists the source package')
}

function newerFirst(a: string, b: string): number {
  return b.localeCompare(a, 'en', { numeric: true })
}

/** apt with lists, cache and sources of its own, so that the machine's stay as they are. */
function prepareApt(folder: string): (program: string, ...args: readonly string[]) => string {
  for (const name of ['lists/partial', 'cache/archives/partial']) {
    mkdirSync(path.join(folder, 'apt', name), { recursive: true })
  }
  const sources = path.join(folder, 'apt', 'sources.list')
  writeFileSync(sources, sourcesList())
  const options = [
    `Dir::Etc::SourceList=${sources}`,
    'Dir::Etc::SourceParts=-',
    `Dir::State::Lists=${path.join(folder, 'apt', 'lists')}`,
    `Dir::Cache=${path.join(folder, 'apt', 'cache')}`,
    // the folder is private to us
    'APT::Sandbox::User=root',
  ].flatMap((option) => ['-o', option])
  return (program, ...args) =>
    execFileSync(program, [...options, ...args], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
}

/** The mirrors of the machine, each with its own release and the others, for sources alone. */
function sourcesList(): string {
  const format = '$(REPO_URI) $(RELEASE) $(ORIGIN)'
  const listed = execFileSync('apt-get', ['indextargets', '--format', format, 'Created-By: Packages'], {
    encoding: 'utf8',
  })
  const signed = existsSync(KEYRING) ? `[signed-by=${KEYRING}] ` : ''
  const lines = new Set<string>()
  for (const [, uri = '', release = ''] of listed.matchAll(/^(\S+) (\S+) Debian$/gm)) {
    const [own = '', kind] = release.split('-')
    if (kind !== undefined && kind !== 'security') continue
    for (const name of [own, ...RELEASES]) {
      lines.add(`deb-src ${signed}${uri} ${kind === undefined ? name : `${name}-${kind}`} main`)
    }
  }
  if (lines.size === 0) throw new Error('apt knows no mirror of Debian; run apt-get update first')
  return `${[...lines].join('\n')}\n`
}
