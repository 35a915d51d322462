/**
 * docs/mutual-tls.md as its reader follows it: every `sh` block is run, in order, in one shell in an empty folder, and
 * what it prints is what the `text` block after it shows (`…` stands for anything, runs of blanks for one). Only the
 * ports are others, so that pages and gates do not meet.
 */

import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'

interface Block {
  readonly language: string
  readonly text: string
  /** line of the page on which it begins */
  readonly line: number
}

interface Step extends Block {
  /** what is shown; undefined: nothing, so it has to succeed */
  readonly shown: string | undefined
}

const TIME_LIMIT = 120_000
/** the ports that the page uses */
const PORTS = ['2525', '8080', '2560'] as const

const root = path.join(import.meta.dirname, '..', '..')
const page = readFileSync(path.join(root, 'docs', 'mutual-tls.md'), 'utf8')
const blocks = blocksOf(page)
const steps = stepsOf(blocks)
const folder = mkdtempSync(path.join(tmpdir(), 'postern-page-'))
const PATH = `${path.join(root, 'bin')}:${process.env['PATH'] ?? ''}:/usr/sbin`

describe('docs/mutual-tls.md', () => {
  let ports: readonly string[] = []
  /** With the ports of this run. */
  const replace = (text: string): string =>
    PORTS.reduce((all, port, index) => all.replaceAll(port, ports[index] ?? ''), text)

  before(async () => {
    ports = await freePorts(PORTS.length)
    const parts = steps.map(({ text, shown }, index) => {
      const failed = shown === undefined ? 'test $code = 0 || exit' : ''
      return `{\n${replace(text)}} > .out/${index} 2>&1\ncode=$?\necho $code > .out/${index}.code\n${failed}\n`
    })
    writeFileSync(path.join(folder, '.page.sh'), `mkdir .out\n${parts.join('')}`)
    await runPage()
  })
  after(() => rmSync(folder, { recursive: true, force: true }))

  test('what is shown stands right below what shows it', () => {
    assert.ok(steps.length > 30)
    const shown = steps.filter((step) => step.shown !== undefined)
    assert.equal(blocks.filter(({ language }) => language === 'text').length, shown.length)
    const known = new Set(['sh', 'text', 'yaml', 'ini', ''])
    assert.deepEqual(
      blocks.filter(({ language }) => !known.has(language)),
      [],
    )
  })

  for (const [index, step] of steps.entries()) {
    test(`line ${step.line}: ${step.text.split('\n')[0] ?? ''}`, () => {
      const file = path.join(folder, '.out', String(index))
      assert.ok(
        existsSync(`${file}.code`),
        `not run to its end: ${existsSync(file) ? readFileSync(file, 'utf8') : 'a step before it has failed'}`,
      )
      const output = readFileSync(file, 'utf8')
      if (step.shown === undefined) assert.equal(readFileSync(`${file}.code`, 'utf8'), '0\n', output)
      else
        assert.ok(
          pattern(replace(step.shown)).test(blanks(output)),
          `the page shows\n${step.shown}\nand there is\n${output}`,
        )
    })
  }

  test('Postfix knows the parameters of its main.cf', () => {
    const [text = ''] = blocks.filter(({ language }) => language === 'ini').map((block) => block.text)
    assert.match(text, /smtp_tls_cert_file/)
    const config = path.join(folder, 'postfix')
    mkdirSync(config)
    writeFileSync(path.join(config, 'main.cf'), `compatibility_level = 3.6\n${text}`)
    writeFileSync(path.join(config, 'master.cf'), '')
    const run = spawnSync('sh', ['-c', 'exec postconf -n -c "$0"', config], {
      encoding: 'utf8',
      env: { ...process.env, PATH },
    })
    assert.match(run.stdout, /^smtp_tls_cert_file = /m)
    assert.equal(run.stderr, '')
  })

  test('the metrics of its rules are there', () => {
    const known = readFileSync(path.join(root, 'docs', 'metrics.md'), 'utf8')
    for (const [name] of page.matchAll(/\bpostern_\w+/g)) assert.ok(known.includes(`\`${name}\``), name)
  })
})

function blocksOf(text: string): Block[] {
  return [...text.matchAll(/^```(\w*)\n([^]*?)^```$/gm)].map((match) => ({
    language: match[1] ?? '',
    text: match[2] ?? '',
    line: text.slice(0, match.index).split('\n').length + 1,
  }))
}

function stepsOf(all: readonly Block[]): Step[] {
  return all.flatMap((block, index) => {
    if (block.language !== 'sh') return []
    const next = all[index + 1]
    return [{ ...block, shown: next?.language === 'text' ? next.text : undefined }]
  })
}

/** `…` is anything within a line, and any lines where it is one. */
function pattern(text: string): RegExp {
  const lines = blanks(text)
    .trimEnd()
    .split('\n')
    .map((line) => {
      if (line === '…') return '(?:.*\n)*?'
      const parts = line.split('…').map((part) => part.replaceAll(/[\\^$.*+?()[\]{}|]/g, String.raw`\$&`))
      return `${parts.join('.*')}\n`
    })
  return new RegExp(`^${lines.join('')}$`)
}

function blanks(text: string): string {
  return text.replaceAll(/[\t\r ]+/g, ' ').replaceAll(/^ | $/gm, '')
}

/** Runs the page in a process group of its own, of which nothing is left afterwards. */
async function runPage(): Promise<void> {
  const shell = spawn('bash', ['.page.sh'], {
    cwd: folder,
    env: { ...process.env, PATH },
    stdio: 'ignore',
    detached: true,
  })
  const end = Promise.withResolvers<void>()
  shell.once('exit', () => end.resolve())
  shell.once('error', end.reject)
  const timer = setTimeout(() => end.resolve(), TIME_LIMIT)
  await end.promise
  clearTimeout(timer)
  try {
    process.kill(-(shell.pid ?? 0), 'SIGKILL')
  } catch {
    // nobody is left, as it should be
  }
}

/** Ports that are free on all addresses now. */
async function freePorts(count: number): Promise<string[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, () => {
      const listening = Promise.withResolvers<Server>()
      const server = createServer().listen(0, () => listening.resolve(server))
      server.once('error', listening.reject)
      return listening.promise
    }),
  )
  const ports = servers.map((server) => {
    const address = server.address()
    return String(typeof address === 'object' ? address?.port : '')
  })
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return ports
}
