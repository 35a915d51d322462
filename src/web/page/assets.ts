/** The page's own files, read once and served from memory. They hold nothing of this server: everybody may see them. */

import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { extname, join } from 'node:path'

export interface Asset {
  readonly type: string
  readonly body: Buffer
  readonly etag: string
}

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml; charset=utf-8',
}

/** By name; `''` is the page itself. @throws where the program was installed without them */
export function readAssets(folder = join(import.meta.dirname, 'assets')): ReadonlyMap<string, Asset> {
  const assets = readdirSync(folder).flatMap((name) => {
    const type = types[extname(name)]
    if (type === undefined) return []
    const body = readFileSync(join(folder, name))
    const etag = `"${createHash('sha256').update(body).digest('base64url')}"`
    return [[name === 'index.html' ? '' : name, { type, body, etag }] as const]
  })
  return new Map(assets)
}
