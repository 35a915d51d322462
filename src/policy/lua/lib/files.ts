/** `msys.readfile`: a whole file, read without holding up anything, bounded. */

import { resolve } from 'node:path'
import { Arguments } from './arguments.ts'
import type { Family, LibraryHost } from './family.ts'
import { pushValues, toBytes } from './values.ts'

const maxFile = 16 * 1_048_576

export function fileFamily({ state, waits, services, directory }: LibraryHost): Family {
  return {
    waiting: {
      'msys.readfile': (L) => {
        const name = new Arguments(state, L, 'msys.readfile').string(1)
        const path = fileName(name, directory(L))
        if (path === undefined) {
          const problem = `${name}: only files can be read`
          return waits.without(L, (thread) => pushValues(state, thread, undefined, problem))
        }
        return waits.begin(L, 'msys.readfile', async () => {
          try {
            const octets = await services.readFile(path, maxFile)
            return (thread) => {
              state.pushBytes(thread, octets, octets.length)
              return 1
            }
          } catch (error) {
            const problem = toBytes(error instanceof Error ? error.message : 'cannot be read')
            return (thread) => pushValues(state, thread, undefined, problem)
          }
        })
      },
    },
  }
}

/** A path or `file:` URI as scripts give it → an absolute path, from the script's directory; undefined for other URIs. */
export function fileName(name: string, directory: string | undefined): string | undefined {
  const text = Buffer.from(name, 'latin1').toString()
  const bare = text.replace(/^file:(?:\/\/(?=\/))?/, '')
  if (bare === '' || bare.includes('\0') || /^[a-z][a-z0-9+.-]+:/i.test(bare)) return undefined
  return resolve(directory ?? '/', bare)
}
