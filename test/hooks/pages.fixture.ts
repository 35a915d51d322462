/**
 * Reads the examples of a page and plays its conversations on a running gate.
 *
 * A page is a list of fenced blocks. `conf` is the configuration from there on. `lua` and `ts` blocks side by side are the
 * same policy in both languages; each `smtp` block after them is played against every one of them. How a conversation is
 * written is told to readers in docs/hooks/README.md. A `check` block shows lines that `postern check` prints.
 */

import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { PassThrough } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { runCheck } from '../../src/cli/check.ts'
import type { ClientKind, Pki } from '../../src/tls/pki.ts'
import { SmtpClient } from '../support/smtp-client.ts'
import { SmtpSink } from '../support/smtp-sink.ts'
import { startTestGate, type TestGate } from '../support/test-gate.ts'

export type Language = 'lua' | 'ts'

/** A policy in the languages that have it, and what clients see of it. */
export interface Example {
  readonly line: number
  readonly conf: string
  readonly policies: ReadonlyMap<Language, string>
  readonly conversations: readonly Conversation[]
  /** lines of `postern check` */
  readonly findings: readonly string[]
}

interface Conversation {
  readonly line: number
  readonly steps: readonly string[]
}

interface Block {
  readonly language: string
  readonly text: string
  readonly line: number
}

export function blocksOf(page: string): Block[] {
  return Array.from(
    page.matchAll(/^```(\w*)\n([^]*?)^```$/gm),
    ({ 1: language = '', 2: text = '', index }) => ({
      language,
      text,
      line: page.slice(0, index).split('\n').length,
    }),
  )
}

/** @param conf what holds until the page has a configuration of its own */
export function examplesOf(page: string, conf: string): Example[] {
  const examples: (Omit<Example, 'policies' | 'conversations' | 'findings'> & {
    policies: Map<Language, string>
    conversations: Conversation[]
    findings: string[]
  })[] = []
  let current = conf
  for (const { language, text, line } of blocksOf(page)) {
    if (language === 'conf') current = text
    if (language === 'smtp') examples.at(-1)?.conversations.push({ line, steps: text.trimEnd().split('\n') })
    if (language === 'check') examples.at(-1)?.findings.push(...text.trimEnd().split('\n').slice(1))
    if (language !== 'lua' && language !== 'ts') continue
    const last = examples.at(-1)
    if (
      last === undefined ||
      last.conversations.length + last.findings.length > 0 ||
      last.policies.has(language)
    ) {
      examples.push({
        line,
        conf: current,
        policies: new Map([[language, text]]),
        conversations: [],
        findings: [],
      })
    } else last.policies.set(language, text)
  }
  return examples
}

/** Plays every conversation of an example, one gate for all of them. */
export async function playExample(example: Example, language: Language, pki: Pki): Promise<void> {
  await using nextHop = await startNextHop(example, pki)
  const gate = await startGate({ ...example, conf: nextHop.conf }, language, pki)
  try {
    for (const { steps, line } of example.conversations) await new Play(gate, pki, line).run(steps)
    if (example.findings.length > 0) await checkFindings(gate, example.findings)
  } finally {
    await gate.stop()
  }
}

/** where the next hop is that pages speak of: one with the server's certificate, which takes everything */
const NEXT_HOP = '"198.51.100.25"'

async function startNextHop(
  { conf }: Example,
  pki: Pki,
): Promise<AsyncDisposable & { readonly conf: string }> {
  if (!conf.includes(NEXT_HOP)) return { conf, [Symbol.asyncDispose]: () => Promise.resolve() }
  const sink = await SmtpSink.start({ tls: pki.server })
  return {
    conf: conf.replace(NEXT_HOP, `"127.0.0.1:${sink.port}"`),
    [Symbol.asyncDispose]: async () => await sink.close(),
  }
}

/** A gate with a policy, in the world that pages speak of. */
export function startGate(
  { conf, policies }: Pick<Example, 'conf' | 'policies'>,
  language: Language,
  pki: Pki,
): Promise<TestGate> {
  return startTestGate({
    pki,
    files: { [`gate.${language}`]: here(policies.get(language) ?? ''), 'pki/users': 'ann:secret\n' },
    conf: here(conf).replaceAll('./gate.lua', `./gate.${language}`),
  })
}

async function checkFindings(gate: TestGate, findings: readonly string[]): Promise<void> {
  const output = new PassThrough({ encoding: 'utf8' })
  await runCheck(path.join(gate.folder, 'gate.conf'), { stdout: output, stderr: output, terminal: false })
  const printed = String(output.read())
  const lines = printed.replaceAll(`${gate.folder}/`, '').split('\n')
  for (const finding of findings) {
    assert.ok(
      lines.some((line) => pattern(finding).test(line)),
      `${finding} is not in\n${printed}`,
    )
  }
}

/** What pages call the world, and where it is in a test. */
function here(text: string): string {
  return text
    .replaceAll('":25"', '"127.0.0.1:0"')
    .replaceAll('/etc/postern/', 'FOLDER/pki/')
    .replaceAll('/var/mail/postern', 'mail')
    .replaceAll('/var/spool/postern', 'spool')
    .replaceAll(/\b192\.0\.2\./g, '127.0.0.')
    .replaceAll(/\b198\.51\.100\./g, '127.0.1.')
    .replaceAll(/\b203\.0\.113\./g, '127.0.2.')
}

/** where clients come from that say nothing of it */
const SOMEWHERE = '203.0.113.9'

class Play {
  readonly #gate: TestGate
  readonly #pki: Pki
  readonly #firstEvent: number
  readonly #firstLine: number
  #client: SmtpClient | undefined
  /** lines of replies that were received and not looked at yet */
  #heard: string[] = []

  constructor(gate: TestGate, pki: Pki, line: number) {
    this.#gate = gate
    this.#pki = pki
    this.#firstLine = line
    this.#firstEvent = gate.events.length
  }

  async run(steps: readonly string[]): Promise<void> {
    try {
      const first = steps[0] ?? ''
      if (!first.startsWith('(connect')) await this.#connect(SOMEWHERE, first)
      for (const [index, step] of steps.entries()) {
        try {
          await this.#step(step, steps[index + 1] ?? '')
        } catch (error) {
          throw new Error(`line ${this.#firstLine + index + 1}: ${step}`, { cause: error })
        }
      }
    } finally {
      this.#client?.destroy()
    }
  }

  async #step(step: string, next: string): Promise<void> {
    const inside = /^\((.*)\)$/.exec(step)?.[1]
    const [, what = '', text = ''] =
      (inside === undefined ? /^([\w ]+\*?:) ?(.*)$/ : /^(\w+) ?(.*)$/).exec(inside ?? step) ?? []
    switch (what) {
      case 'C:':
        return this.#socket.send(here(text))
      case 'S:':
        return text === 'closed' ? this.#closed() : assert.match(await this.#line(), pattern(text))
      case 'S*:':
        return this.#until(pattern(text))
      case 'connect':
        return this.#connect(text.replace(/^from /, '') || SOMEWHERE, next)
      case 'disconnect':
        return this.#socket.destroy()
      case 'STARTTLS':
        return this.#startTls(text, next)
      case 'reload':
        return this.#gate.server.reload()
      case 'paniclog:':
      case 'rejectlog:':
        return this.#logged(what === 'paniclog:' ? 'panic' : 'rejection', pattern(text))
      case 'mainlog:':
        return this.#attempted(pattern(text))
      case 'kept:':
        assert.equal(text, 'nothing')
        return assert.ok(!this.#events().some(({ kind }) => kind === 'reception'))
      default:
        return this.#kept(/^kept for (\S+):$/.exec(what)?.[1], pattern(text))
    }
  }

  get #socket(): SmtpClient {
    assert.ok(this.#client)
    return this.#client
  }

  /** The banner and EHLO are left out of a conversation that does not turn on them. */
  async #connect(address: string, next: string): Promise<void> {
    this.#client?.destroy()
    this.#heard = []
    this.#client = await SmtpClient.connect({ ...this.#gate.address(), from: here(address) })
    if (next.startsWith('S')) return
    assert.match(await this.#socket.reply(), /^220 /)
    if (!next.startsWith('C: EHLO')) assert.match((await this.#socket.ehlo()).join(' '), /PIPELINING/)
  }

  /** `with client-KIND.pem`; a handshake that fails is told as `: the handshake fails` */
  async #startTls(text: string, next: string): Promise<void> {
    const client = this.#socket
    assert.match(await client.command('STARTTLS'), /^220 /)
    const kind = /client-([\w-]+)\.pem/.exec(text)?.[1]
    const credential = kind === undefined ? {} : this.#pki.clients[kind as ClientKind]
    assert.ok(credential, text)
    if (text.endsWith('fails')) {
      // in TLS 1.3 the client may be done before it hears that the server is not
      await assert.rejects(client.secure(credential).then(() => client.reply()))
      return
    }
    await client.secure(credential)
    if (!/^S|^C: EHLO|^\(/.test(next)) assert.match((await client.ehlo()).join(' '), /PIPELINING/)
  }

  async #line(): Promise<string> {
    if (this.#heard.length === 0) this.#heard = (await this.#socket.reply()).split('\n')
    return this.#heard.shift() ?? ''
  }

  async #until(expected: RegExp): Promise<void> {
    const seen: string[] = []
    for (;;) {
      const line = await this.#line()
      if (expected.test(line)) return
      seen.push(line)
      if (!/^\d{3}-/.test(line)) assert.match(seen.join('\n'), expected)
    }
  }

  async #closed(): Promise<void> {
    assert.deepEqual(this.#heard, [])
    assert.equal((await this.#socket.closed()).code, 'CLOSED')
    assert.equal(this.#socket.pending, '')
  }

  #events(): TestGate['events'] {
    return this.#gate.events.slice(this.#firstEvent)
  }

  async #logged(kind: 'panic' | 'rejection', expected: RegExp): Promise<void> {
    await this.#eventually(() =>
      this.#events().some((event) => event.kind === kind && expected.test(event.text)),
    )
  }

  async #attempted(expected: RegExp): Promise<void> {
    await this.#eventually(() =>
      this.#events().some(
        (event) =>
          (event.kind === 'delivery' || event.kind === 'transient-failure') && expected.test(event.text),
      ),
    )
  }

  /** A line of a message in a mailbox. */
  async #kept(user: string | undefined, expected: RegExp): Promise<void> {
    assert.ok(user, 'no step of a conversation')
    const folder = path.join(this.#gate.folder, 'mail', user)
    await this.#eventually(() =>
      globSync('new/*', { cwd: folder }).some((file) =>
        readFileSync(path.join(folder, file), 'latin1')
          .split(/\r?\n/)
          .some((line) => expected.test(line)),
      ),
    )
  }

  async #eventually(condition: () => boolean): Promise<void> {
    for (let tries = 0; !condition(); tries++) {
      assert.ok(tries < 200, `not seen; panics: ${this.#panics()}`)
      await delay(25)
    }
  }

  #panics(): string {
    return this.#events()
      .flatMap((event) => (event.kind === 'panic' ? [event.text] : []))
      .join('\n')
  }
}

/** `…` stands for any text. */
function pattern(text: string): RegExp {
  const literals = here(text)
    .split('…')
    .map((literal) =>
      Buffer.from(literal)
        .toString('latin1')
        .replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&'),
    )
  return new RegExp(`^${literals.join('.*')}$`)
}
