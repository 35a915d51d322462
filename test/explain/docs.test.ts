/** Every command of docs/explain.md is run, and comes to what the page says. */

import assert from 'node:assert/strict'
import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, test } from 'node:test'
import type { ExplainOptions } from '../../src/cli/explain/client.ts'
import { explain } from '../../src/cli/explain/explain.ts'
import { renderExplanation } from '../../src/cli/explain/render.ts'
import { runProgram } from '../../src/cli/program.ts'
import { writePki } from '../../src/tls/pki.ts'
import { testPki } from '../support/test-ca.ts'

const root = path.join(import.meta.dirname, '..', '..')
const page = readFileSync(path.join(root, 'docs', 'explain.md'), 'utf8')
const folder = mkdtempSync(path.join(tmpdir(), 'postern-explain-docs-'))
const home = process.cwd()
after(() => {
  process.chdir(home)
  rmSync(folder, { recursive: true, force: true })
})

/** `…` is anything within a line, and any lines where it is one. */
function pattern(text: string): RegExp {
  const lines = text
    .trimEnd()
    .split('\n')
    .map((line) =>
      line === '…'
        ? '(?:.*\n)*?'
        : `${line
            .split('…')
            .map((part) => part.replaceAll(/[\\^$.*+?()[\]{}|]/g, String.raw`\$&`))
            .join('.*')}\n`,
    )
  return new RegExp(`^${lines.join('')}$`)
}

function optionsOf(words: readonly string[]): { readonly file: string; readonly options: ExplainOptions } {
  const options: Record<string, string | boolean | string[]> = {}
  const names = words.map((word, index) => [word, index] as const).filter(([word]) => word.startsWith('-'))
  for (const [[name, at], next] of names.map((each, index) => [each, names[index + 1]?.[1]] as const)) {
    const values = words.slice(at + 1, next)
    const key = name.replace(/^-+/, '')
    options[key] = key === 'to' ? values : (values[0] ?? true)
  }
  const { c: file = '', ...rest } = options
  return { file: String(file), options: rest }
}

test('the commands of docs/explain.md come to what it says', async () => {
  cpSync(path.join(root, 'examples'), folder, { recursive: true })
  await writePki(path.join(folder, 'pki'), await testPki())
  process.chdir(folder)
  const blocks = [...page.matchAll(/```sh\n(postern explain [^\n]*)\n```\n\n```(text|json)\n([^]*?)```/g)]
  assert.equal(blocks.length, 4)
  for (const [, command = '', kind, expected = ''] of blocks) {
    const { file, options } = optionsOf(command.split(' ').slice(2))
    const told = await explain(file, options)
    if (kind === 'json') assert.deepEqual(told.conclusion, JSON.parse(expected))
    else
      assert.match(
        renderExplanation(told, (_style, text) => text),
        pattern(expected),
        command,
      )
  }
})

test('every option that the command has is in its table', async () => {
  const text: string[] = []
  const stdout = { write: (chunk: string) => text.push(chunk) } as unknown as NodeJS.WritableStream
  const io = { stdout, stderr: stdout, terminal: false } as unknown as Parameters<typeof runProgram>[1]
  assert.equal(await runProgram(['explain', '--help'], io), 0)
  const options = [...text.join('').matchAll(/^ {2}(?:-c, )?(--[a-z-]+)/gm)].map(([, name = '']) => name)
  for (const option of options) {
    if (option !== '--help' && option !== '--config') assert.ok(page.includes(`\`${option}`), option)
  }
  assert.ok(options.length > 10)
})
