/** Values of a Control_Listener and of Authorization. Strict: what cannot be understood lets nobody in. */

import path from 'node:path'
import { type Codec, dictionary } from './codec.ts'
import { suggestion } from './edit-distance.ts'
import { quote } from './render.ts'
import type { FilePath } from './settings-tls.ts'

/** `[ uri = "groups:///absolute/path" ]` */
export const authorizationParameters: Codec<FilePath> = (value, context) => {
  const result = dictionary(value, context)
  if (result === undefined || value.kind !== 'dictionary') return undefined
  for (const { key } of value.entries) {
    if (key.text.toLowerCase() === 'uri') continue
    return context.error(`has no key ${quote(key.text)}${suggestion(key.text, ['uri'])}`, key.at)
  }
  const uri = Object.values(result.value)[0] ?? ''
  const file = /^groups:\/\/(\/.+)$/i.exec(uri)?.[1]
  if (file !== undefined) return { value: { path: path.normalize(file), text: uri } }
  return context.error(
    /^groups:/i.test(uri)
      ? `needs an absolute path: groups:///etc/postern/console_roles`
      : `needs a file of groups, such as [ uri = "groups:///etc/postern/console_roles" ]: other sources are recognised, not implemented`,
    value.at,
  )
}

/** Perl's patterns, as far as JavaScript has them. An empty one would allow everything by mistake. */
export const commandPatterns: Codec<readonly RegExp[]> = (value, context) => {
  if (value.kind === 'dictionary') return context.error('is a list of patterns, not a dictionary', value.at)
  const patterns: RegExp[] = []
  for (const { text, at } of value.kind === 'scalar' ? [value] : value.items) {
    if (text.trim() === '') return context.error('has an empty pattern, which would allow everything', at)
    try {
      patterns.push(new RegExp(text, 'u'))
    } catch (error) {
      return context.error(`has a pattern that cannot be used: ${(error as Error).message}`, at)
    }
    if (!text.startsWith('^') && !/^\.[*+]\$?$/.test(text))
      context.warning(
        `allows every command in which ${quote(text)} occurs, also as an argument: begin the pattern with ^`,
        at,
      )
  }
  return { value: Object.freeze(patterns) }
}
