/** Verdicts without the name of who answered, for tests of what is answered. */

import type { AnyFacts, AnyPhase, Policy } from '../../src/policy/phases.ts'
import type { Verdict } from '../../src/policy/verdict.ts'

/** The same policy; its verdicts name no script. */
export function unsigned(policy: Policy): Policy {
  const ask = <P extends AnyPhase>(phase: P, facts: AnyFacts[P]): Verdict | Promise<Verdict> => {
    const verdict = policy.ask(phase, facts)
    return verdict instanceof Promise ? verdict.then(strip) : strip(verdict)
  }
  return new Proxy(policy, {
    get: (target, name) => {
      if (name === 'ask') return ask
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? (value.bind(target) as unknown) : value
    },
  })
}

function strip(verdict: Verdict): Verdict {
  if (!('by' in verdict)) return verdict
  const { by: _by, ...rest } = verdict
  // oxlint-disable-next-line unicorn/no-thenable -- the verdict's field
  return rest.kind === 'tarpit' ? { ...rest, then: strip(rest.then) } : rest
}
