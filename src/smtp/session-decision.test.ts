/** The recorder of one session: what it notes is bounded, told once, and never hurts the session. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decisionLimits } from '../events/decision.ts'
import type { ServerEvent } from '../events/events.ts'
import type { Connection } from '../listener/connection.ts'
import { TlsHandshakeError } from '../tls/gate.ts'
import type { CertificateFacts, TlsFacts } from '../tls/peer.ts'
import { type DecisionServices, SessionDecision } from './session-decision.ts'
import { scopeOf } from './session-host.fixture.ts'

const scope = scopeOf('default')
const connection = {
  id: 'c',
  remote: { address: '192.0.2.1', port: 1 },
  local: { address: '192.0.2.2', port: 25 },
  listen: { instance: ':25' },
  scope,
} as Connection

const certificate: CertificateFacts = {
  subject: 'CN=a',
  subjectCn: 'a',
  issuer: 'CN=b',
  issuerCn: 'b',
  subjectOneline: '/CN=a',
  issuerOneline: '/CN=b',
  serial: '1',
  fingerprint: 'f',
  spki: 's',
  sanDns: [],
  sanEmail: [],
  sanUri: [],
  sanIp: [],
  notBefore: 0,
  notAfter: 1,
}

function facts(presented: Partial<CertificateFacts>): TlsFacts {
  return {
    protocol: 'TLSv1.3',
    cipher: 'C',
    cipherAlgorithmBits: 256,
    cipherUsedBits: 256,
    sni: '',
    resumed: false,
    mode: 'unset',
    modeFrom: 'default',
    peer: { kind: 'unverified', certificate: { ...certificate, ...presented }, cause: 'expired', code: 'X' },
  }
}

function recorder(services: Partial<DecisionServices> = {}): {
  readonly decision: SessionDecision
  readonly events: ServerEvent[]
} {
  const events: ServerEvent[] = []
  const all = { events: { emit: (event: ServerEvent) => events.push(event) }, clock: () => 5, ...services }
  return { decision: new SessionDecision('c', all), events }
}

const done = (presented: Partial<CertificateFacts> = {}) =>
  ({ kind: 'done', facts: facts(presented), sources: undefined }) as const

test('without a handshake nothing is told', () => {
  const { decision, events } = recorder()
  decision.answered('mailfrom', { kind: 'reply', code: 550, text: 'no', module: 'scriptlet' })
  decision.rejected({ code: 550, text: 'no', module: 'scriptlet' })
  decision.ended('quit', 1)
  assert.deepEqual(events, [])
  assert.throws(() => decision.record())
})

test('clear text that Require_TLS would refuse is told, once, and stays known should TLS come later', () => {
  const live = new Set<unknown>()
  const liveDecisions = {
    add: (each: unknown) => live.add(each),
    remove: (each: unknown) => live.delete(each),
  }
  const { decision, events } = recorder({ liveDecisions })
  decision.wouldNeedTls(connection, scope)
  decision.wouldNeedTls(connection, scope)
  const plain = decision.record()
  assert.deepEqual([plain.outcome, plain.protocol, plain.shadow], ['plaintext', '', undefined])
  assert.deepEqual([plain.requireTlsShadow, plain.remote.address], [{ from: 'default' }, '192.0.2.1'])
  decision.shook(connection, scope, done())
  decision.ended('quit', 1)
  assert.equal(live.size, 0)
  assert.deepEqual(
    events.map((event) => event.kind === 'decision' && [event.outcome, event.requireTlsShadow?.from]),
    [['unverified', 'default']],
  )
})

test('changes of the client are listed from before the handshake on, and bounded', () => {
  const { decision } = recorder()
  const change = {
    by: 'XCLIENT',
    was: connection.remote,
    scope: 's',
    mode: 'unset',
    modeFrom: 'default',
  } as const
  const name = (port: number): void =>
    decision.changed({
      ...change,
      remote: { address: '192.0.2.9', port },
      peer: 'plaintext',
      lacksCertificate: false,
    })
  name(0)
  decision.shook(connection, scope, done())
  for (let port = 1; port < 40; port += 1) name(port)
  const { changes, changesLeftOut, remote } = decision.record()
  assert.equal(changes.length, decisionLimits.changes)
  assert.equal(changesLeftOut, 40 - decisionLimits.changes)
  assert.deepEqual([changes[0]?.remote.port, changes.at(-1)?.remote.port, remote.port], [0, 39, 1])
})

const names = (count: number): string[] => Array.from({ length: count }, (_, index) => `n${index}`)

test('a record holds so many alternative names, over all kinds, and says how many more there were', () => {
  const { decision } = recorder()
  decision.shook(connection, scope, done({ sanDns: names(20), sanEmail: names(20), sanUri: names(5) }))
  const { identity } = decision.record()
  assert.deepEqual([identity?.sanDns.length, identity?.sanEmail.length, identity?.sanUri.length], [20, 12, 0])
  assert.equal(identity?.sansLeftOut, 13)
})

test('text that is too long is cut and says so', () => {
  const { decision } = recorder()
  decision.shook(connection, scope, done({ sanDns: ['x'.repeat(5000)] }))
  decision.rejected({ code: 500, text: 'y'.repeat(5000), module: 'core' })
  decision.answered('ehlo', { kind: 'discard', text: 'z'.repeat(5000), module: 'scriptlet' })
  const { identity, answers } = decision.record()
  for (const text of [identity?.sanDns[0], ...answers.map((answer) => answer.text)]) {
    assert.equal(text?.length, decisionLimits.text)
    assert.match(text, /\\\.\.\.$/)
  }
})

test('a certificate that could not be read has no dates', () => {
  const { decision } = recorder()
  decision.shook(connection, scope, done({ serial: '' }))
  const { identity } = decision.record()
  assert.deepEqual([identity?.notBefore, identity?.notAfter], [undefined, undefined])
})

test('who a known certificate names is put together once, and no record can change it for another', () => {
  const known = Object.freeze({ ...certificate, sanDns: Object.freeze(['a.example']) })
  const told = (cause: 'expired' | 'revoked', of: CertificateFacts = known) => {
    const { decision } = recorder()
    const peer = { kind: 'unverified', certificate: of, cause, code: 'X' } as const
    decision.shook(connection, scope, { kind: 'done', facts: { ...facts({}), peer }, sources: undefined })
    return decision.record()
  }
  const [first, second] = [told('expired'), told('revoked')]
  const { identity } = first
  assert.ok(identity !== undefined && identity === second.identity)
  assert.deepEqual([first.cause, second.cause], ['expired', 'revoked'])
  assert.throws(() => Object.assign(identity, { subject: 'CN=root' }), TypeError)
  assert.throws(() => (identity.sanDns as string[]).push('root'), TypeError)
  const loose = { ...certificate }
  told('expired', loose)
  Object.assign(loose, { subject: 'CN=other' })
  assert.equal(told('expired', loose).identity?.subject, 'CN=other')
})

test('a wait and what came after it are two answers; an answer that is told as a refusal is one', () => {
  const { decision } = recorder()
  decision.shook(connection, scope, done())
  const by = { name: 'gate', callout: 'validate_mailfrom', from: 'gate.lua:3' }
  const refusal = { kind: 'reply', code: 450, text: 'later', module: 'scriptlet', by } as const
  // oxlint-disable-next-line unicorn/no-thenable -- the verdict's field
  decision.answered('mailfrom', { kind: 'tarpit', seconds: 2, then: refusal, by })
  decision.rejected({ code: 450, text: 'later', module: 'scriptlet' })
  decision.rejected({ code: 450, text: 'later', module: 'scriptlet' })
  assert.deepEqual(
    decision.record().answers.map(({ answer, phase, script }) => [answer, phase, script?.from]),
    [
      ['tarpit', 'mailfrom', 'gate.lua:3'],
      ['refuse', 'mailfrom', 'gate.lua:3'],
      ['refuse', undefined, undefined],
    ],
  )
})

test('a handshake that failed before anything was known is told by the scope’s own mode', () => {
  const { decision, events } = recorder()
  const strict = scopeOf('default', { tls_verify_mode: 'require' })
  const error = new TlsHandshakeError('too many handshakes under way from this address')
  decision.shook(connection, strict, { kind: 'failed', error, reason: error.reason })
  decision.ended('left', 0)
  const [event] = events
  assert.ok(event?.kind === 'decision')
  assert.deepEqual(
    [event.mode, event.outcome, event.cause, event.code, event.end?.how],
    ['require', 'failed', error.reason, '', 'failed'],
  )
})

test('whatever goes wrong around the record is told in the panic log and thrown nowhere', () => {
  const { decision, events } = recorder({
    liveDecisions: {
      add: () => assert.fail('no room'),
      remove: () => assert.fail('not there'),
    },
  })
  decision.shook(connection, scope, done())
  decision.ended('quit', 0)
  assert.deepEqual(
    events.map((event) => (event.kind === 'panic' ? `${event.module}: ${event.text}` : event.kind)),
    [
      ...['no room', 'not there'].map(
        (text) => `tls: c: no decision record: AssertionError [ERR_ASSERTION]: ${text}`,
      ),
      'decision',
    ],
  )
})
