/** `config locate`: where the instances of a scope stand (momentum: console-commands/config). */

import { runInNewContext } from 'node:vm'
import { suggestion } from '../config/edit-distance.ts'
import { displayName } from '../config/known-names.ts'
import type { ScopeTree } from '../config/live/scope-tree.ts'
import { describeStep, type Step } from '../config/live/steps.ts'
import { mistake } from '../config/live/target.ts'
import { type ConfigurationView, describeLive } from '../config/live/view.ts'
import type { Answer } from './answer.ts'

/**
 * @param name in lower case
 * @param pattern a regular expression over instances; '' for all
 * @throws ConfigError
 */
export function locateScopes(view: ConfigurationView, name: string, pattern: string): Answer {
  const all = [...scopesOf(view.tree)]
  const found = all.filter(({ steps }) => steps.at(-1)?.name === name)
  if (found.length === 0) {
    const names = new Set(all.flatMap(({ steps }) => steps.slice(-1).map((step) => displayName(step.name))))
    throw mistake(`no ${displayName(name)} stands in the configuration${suggestion(name, names)}`)
  }
  const fits = pattern === '' ? found : matching(found, pattern)
  const rows = fits.map(({ steps, scope }) => ({
    scope: describeStep(steps.at(-1) ?? { name, instance: undefined }),
    at: steps.map(located).join(''),
    from: scope.at === undefined ? '' : describeLive(scope.at, view),
  }))
  return {
    kind: 'document',
    data: rows,
    lines:
      rows.length === 0
        ? [`no ${displayName(name)} fits ${pattern}`]
        : rows.flatMap(({ scope, at, from }) => [scope, `  is at ${at}`, `  written in ${from}`]),
  }
}

interface Located {
  readonly steps: readonly Step[]
  readonly scope: ScopeTree
}

function* scopesOf(scope: ScopeTree, steps: readonly Step[] = []): Generator<Located> {
  for (const child of scope.children.values()) {
    if (child.step === undefined) continue
    const here = [...steps, child.step]
    yield { steps: here, scope: child }
    yield* scopesOf(child, here)
  }
}

/** `Listen:\:25:`, as Momentum writes it */
function located({ name, instance = '' }: Step): string {
  return `${displayName(name)}:${instance.replace(/[\\:]/g, '\\$&')}:`
}

/** An error of another realm is no `Error` of ours. */
function reasonOf(error: unknown): string {
  return typeof error === 'object' && error !== null && 'message' in error
    ? String(error.message)
    : String(error)
}

/** An expression that takes for ever is given up: the server has mail to serve. */
function matching(all: readonly Located[], pattern: string): readonly Located[] {
  const names = all.map(({ steps }) => steps.at(-1)?.instance ?? '')
  try {
    const fits = runInNewContext(
      'const one = new RegExp(pattern, "i"); names.map((name) => one.test(name))',
      { pattern, names },
      { timeout: REGEX_MS },
    ) as readonly boolean[]
    return all.filter((_, index) => fits[index] === true)
  } catch (error) {
    throw mistake(`${JSON.stringify(pattern)} cannot be looked for: ${reasonOf(error)}`)
  }
}

const REGEX_MS = 200
