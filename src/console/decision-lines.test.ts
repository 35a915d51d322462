/** What `tls why` says of a record. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DecisionOcsp, DecisionRecord } from '../events/decision.ts'
import { decision } from '../logs/decision.fixture.ts'
import { decisionLines } from './decision-lines.ts'

/** of a connection that is under way */
const { end: _end, ...begun } = decision({ connectionId: 'one' })
const record = (given: Partial<DecisionRecord>): DecisionRecord => ({ ...begun, ...given })

const named = (name: string, lines: readonly string[]): string[] =>
  lines.filter((line) => line.startsWith(`  ${name}:`)).map((line) => line.slice(name.length + 3).trim())

test('OCSP: about whom, by whom, what, why, how old, and whether it was forgiven', () => {
  const ocsp: DecisionOcsp = {
    mode: 'soft',
    forgiven: true,
    asked: [
      { depth: 0, subject: 'CN=a', responder: 'own', answer: 'good', reason: '', from: 'memory', age: 90 },
      {
        depth: 1,
        subject: 'CN=b',
        responder: 'own',
        answer: 'invalid',
        reason: 'no nonce',
        from: 'responder',
      },
      { subject: 'CN=M\xc3\xbcller', answer: 'unavailable', reason: 'nobody' },
    ],
    askedLeftOut: 2,
  }
  assert.deepEqual(named('OCSP', decisionLines(record({ ocsp }))), [
    'good, by TLS_OCSP "own", 90 s old, remembered (depth 0, CN=a)',
    'invalid: no nonce, by TLS_OCSP "own" (depth 1, CN=b)',
    'unavailable: nobody (beside the chain, CN=Müller)',
    '2 more were asked about',
    'forgiven, since TLS_Client_OCSP_Mode is soft',
  ])
  assert.deepEqual(named('OCSP', decisionLines(record({}))), [])
})

test('clear text: what Require_TLS would do, and nothing of certificates', () => {
  const lines = decisionLines(
    record({ outcome: 'plaintext', protocol: '', requireTlsShadow: { from: 'gate.conf:4' } }),
  )
  assert.deepEqual(named('shadow', lines), ['Require_TLS, from gate.conf:4: would-refuse (no-tls)'])
  assert.deepEqual(named('verdict', lines), ['plaintext'])
  assert.deepEqual(named('CAs', lines), [])
})

test('a client that a proxy named: who, in which scope, and that the certificate is not its own', () => {
  const change = {
    at: begun.at,
    by: 'XCLIENT',
    was: { address: '192.0.2.7', port: 1 },
    remote: { address: '198.51.100.9', port: 25 },
    scope: 'listen ":25" peer 198.51.100.0/24',
    mode: 'require',
    modeFrom: 'gate.conf:9',
    peer: 'anonymous',
    lacksCertificate: true,
  } as const
  const pathway = {
    ...change,
    by: 'pathway',
    remote: change.was,
    peer: 'verified',
    lacksCertificate: false,
  } as const
  const lines = named('then', decisionLines(record({ changes: [change, pathway], changesLeftOut: 3 })))
  assert.match(
    lines[0] ?? '',
    /XCLIENT: the client is 198\.51\.100\.9:25, in listen ":25" peer 198\.51\.100\.0\/24; anonymous; TLS_Verify_Mode is require \(gate\.conf:9\), and it has no certificate: 421$/,
  )
  assert.match(lines[1] ?? '', /pathway: in listen ":25" peer 198\.51\.100\.0\/24; verified$/)
  assert.equal(lines[2], '3 more changes were not kept')
})
