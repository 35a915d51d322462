/**
 * What `postern explain` says and what a live gate does are the same, on a random sample of configurations and
 * certificates: handshake, verdict, cause, deciding line, and every reply to every command.
 *
 * The sample is always the same; POSTERN_SEED chooses another.
 */

import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import type { Explanation } from '../../src/cli/explain/document.ts'
import { explain } from '../../src/cli/explain/explain.ts'
import type { TlsFact } from '../../src/events/events.ts'
import { chosenSeed } from '../support/seed.ts'
import { ConnectionLost, SmtpClient } from '../support/smtp-client.ts'
import { testPki } from '../support/test-ca.ts'
import { MAILDIR, startTestGate, type TestGate } from '../support/test-gate.ts'
import { certificates, Dice, listFiles, randomGate, type Shown } from './random-gate.fixture.ts'

const GATES = 8
const LISTENS = 5
const VISITS = 1
const ADDRESSES = ['127.0.0.1', '127.1.2.3', '127.200.0.1'] as const
const SENDER = 'sender@example.com'
const RECIPIENTS = ['bob@gate.example', 'carol@relayed.example'] as const

/** What both sides are compared by. */
interface Outcome {
  readonly handshake: string
  /** the replies after the banner, whole, in their order; a refusal at the banner included */
  readonly replies: readonly string[]
}

/** in its sample every kind of outcome but two comes up */
const CHOSEN = 7
const seed = chosenSeed(CHOSEN)

test(`a live gate does what is explained (seed ${seed})`, async (t) => {
  const dice = new Dice(seed)
  const [pki, shown, lists] = await Promise.all([testPki(), certificates(), listFiles()])
  const outcomes = new Map<string, number>()
  for (let number = 0; number < GATES; number += 1) {
    const { conf, listens, script } = randomGate(dice, LISTENS)
    const files = { ...lists, 'policy.lua': script }
    const gate = await startTestGate({ conf: `${conf}\n${MAILDIR}`, pki, files })
    try {
      for (const [index, listen] of listens.entries()) {
        for (let visit = 0; visit < VISITS; visit += 1) {
          const who = { cert: dice.pick(shown), from: dice.pick(ADDRESSES), tls: !dice.chance(0.1) }
          const where = `seed ${seed}: ${who.cert.name} from ${who.from} to ${listen}${who.tls ? '' : ' without TLS'}\n${conf}\n${script}`
          const live = await within(meet(gate, index, who), `the gate is silent: ${where}`)
          const told = await within(ask(gate, listen, who), `the explanation hangs: ${where}`)
          assert.deepEqual(outcomeOf(told), live, where)
          const kind = live.handshake.split(',', 2).join()
          outcomes.set(kind, (outcomes.get(kind) ?? 0) + 1)
        }
      }
    } finally {
      await gate.stop()
    }
  }
  t.diagnostic([...outcomes].map(([kind, count]) => `${kind}: ${count}`).join('; '))
  if (seed === CHOSEN) assert.ok(outcomes.size > 8, 'the sample is too much of one kind')
})

/** A wait that does not end says where. */
async function within<T>(work: Promise<T>, complaint: string): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(new Error(complaint)), 45_000)
  try {
    return await Promise.race([work, promise])
  } finally {
    clearTimeout(timer)
  }
}

interface Visitor {
  readonly cert: Shown
  readonly from: string
  readonly tls: boolean
}

/** Knocks at the live gate. */
async function meet(gate: TestGate, index: number, { cert, from, tls }: Visitor): Promise<Outcome> {
  const replies: string[] = []
  const client = await SmtpClient.connect({ ...gate.address(index), from })
  const { cert: pem, key } = cert
  const credentials = pem === undefined || key === undefined ? {} : { cert: pem, key }
  const before = gate.events.length
  const handshake = async (): Promise<string> => {
    // a failure shows on the first read in TLS 1.3
    await client.secure(credentials).catch(ignoreLoss)
    const fact = await gate.event('tls', (fact) => gate.events.indexOf(fact) >= before)
    return describe(fact)
  }
  let shaken = 'no handshake'
  try {
    const implicit = gate.server.settings.listens[index]?.scope.options.use_ssl === true
    if (implicit) shaken = await handshake()
    const banner = await client.reply()
    if (!banner.startsWith('220')) replies.push(banner)
    else if (await hello(client, replies)) {
      if (!implicit && tls && replies.at(-1)?.includes('STARTTLS') === true) {
        replies.push(await client.command('STARTTLS'))
        if (replies.at(-1)?.startsWith('220') === true) {
          shaken = await handshake()
          await hello(client, replies)
        }
      }
      await mail(client, replies)
    }
  } catch (error) {
    ignoreLoss(error)
  } finally {
    client.destroy()
  }
  return { handshake: shaken, replies }
}

function ignoreLoss(error: unknown): void {
  if (!(error instanceof ConnectionLost)) throw error
}

async function hello(client: SmtpClient, replies: string[]): Promise<boolean> {
  const reply = await client.command('EHLO client.example')
  replies.push(reply)
  if (!reply.startsWith('250')) throw new ConnectionLost('', 'refused')
  return true
}

async function mail(client: SmtpClient, replies: string[]): Promise<void> {
  const reply = await client.command(`MAIL FROM:<${SENDER}>`)
  replies.push(reply)
  if (!reply.startsWith('250')) return
  for (const recipient of RECIPIENTS) replies.push(await client.command(`RCPT TO:<${recipient}>`))
}

function describe({ outcome, cause, mode, modeFrom }: TlsFact): string {
  return `${outcome}, ${cause}, ${mode} by ${modeFrom}`
}

function ask(gate: TestGate, listen: string, { cert, from, tls }: Visitor): Promise<Explanation> {
  const file = path.join(gate.folder, 'client.pem')
  if (cert.cert !== undefined) writeFileSync(file, cert.cert)
  return explain(path.join(gate.folder, 'gate.conf'), {
    listen,
    peer: from,
    ...(cert.cert === undefined ? {} : { cert: file }),
    ...(tls ? {} : { tls: false }),
    from: SENDER,
    to: RECIPIENTS,
  })
}

function outcomeOf({ steps, conclusion }: Explanation): Outcome {
  const handshake = steps.find(({ step }) => step === 'handshake')
  const replies = steps
    .flatMap(({ dialogue }) => dialogue.map(({ server }) => server.join('\n')))
    .filter((reply) => reply !== '' && !reply.startsWith('220 gate.example ESMTP'))
  if (handshake === undefined) return { handshake: 'no handshake', replies }
  const mode = handshake.details.find(({ name }) => name === 'TLS_Verify_Mode')
  const by = `${mode?.value} by ${mode?.from}`
  if (conclusion.outcome === 'handshake-failed')
    return { handshake: `failed, ${conclusion.cause ?? ''}, ${by}`, replies }
  const kind = /the client is (\w+)$/.exec(handshake.title)?.[1] ?? ''
  const verdicts = handshake.details.filter(({ name }) => name.startsWith('verdict'))
  const cause = /^unverified: (\S+)/.exec(verdicts.at(-1)?.value ?? '')?.[1] ?? ''
  return { handshake: `${kind}, ${cause}, ${by}`, replies }
}
