/**
 * MTA-STS policies on disk, a file for each domain, so that a restart forgets none (RFC 8461 §5.1; Momentum:
 * config/mta-sts/mta-sts-policy-store). Several processes may share the folder: a file is replaced as a whole.
 *
 * What cannot be read counts as absent and what cannot be written is kept in memory alone, and told once: mail goes on.
 * Bounded: expired policies are swept out when the store is first used, and beyond so many none is added.
 */

import { randomBytes } from 'node:crypto'
import { access, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isExpired, isMode, type StsPolicy } from './sts-policy.ts'

export interface StsStoreOptions {
  readonly folder: string
  /** milliseconds since the epoch */
  readonly clock: () => number
  /** told about a folder that cannot be used */
  readonly onProblem: (text: string) => void
  /** files that are kept; 100,000 unless given */
  readonly most?: number
}

const MAX_FILES = 100_000
const MAX_FILE = 128 * 1024

export class StsStore {
  readonly #options: StsStoreOptions
  #ready: Promise<void> | undefined
  #files = 0
  #told = false

  constructor(options: StsStoreOptions) {
    this.#options = options
  }

  /** @param domain a DNS name in lower case; undefined where there is no policy, or an expired one */
  async read(domain: string): Promise<StsPolicy | undefined> {
    await this.#open()
    const policy = await this.#parse(domain)
    return policy === undefined || isExpired(policy, this.#options.clock()) ? undefined : policy
  }

  async write(domain: string, policy: StsPolicy): Promise<void> {
    await this.#open()
    const { folder, most = MAX_FILES } = this.#options
    const isThere = await exists(join(folder, domain))
    if (!isThere && this.#files >= most) return
    const temporary = join(folder, `.${randomBytes(8).toString('hex')}`)
    try {
      await writeFile(temporary, `${JSON.stringify(policy)}\n`, { mode: 0o600 })
      await rename(temporary, join(folder, domain))
      if (!isThere) this.#files += 1
    } catch (error) {
      await rm(temporary, { force: true }).catch(() => undefined)
      this.#tell(error)
    }
  }

  /** Domains that have a file. */
  async domains(): Promise<readonly string[]> {
    await this.#open()
    const names = await readdir(this.#options.folder).catch(() => [])
    return names.filter((name) => !name.startsWith('.')).toSorted()
  }

  /** @returns whether there was a policy */
  async remove(domain: string): Promise<boolean> {
    await this.#open()
    const file = join(this.#options.folder, domain)
    if (!(await exists(file))) return false
    await rm(file, { force: true })
    this.#files -= 1
    return true
  }

  async #open(): Promise<void> {
    this.#ready ??= this.#sweep()
    await this.#ready
  }

  async #sweep(): Promise<void> {
    const { folder, clock } = this.#options
    try {
      await mkdir(folder, { recursive: true, mode: 0o700 })
      const names = await readdir(folder)
      for (const name of names) {
        const policy = name.startsWith('.') ? undefined : await this.#parse(name)
        if (policy !== undefined && !isExpired(policy, clock())) this.#files += 1
        else if (policy !== undefined || /^\.[0-9a-f]{16}$/.test(name))
          await rm(join(folder, name), { force: true })
      }
    } catch (error) {
      this.#tell(error)
    }
  }

  async #parse(name: string): Promise<StsPolicy | undefined> {
    try {
      const text = await readFile(join(this.#options.folder, name), 'utf8')
      return text.length > MAX_FILE ? undefined : policyOf(JSON.parse(text))
    } catch {
      return undefined
    }
  }

  #tell(error: unknown): void {
    if (this.#told) return
    this.#told = true
    this.#options.onProblem(
      `MTA-STS policies cannot be kept in ${this.#options.folder}: ${error instanceof Error ? error.message : String(error)}`,
    )
  }
}

async function exists(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  )
}

function policyOf(value: unknown): StsPolicy | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const { id, mode, mx, maxAge, fetchedAt } = value as Readonly<Record<string, unknown>>
  if (typeof id !== 'string' || typeof mode !== 'string' || !isMode(mode)) return undefined
  if (typeof maxAge !== 'number' || typeof fetchedAt !== 'number') return undefined
  if (!Array.isArray(mx) || !mx.every((each) => typeof each === 'string')) return undefined
  return { id, mode, mx, maxAge, fetchedAt }
}
