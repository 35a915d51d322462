/**
 * A script of the configuration that is a module → a policy that can be asked, or what is wrong with it.
 *
 * Refused: a module that cannot be read, parsed or run, one without `export const policy`, a name that is no phase (a
 * check under a mistyped name would never be made), and a policy under another name than its script's.
 */

import path from 'node:path'
import type { Diagnostic, Position } from '../../config/diagnostic.ts'
import { suggestion } from '../../config/edit-distance.ts'
import type { ScriptSettings } from '../../config/settings.ts'
import { reasonOf } from '../../config/source.ts'
import { policyNames } from './callouts.ts'
import type { PolicyDefinition } from './definition.ts'
import { explainLoadError, placeOfName, type Shown } from './findings.ts'
import { type ModuleText, readModule, runModule } from './modules.ts'

export interface LoadedPolicy {
  readonly policy: PolicyDefinition | undefined
  readonly diagnostics: readonly Diagnostic[]
  readonly shown: Shown
  /** `FILE:LINE` of a method */
  readonly where: (method: string) => string
}

/** Whether a script is a module and not Lua. */
export function isModuleScript({ source, path: file }: ScriptSettings): boolean {
  return /\.[cm]?[jt]s$/.test(file ?? source)
}

/** Runs the module. Never throws. @param deadline milliseconds that loading may take */
export async function loadModule(
  script: ScriptSettings,
  read: (path: string) => Promise<Uint8Array>,
  deadline: number,
): Promise<LoadedPolicy> {
  const shown = shownAs(script)
  const fail = (message: string, at: Position = script.at): LoadedPolicy => ({
    policy: undefined,
    shown,
    where: () => script.name,
    diagnostics: [problem(script, message, at)],
  })
  const { path: file, source } = script
  if (file === undefined) return fail(`Unable to open '${source}', errno=2 No such file or directory`)
  if (/\.c[jt]s$/.test(file)) return fail(`a policy is an ES module: name it .ts, .mts, .js or .mjs`)
  let module: ModuleText
  try {
    module = await readModule(file, read)
  } catch (error) {
    return fail(`Unable to open '${file}': ${reasonOf(error)}`)
  }
  try {
    return judge(script, module, await runModule(module, deadline))
  } catch (error) {
    const { message, at } = await explainLoadError(error, module, shown)
    return fail(message, at)
  }
}

/** What is wrong with a policy, whether it came from a module or from a program. */
export function judgePolicy(policy: object, script: string): readonly { message: string; name: string }[] {
  const named = 'name' in policy && policy.name !== undefined && policy.name !== script
  const wrongName = named
    ? [
        {
          name: 'name',
          message: `the policy is named ${JSON.stringify(policy.name)}, the script "${script}"`,
        },
      ]
    : []
  const unknown = Object.keys(policy)
    .filter((name) => !policyNames.includes(name))
    .map((name) => ({ name, message: `no phase is named ${name}${suggestion(name, policyNames)}` }))
  const noFunction = Object.entries(policy)
    .filter(([name, value]) => name !== 'name' && policyNames.includes(name) && value !== undefined)
    .filter(([, value]) => typeof value !== 'function')
    .map(([name]) => ({ name, message: `${name} is not a function` }))
  return [...wrongName, ...unknown, ...noFunction]
}

function judge(script: ScriptSettings, module: ModuleText, exported: object): LoadedPolicy {
  const shown = shownAs(script)
  const text = module.texts.get(module.path) ?? ''
  const at = (name: string): Position => ({
    file: shown(module.path),
    ...(placeOfName(text, name) ?? { line: 1, column: 1, length: 1 }),
  })
  const where = (method: string): string => `${at(method).file}:${at(method).line}`
  const made = (policy: PolicyDefinition | undefined, ...diagnostics: Diagnostic[]): LoadedPolicy => {
    return { policy, diagnostics, shown, where }
  }
  const policy: unknown = 'policy' in exported ? exported.policy : undefined
  if (typeof policy !== 'object' || policy === null) {
    const [near] = Object.keys(exported)
    const instead = near === undefined ? '' : ` (it exports ${Object.keys(exported).join(', ')})`
    const message = `the module has no "export const policy = definePolicy({ … })"${instead}`
    return made(undefined, problem(script, message, at(near ?? 'policy')))
  }
  const diagnostics = judgePolicy(policy, script.name).map(({ message, name }) =>
    problem(script, message, at(name)),
  )
  if (diagnostics.length > 0) return made(undefined, ...diagnostics)
  const asked = policyNames.some((name) => name !== 'name' && name in policy)
  if (asked) return made(policy)
  const idle = problem(script, 'the policy has no phase: it is never asked', at('policy'))
  return made(policy, { ...idle, severity: 'warning' })
}

function problem(script: ScriptSettings, message: string, at: Position): Diagnostic {
  const finding: Diagnostic = { severity: 'error', message: `script "${script.name}": ${message}`, at }
  return at === script.at ? finding : { ...finding, note: { message: 'named here', at: script.at } }
}

/** Files as the configuration's reader sees them: relative to where it stands, if that leads there. */
function shownAs({ source, at, path: file }: ScriptSettings): Shown {
  const folder = path.dirname(at.file)
  const beside = path.join(folder, source)
  const relative = file !== undefined && path.resolve(beside) === file && !path.isAbsolute(source)
  return (other) => {
    if (!relative || file === undefined) return other
    return path.join(folder, path.dirname(source), path.relative(path.dirname(file), other))
  }
}
