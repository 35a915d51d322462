/**
 * What may be done: for each act the words of a command. Of a request only names of a binding and a domain become words, and
 * none that the console would read as anything else: an option, or `all`.
 */

import { PageError, textField } from './http.ts'

type Body = Readonly<Record<string, unknown>>

interface ActOrder {
  readonly words: readonly string[]
  /** it only says what would be done */
  readonly dryRun: boolean
}

const acts: ReadonlyMap<string, (body: Body) => ActOrder> = new Map<string, (body: Body) => ActOrder>([
  ['flush', (body) => ({ words: ['binding', 'flush', 'domain', ...queueOf(body)], dryRun: false })],
  [
    'fail',
    (body) => {
      const dryRun = flag(body, 'dryRun')
      const how = [...(flag(body, 'quiet') ? ['quiet'] : []), ...(dryRun ? ['--dry-run'] : [])]
      return { words: ['binding', 'fail', 'domain', ...how, ...queueOf(body)], dryRun }
    },
  ],
])

/** @throws PageError */
export function actOrder(name: string, body: Body): ActOrder {
  const act = acts.get(name)
  if (act === undefined) throw new PageError(404, 'There is no such act.')
  return act(body)
}

/** Group, binding and domain as `mailq` names them. @throws PageError */
export function queueOf(body: Body): readonly [binding: string, domain: string] {
  const [binding, domain] = [textField(body, 'binding', 256), textField(body, 'domain', 256)]
  if (!/^[^\s/\p{C}-][^\s/\p{C}]*\/[^\s/\p{C}]+$/u.test(binding))
    throw new PageError(422, 'Say which binding: GROUP/BINDING.')
  if (!/^[^\s\p{C}-][^\s\p{C}]*$/u.test(domain) || domain.toLowerCase() === 'all')
    throw new PageError(422, 'Say which domain: one, by its name. Everything at once is for the console.')
  return [binding, domain]
}

/** @throws PageError: what is neither yes nor no must not become one of them */
function flag(body: Body, name: string): boolean {
  const value = Object.hasOwn(body, name) ? body[name] : false
  if (typeof value !== 'boolean') throw new PageError(400, `${name} is true or false`)
  return value
}
