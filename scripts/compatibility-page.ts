/** docs/compatibility.md: its written head, then what there is of Momentum's names, and what there is not. */

import { readFileSync } from 'node:fs'
import path from 'node:path'
import { displayName } from '../src/config/known-names.ts'
import { knownOptions } from '../src/config/known-options.ts'
import { neverOptions } from '../src/config/never-options.ts'
import { controlOptions } from '../src/config/options-control.ts'
import { inboundOptions } from '../src/config/options-inbound.ts'
import { globalOptions, outboundOptions } from '../src/config/options-other.ts'
import { httpOptions } from '../src/config/options-services.ts'
import { restricting } from '../src/config/restricting.ts'
import {
  unaskedDecisions,
  unbuiltFields,
  unbuiltFunctions,
  unbuiltMethods,
  unbuiltModules,
  uncalledObservers,
} from '../src/policy/lua/catalogue.ts'
import { lifeCycle } from '../src/policy/lua/scripts.ts'
import { type SurfaceGroup, surface } from '../src/policy/lua/surface.ts'
import { callouts } from '../src/policy/phases.ts'

const head = path.join(import.meta.dirname, '..', 'docs', 'compatibility.head.md')

export function compatibilityPage(): string {
  const acting = new Set(
    [inboundOptions, globalOptions, outboundOptions, controlOptions, httpOptions].flatMap((rows) =>
      Object.keys(rows),
    ),
  )
  const recognised = [...new Set(knownOptions.flatMap(({ names }) => names.trim().split(/\s+/)))]
    .filter((name) => !acting.has(name))
    .toSorted()
  const refused = recognised.filter((name) => name in restricting)
  const ignored = recognised.filter((name) => !(name in restricting || name in neverOptions))
  const never = Object.entries(neverOptions).map(
    ([name, { instead }]) => `| \`${displayName(name)}\` | ${instead} |`,
  )
  return `${readFileSync(head, 'utf8').trimEnd()}

## Callouts

| callout | status |
|---|---|
${[...Object.values(callouts).flat(), ...lifeCycle].map((name) => `| \`${name}\` | works |`).join('\n')}
${unaskedDecisions.map((name) => `| \`${name}\` | not yet; a script that registers it is refused, because it would decide |`).join('\n')}
${uncalledObservers.map((name) => `| \`${name}\` | not yet; \`check\` warns that it is never called |`).join('\n')}

## Functions

Every function of Momentum's Lua surface. A test looks each name up in a running state. Beyond them, \`bit.band\`,
\`bit.bor\`, \`bit.bxor\`, \`bit.bnot\`, \`bit.lshift\` and \`bit.rshift\` stand for the operators of Momentum's dialect.

${surface.map(functionTable).join('\n\n')}

## All names that are not there yet

A call raises an error that names the function.

${wrap(unbuiltFunctions)}

Methods: ${Object.entries(unbuiltMethods)
    .filter(([, names]) => names.length > 0)
    .map(([object, names]) => `of \`${object}\`: ${names.map((name) => `\`${name}\``).join(', ')}`)
    .join('; ')}.

Fields, to read or to set: ${unbuiltFields.map((name) => `\`${name}\``).join(', ')}.

## Modules of which nothing works yet

\`require\` finds them, and \`check\` warns of each that a script asks for; their functions are in the list above.

${wrap(unbuiltModules)}

## Options that would restrict something and are not there yet

Setting one of these to a value that keeps somebody or something out is an error, because ignoring it would leave a
door open.

${wrap(refused.map(displayName))}

## Options that never act

They say how Momentum works inside, and there is nothing here for them to change. A value that asks for what happens
anyway is taken as it is; \`check\` warns of any other one and says what happens in its place. None of them weakens
anything.

| option | what happens |
|---|---|
${never.join('\n')}

## Options that are recognised and do nothing yet

\`check\` warns about each: "recognised, not implemented".

${wrap(ignored.map(displayName))}
`
}

function functionTable({ title, prefix, rows }: SurfaceGroup): string {
  const lines = rows.map(({ names, status, note = '' }) => {
    const list = names.split(' ').map((name) => `\`${prefix}${name}\``)
    return `| ${list.join(', ')} | ${status} | ${note} |`
  })
  return [`### ${title}`, '', '| function | status | what differs |', '|---|---|---|', ...lines].join('\n')
}

function wrap(names: readonly string[]): string {
  const lines: string[] = []
  for (const name of names) {
    const last = lines.at(-1)
    const word = `\`${name}\``
    if (last !== undefined && last.length + word.length + 2 <= 118)
      lines[lines.length - 1] = `${last} ${word}`
    else lines.push(word)
  }
  return lines.join('\n')
}
