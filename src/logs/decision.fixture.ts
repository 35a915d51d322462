/** Decision records for tests of what is made of them. */

import type { DecisionRecord } from '../events/decision.ts'

const AT = Date.UTC(2026, 0, 2, 3, 4, 5)

/** An anonymous connection that has ended, with what is given instead. */
export function decision(given: Partial<DecisionRecord> = {}): DecisionRecord {
  return {
    kind: 'decision',
    at: AT,
    connectionId: '00/00-00001-00000001',
    remote: { address: '192.0.2.7', port: 40_001 },
    local: { address: '192.0.2.1', port: 25 },
    mode: 'unset',
    modeFrom: 'default',
    scope: { id: 'listen ":25"', listen: ':25', pathway: 'default', pathwayGroup: 'default' },
    outcome: 'anonymous',
    cause: '',
    code: '',
    protocol: 'TLSv1.3',
    cipher: 'TLS_AES_256_GCM_SHA384',
    sni: '',
    resumed: false,
    changes: [],
    changesLeftOut: 0,
    answers: [],
    answersLeftOut: 0,
    end: { at: AT + 1000, how: 'quit', accepted: 0, refused: 0 },
    ...given,
  }
}

/** Every field is there, each with a value that no other has. */
export const fullDecision: Required<DecisionRecord> = {
  kind: 'decision',
  at: AT,
  connectionId: 'connection-id',
  remote: { address: '192.0.2.7', port: 40_001 },
  local: { address: '192.0.2.1', port: 40_002 },
  mode: 'require',
  modeFrom: 'gate.conf:1',
  shadow: { mode: 'none', from: 'gate.conf:2', verdict: 'would-continue', reason: 'would-not-ask' },
  requireTlsShadow: { from: 'gate.conf:4' },
  scope: {
    id: 'scope-id',
    listen: ':2525',
    peer: { network: '192.0.2.0/24', inside: 'esmtp_listener' },
    pathway: 'pathway-name',
    pathwayGroup: 'group-name',
  },
  ca: { path: '/ca.pem', digest: 'ca-digest' },
  crl: {
    path: '/crl.pem',
    digest: 'crl-digest',
    lists: 40_003,
    thisUpdate: AT - 1000,
    nextUpdate: AT + 2000,
    forgiven: true,
  },
  ocsp: {
    mode: 'soft',
    forgiven: true,
    asked: [
      {
        depth: 40_010,
        subject: 'CN=asked-about',
        responder: 'responder-name',
        answer: 'invalid',
        reason: 'answer-reason',
        from: 'memory',
        age: 40_011,
      },
    ],
    askedLeftOut: 40_012,
  },
  outcome: 'unverified',
  cause: 'expired',
  code: 'CERT_HAS_EXPIRED',
  failing: { depth: 40_004, subject: 'CN=failing' },
  identity: {
    subject: 'CN=subject',
    issuer: 'CN=issuer',
    serial: 'abc',
    fingerprint: 'fingerprint-hex',
    spki: 'spki-hex',
    sanDns: ['dns.example'],
    sanEmail: ['email@example'],
    sanUri: ['uri:example'],
    sanIp: ['192.0.2.99'],
    sansLeftOut: 40_005,
    notBefore: AT - 3000,
    notAfter: AT + 4000,
  },
  partner: 'partner-name',
  protocol: 'TLSv1.3',
  cipher: 'TLS_AES_256_GCM_SHA384',
  sni: 'sni.example',
  resumed: true,
  changes: [
    {
      at: AT + 400,
      by: 'XCLIENT',
      remote: { address: '192.0.2.8', port: 40_013 },
      was: { address: '192.0.2.7', port: 40_001 },
      scope: 'other-scope-id',
      mode: 'require',
      modeFrom: 'gate.conf:5',
      peer: 'anonymous',
      lacksCertificate: true,
    },
  ],
  changesLeftOut: 40_014,
  answers: [
    {
      at: AT + 500,
      phase: 'mailfrom',
      answer: 'refuse',
      code: 40_006,
      text: 'answer-text',
      module: 'scriptlet',
      script: { name: 'script-name', callout: 'callout-name', from: 'gate.lua:3', defined: 'gate.lua:2' },
    },
  ],
  answersLeftOut: 40_007,
  end: { at: AT + 5000, how: 'closed', accepted: 40_008, refused: 40_009 },
}
