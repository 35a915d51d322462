/** Values of a Control_Listener and of Authorization. Strict: what cannot be understood lets nobody in. */

import path from 'node:path'
import { type Codec, dictionary } from './codec.ts'
import { suggestion } from './edit-distance.ts'
import { quote } from './render.ts'
import type { GroupsSource } from './settings-control.ts'

/** `[ uri = "groups:///absolute/path" ]`, or `[ uri = "name://" ]` for a Scheme of auth_ds */
export const authorizationParameters: Codec<GroupsSource> = (value, context) => {
  const result = dictionary(value, context)
  if (result === undefined || value.kind !== 'dictionary') return undefined
  for (const { key } of value.entries) {
    if (key.text.toLowerCase() === 'uri') continue
    return context.error(`has no key ${quote(key.text)}${suggestion(key.text, ['uri'])}`, key.at)
  }
  const uri = Object.values(result.value)[0] ?? ''
  const file = /^groups:\/\/(\/.+)$/i.exec(uri)?.[1]
  if (file !== undefined) return { value: { kind: 'file', path: path.normalize(file), text: uri } }
  const scheme = /^([a-z][a-z0-9_+.-]*):\/\//i.exec(uri)?.[1]?.toLowerCase()
  if (scheme !== undefined && scheme !== 'groups') return { value: { kind: 'scheme', scheme, text: uri } }
  return context.error(
    scheme === 'groups' || /^groups:/i.test(uri)
      ? `needs an absolute path: groups:///etc/postern/console_roles`
      : `needs a source of groups, such as [ uri = "groups:///etc/postern/console_roles" ] or the name:// of a Scheme with QueryGroups`,
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
