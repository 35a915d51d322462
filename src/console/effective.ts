/** The effective value of an option for whom a scope speaks of: what `config eval` and the answer to `config unset` show. */

import type { Origin } from '../config/diagnostic.ts'
import { type Evaluation, type EvaluationPlace, evaluate, format } from '../config/evaluate.ts'
import { displayName } from '../config/known-names.ts'
import { formatValue } from '../config/live/format.ts'
import { findScope } from '../config/live/scope-tree.ts'
import type { ScopePath } from '../config/live/steps.ts'
import { mistake, rowOf, type Target } from '../config/live/target.ts'
import type { ConfigurationView } from '../config/live/view.ts'
import { withoutPasswords } from '../config/secrets.ts'

/** `Name = value` or `Name is not set`; undefined where it depends on who asks. */
export function effectiveAt(view: ConfigurationView, target: Target): string | undefined {
  try {
    const { name, text } = evaluateAt(view, target)
    return text === undefined ? `${name} is not set` : `${name} = ${text}`
  } catch {
    return undefined
  }
}

/** @throws ConfigError */
export function evaluateAt(view: ConfigurationView, { path, option }: Target): Evaluation {
  if (option === undefined) throw mistake('say which option: config eval … OPTION')
  const { settings } = view
  const place = placeOf(path)
  if (place !== undefined && settings !== undefined) return evaluate(settings, option, place)
  const set = findScope(view.tree, path)?.options.get(option)
  const name = displayName(option)
  const origin: Origin = set?.value.at ?? 'default'
  if (set !== undefined) return { name, text: formatValue(withoutPasswords(option, set.value)), origin }
  return { name, text: format(rowOf({ path, option })?.default, option), origin }
}

/** undefined: the scope's values hold for itself alone, and nothing is behind them but defaults */
function placeOf(path: ScopePath): EvaluationPlace | undefined {
  const place: { -readonly [Key in keyof EvaluationPlace]: EvaluationPlace[Key] } = {}
  let group = ''
  for (const { name, instance = '' } of path) {
    switch (name) {
      case 'esmtp_listener':
      case 'pathway_group':
        break
      case 'listen':
      case 'pathway':
      case 'domain':
      case 'host':
        place[name] = instance
        break
      case 'peer':
        place.peer = instance.replace(/\/.*$/, '')
        break
      case 'binding_group':
        group = `${instance}/`
        break
      case 'binding':
        place.binding = group + instance
        break
      default:
        return undefined
    }
  }
  return place
}
