/**
 * Loads a policy module from any place on the disk, as the text stands now.
 *
 * Node never forgets a module, so each text gets a URL of its own: the file's URL and a digest of the module with
 * everything that it imports by relative paths. A reload after a change runs the new text; one without a change finds
 * the module that runs already, with whatever it keeps. What a reload leaves behind is the old module and nothing else.
 *
 * Policies are always ES modules, whatever package.json lies around them, and `postern` is this very package to them.
 */

import { createHash } from 'node:crypto'
import { registerHooks } from 'node:module'
import path from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

export interface ModuleText {
  /** absolute */
  readonly path: string
  /** the texts of the module and of what it imports by relative paths, by absolute path */
  readonly texts: ReadonlyMap<string, string>
  readonly digest: string
}

/** The query parameter that marks the URL of a policy's module. */
const MARK = 'postern-policy'
/** More than a policy has; a loop that makes up names must not keep the server busy. */
const maxFiles = 1000
const maxOctets = 64 * 1_048_576

/**
 * Reads a module and what it imports by relative paths. A path that is put together while the module runs is not seen.
 * @throws the error of the file system for the module itself; a missing import is told when the module is loaded
 */
export async function readModule(
  file: string,
  read: (path: string) => Promise<Uint8Array>,
): Promise<ModuleText> {
  const texts = new Map([[file, decode(await read(file))]])
  let octets = 0
  for (const [importer, text] of texts) {
    octets += text.length
    if (texts.size > maxFiles || octets > maxOctets) throw new Error(`${file} imports too much`)
    for (const imported of relativeImports(text).map((each) => path.resolve(path.dirname(importer), each))) {
      if (texts.has(imported)) continue
      const found = await read(imported).catch(() => undefined)
      if (found !== undefined) texts.set(imported, decode(found))
    }
  }
  const hash = createHash('sha256')
  for (const [name, text] of texts) hash.update(`${name}\0${text.length}\0`).update(text, 'utf8')
  return { path: file, texts, digest: hash.digest('hex').slice(0, 16) }
}

/**
 * Runs a module and gives its exports.
 * @throws whatever the module or Node's loader throws; an Error when it has not ended after `deadline` milliseconds
 */
export async function runModule(module: ModuleText, deadline: number): Promise<object> {
  const hooks = registerHooks({ resolve: resolvePolicy })
  try {
    return await importWithin(urlOf(module), deadline)
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof DeadlineError) throw error
    // What failed may have been the moment: a file that a module reads while it loads, and that is there by now.
    // Node would give the same error again for the same URL.
    return await importWithin(`${urlOf(module)}&at=${Date.now()}`, deadline)
  } finally {
    hooks.deregister()
  }
}

class DeadlineError extends Error {}

/** The file of a URL that belongs to a policy. */
export function policyFile(url: string): string | undefined {
  return isPolicy(url) ? fileURLToPath(url.replace(/\?.*/s, '')) : undefined
}

function urlOf({ path: file, digest }: ModuleText): string {
  return `${pathToFileURL(file).href}?${MARK}=${digest}`
}

function isPolicy(url: string | undefined): boolean {
  return url !== undefined && url.startsWith('file:') && url.includes(`?${MARK}=`)
}

async function importWithin(url: string, deadline: number): Promise<object> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => {
    const error = new DeadlineError(`was not loaded within ${deadline / 1000} s`)
    timer = setTimeout(() => reject(error), deadline)
  })
  try {
    return await Promise.race([import(url) as Promise<object>, late])
  } finally {
    clearTimeout(timer)
  }
}

type Resolve = NonNullable<Parameters<typeof registerHooks>[0]['resolve']>

/** Node's own resolution, but what a policy imports by a relative path belongs to the policy. */
const resolvePolicy: Resolve = (specifier, context, next) => {
  const from = context.parentURL
  if (!isPolicy(from))
    return isPolicy(specifier) ? asModule(next(specifier, context)) : next(specifier, context)
  if (specifier === 'postern') return next(specifier, { ...context, parentURL: import.meta.url })
  const resolved = next(specifier, context)
  if (!/^\.{0,2}\//.test(specifier) || !resolved.url.startsWith('file:')) return resolved
  const query = new URL(from ?? '').search
  return asModule({ ...resolved, url: `${resolved.url.replace(/\?.*/s, '')}${query}` })
}

function asModule(resolved: ReturnType<Resolve>): ReturnType<Resolve> {
  const [, kind] = /\.m?([jt])s\?/.exec(resolved.url) ?? []
  if (kind === undefined) return resolved
  return { ...resolved, format: kind === 't' ? 'module-typescript' : 'module' }
}

function relativeImports(text: string): string[] {
  const imports = text.matchAll(/\b(?:from|import)\s*\(?\s*(['"])(\.{1,2}\/[^'"\n]+)\1/g)
  return Array.from(imports, ([, , specifier = '']) => specifier)
}

function decode(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('utf8')
}
