/** Where script text comes from, and which names of a script's table mean something. */

import { dirname, join } from 'node:path'
import { suggestion } from '../../config/edit-distance.ts'
import { callouts } from '../phases.ts'
import { unaskedDecisions, uncalledObservers } from './catalogue.ts'

/** A script of the configuration whose file was read. */
export interface ScriptSource {
  /** the stanza's name */
  readonly name: string
  /** as the configuration names the file; what messages show */
  readonly file: string
  readonly directory: string
  readonly text: Uint8Array
}

/** A module beside a script. */
export interface ModuleFile {
  readonly path: string
  /** as messages show it */
  readonly file: string
}

export interface Finding {
  readonly severity: 'error' | 'warning'
  readonly message: string
}

/** Functions that are called when scripts are loaded and dropped, and when a session is over. */
export const lifeCycle = ['init', 'rsrc_setup', 'deinit', 'validate_dealloc']

/** Callouts that are asked, of all phases. */
export const knownCallouts: readonly string[] = Object.values(callouts).flat()

/** Whether a function of this name is ever called. */
export function isCalled(name: string): boolean {
  return knownCallouts.includes(name) || lifeCycle.includes(name)
}

/** What is to be said about the functions that a script registered. */
export function judgeNames(names: readonly string[]): Finding[] {
  return names.flatMap((name): Finding[] => {
    if (isCalled(name)) return []
    if (unaskedDecisions.includes(name)) {
      return [
        {
          severity: 'error',
          message: `the callout ${name} is recognised but not implemented, and it would decide`,
        },
      ]
    }
    if (uncalledObservers.includes(name)) {
      return [
        {
          severity: 'warning',
          message: `the callout ${name} is recognised, not implemented: it is never called`,
        },
      ]
    }
    const hint = suggestion(name, [...knownCallouts, ...unaskedDecisions, ...uncalledObservers, ...lifeCycle])
    if (hint === '' && !/^(?:validate|core)_/.test(name)) return []
    return [{ severity: 'warning', message: `no callout is named ${name}: it is never called${hint}` }]
  })
}

/** The compiler's message, with a hint where the text is Momentum's dialect and not Lua 5.1. */
export function explainSyntax(message: string): string {
  const near = /near '(.)/.exec(message)?.[1]
  switch (near) {
    case '!':
      return `${message} (Lua 5.1 writes not for !, and ~= for "not equal")`
    case '&':
      return `${message} (Lua 5.1 has no operators on bits: bit.band(a, b))`
    case '|':
      return `${message} (Lua 5.1 has no operators on bits: bit.bor(a, b))`
    case '^':
      return `${message} (Lua 5.1 has no operators on bits: bit.bxor(a, b))`
    case '~':
      return `${message} (Lua 5.1 has no operators on bits: bit.bnot(a))`
    case '<':
      return `${message} (Lua 5.1 has no shifts: bit.lshift(a, n))`
    case '>':
      return `${message} (Lua 5.1 has no shifts: bit.rshift(a, n))`
    case '\\':
      return `${message} (Lua 5.1 has no integer division: math.floor(a / b))`
    default:
      return message
  }
}

/** The file of a module that stands beside a script, by name: `lib.util` is `lib/util.lua`. */
export function moduleFile(script: ScriptSource, name: string): ModuleFile | undefined {
  if (!/^[A-Za-z0-9_-]+(?:[./][A-Za-z0-9_-]+)*$/.test(name) || name.length > 200) return undefined
  const relative = `${name.replaceAll('.', '/')}.lua`
  return { path: join(script.directory, relative), file: join(dirname(script.file), relative) }
}
