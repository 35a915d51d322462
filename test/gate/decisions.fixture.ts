/** A gate in which each Listen has another verify mode, and clients that visit it. */

import assert from 'node:assert/strict'
import { after, before } from 'node:test'
import type { ConnectionOptions } from 'node:tls'
import type { DecisionRecord } from '../../src/events/decision.ts'
import { type ClientKind, makePki, type Pki } from '../../src/tls/pki.ts'
import { ConnectionLost, SmtpClient } from '../support/smtp-client.ts'
import { MAILDIR, startTestGate, type TestGate } from '../support/test-gate.ts'

export const conf = `
ESMTP_Listener {
  SMTP_Extensions = ( "STARTTLS" )
  TLS_Certificate = "pki/server.pem"
  TLS_Key = "pki/server.key"
  TLS_Client_CA = "pki/ca.pem"
  TLS_Client_CRL = "pki/crl.pem"
  Peer "127.0.0.0/8" { Pathway = "inner" }
  Listen "127.0.3.1:0" { TLS_Verify_Mode_Shadow = "require" }
  Listen "127.0.3.2:0" {
    TLS_Verify_Mode = "none"
    TLS_Verify_Mode_Shadow = "require"
  }
  Listen "127.0.3.3:0" {
    TLS_Verify_Mode = "require"
    TLS_Verify_Mode_Shadow = "none"
    Peer "127.0.0.0/24" { Banner_Hostname = "inner.example" }
  }
  Listen "127.0.3.4:0" {
    Use_SSL = true
    SMTP_Extensions = ( )
    TLS_Verify_Mode_Shadow = "require"
    Peer "127.0.0.0/24" { TLS_Verify_Mode_Shadow = "optional" }
  }
  Listen "127.0.3.5:0" { Require_TLS_Shadow = true }
}
Pathway_Group "partners" { Pathway "inner" { } }
scriptlet "scriptlet" { script "gate" { source = "gate.lua" } }
tls_log "one" { tlslog = "tls.jsonl" }
ec_logger "l" { rejectlog = "rejectlog" }
${MAILDIR}`

export const script = `local core = require("msys.core"); require("msys.extended.vctx"); require("msys.extended.message")
local mod = {}
function mod:validate_mailfrom(str, ac, vctx)
  if vctx:get(core.VCTX_MESS, "mailfrom_local") == "slow" then vctx:tarpit(0) end
  if vctx:get(core.VCTX_CONN, "tls_client_verified") ~= "yes" and str:find("partner") then
    vctx:set_code(550, "5.7.1 a certificate, please")
    return core.VALIDATE_DONE
  end
  if str:find("bye") then vctx:disconnect(421, "4.7.0 go away") end
  return core.VALIDATE_CONT
end
msys.registerModule("gate", mod)
`

export let pki: Pki
export let gate: TestGate

before(async () => {
  pki = await makePki()
  gate = await startTestGate({ conf, pki, files: { 'gate.lua': script } })
})
after(() => gate.stop())

export type Listen = 'unset' | 'none' | 'require' | 'implicit'
export const listens: readonly Listen[] = ['unset', 'none', 'require', 'implicit']

interface Visit {
  readonly options?: ConnectionOptions
  readonly lines?: readonly string[]
  /** goes without a word */
  readonly vanish?: boolean
}

/** Connects, says the lines inside TLS, leaves; the record that was told. */
export async function visit(listen: Listen, visited: Visit = {}): Promise<DecisionRecord> {
  const before = gate.events.filter(({ kind }) => kind === 'decision').length
  const client = await SmtpClient.connect(gate.address(listens.indexOf(listen)))
  try {
    await say(client, listen, visited)
  } catch (error) {
    if (!(error instanceof ConnectionLost)) throw error
  }
  client.destroy()
  await gate.event('decision', (event) => decisions().indexOf(event) >= before)
  const records = decisions()
  assert.equal(records.length, before + 1, 'one record for one connection')
  const record = records.at(-1)
  assert.ok(record)
  return record
}

async function say(
  client: SmtpClient,
  listen: Listen,
  { options = {}, lines, vanish }: Visit,
): Promise<void> {
  if (listen !== 'implicit') {
    await client.reply()
    await client.ehlo()
    assert.match(await client.command('STARTTLS'), /^220/)
  }
  await client.secure(options)
  if (listen === 'implicit') await client.reply()
  await client.ehlo()
  for (const line of lines ?? []) await client.command(line)
  if (vanish !== true) await client.command('QUIT')
}

export function decisions(): DecisionRecord[] {
  return gate.events.filter((event) => event.kind === 'decision')
}

export const as = (kind: ClientKind): Visit => ({
  options: { cert: pki.clients[kind].cert, key: pki.clients[kind].key },
})

export const verdict = ({ outcome, cause, code, shadow }: DecisionRecord): string =>
  `${outcome} ${cause || '-'} ${code || '-'} ${shadow === undefined ? 'no shadow' : `${shadow.verdict} ${shadow.reason}`}`

/** The same for every client. */
export function fill(text: string): Record<'nobody' | ClientKind, string> {
  const kinds = ['valid', 'untrusted', 'selfsigned', 'expired', 'not-yet-valid', 'wrong-usage', 'revoked']
  return Object.fromEntries(['nobody', ...kinds].map((each) => [each, text])) as Record<
    'nobody' | ClientKind,
    string
  >
}

/** What was answered, one line each. */
export const answers = ({ answers: all }: DecisionRecord): string[] =>
  all.map(({ phase, answer, code, text, module, script: by }) =>
    [
      phase ?? '-',
      answer,
      code,
      text,
      module,
      by === undefined ? '-' : `${by.name} ${by.callout} ${by.from}`,
    ].join('|'),
  )

/** A client of the n-th Listen that has said EHLO. */
export async function greeted(index: number): Promise<SmtpClient> {
  const client = await SmtpClient.connect(gate.address(index))
  await client.reply()
  await client.ehlo()
  return client
}

/** A session without TLS in which every line is taken. */
export async function visitInClear(index: number, lines: readonly string[]): Promise<void> {
  const client = await greeted(index)
  for (const line of lines) assert.match(await client.command(line), /^250/)
  await client.command('QUIT')
  client.destroy()
}

/** The rows of the shadow table by what they stand for, with their counts. */
export const shadowTable = (): Map<string, number> =>
  new Map(
    gate.server.decisions
      .shadow()
      .rows.map(({ network, certificate, verdict: would, reason, cause, count }) => [
        [network, certificate === 'none' ? 'none' : certificate.subject, would, reason, cause].join('|'),
        count,
      ]),
  )
