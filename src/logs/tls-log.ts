/**
 * The tls_log: one line of JSON (RFC 8259) for each decision record.
 *
 * Every key is declared in the table below, with its meaning; docs/decision-record.md shows the same table. A key without
 * a value is absent. A line is printable ASCII throughout: whatever a certificate, a client or a script has written can
 * neither end the line, nor the JSON, nor do anything to a terminal. Times are ISO 8601 in UTC.
 */

import type {
  DecisionAnswer,
  DecisionChange,
  DecisionOcspAnswer,
  DecisionRecord,
} from '../events/decision.ts'
import { jsonHeartbeat } from './json/line.ts'
import { asciiJson, type JsonValue, text, time } from './json/text.ts'

export interface TlsLogKey {
  readonly key: string
  /** Markdown */
  readonly meaning: string
  readonly value: (record: DecisionRecord) => JsonValue | undefined
}

const key = (name: string, meaning: string, value: TlsLogKey['value']): TlsLogKey => ({
  key: name,
  meaning,
  value,
})

/** In the order of a line. */
export const tlsLogKeys: readonly TlsLogKey[] = [
  key(
    'event',
    '`decision`; `heartbeat` in a marker line, which has `time` and `log` alone',
    () => 'decision',
  ),
  key(
    'time',
    'when the handshake came to its end; in clear text the first command that Require_TLS would refuse',
    ({ at }) => time(at),
  ),
  key('connection', 'the connection’s id, as in every other log', ({ connectionId }) => connectionId),
  key('client', 'address of the client; empty on a UNIX socket', ({ remote }) => text(remote.address)),
  key('client_port', 'its port', ({ remote }) => remote.port),
  key('local', 'the address that it reached', ({ local }) => text(local.address)),
  key('local_port', 'that one’s port', ({ local }) => local.port),
  key('verify_mode', 'effective TLS_Verify_Mode: `require`, `none` or `unset`', ({ mode }) => mode),
  key('verify_mode_from', '`FILE:LINE` of the value, `policy`, or `default`', ({ modeFrom }) => modeFrom),
  key('shadow_mode', 'TLS_Verify_Mode_Shadow, where it is set', ({ shadow }) => shadow?.mode),
  key('shadow_from', '`FILE:LINE` of that value', ({ shadow }) => shadow?.from),
  key(
    'shadow_verdict',
    'what it would have done: `would-refuse`, `would-continue` or `unknown`',
    ({ shadow }) => shadow?.verdict,
  ),
  key(
    'shadow_reason',
    'why: `no-certificate`, `verified`, `unverified`, `not-asked-for`, `would-not-ask`, `handshake-failed`',
    ({ shadow }) => shadow?.reason,
  ),
  key(
    'require_tls_shadow',
    '`would-refuse`: a command was given in clear text, and Require_TLS_Shadow is true',
    ({ requireTlsShadow }) => requireTlsShadow && 'would-refuse',
  ),
  key(
    'require_tls_shadow_from',
    '`FILE:LINE` of that value',
    ({ requireTlsShadow }) => requireTlsShadow?.from,
  ),
  key('scope', 'Listen, Peer blocks and pathway that governed the handshake', ({ scope }) => scope.id),
  key('listen', 'the Listen’s instance', ({ scope }) => scope.listen),
  key('peer', 'the narrowest Peer block that holds the client', ({ scope }) => scope.peer?.network),
  key('peer_in', '`listen` or `esmtp_listener`: where that block stands', ({ scope }) => scope.peer?.inside),
  key('pathway', 'its pathway', ({ scope }) => scope.pathway),
  key('pathway_group', 'and that one’s group', ({ scope }) => scope.pathwayGroup),
  key('ca', 'file of TLS_Client_CA; absent: nothing can verify', ({ ca }) => ca?.path),
  key('ca_digest', 'SHA-256 over the SHA-256 of each certificate in it', ({ ca }) => ca?.digest),
  key('crl', 'file or folder of TLS_Client_CRL', ({ crl }) => crl?.path),
  key('crl_digest', 'SHA-256 over the SHA-256 of each list in it', ({ crl }) => crl?.digest),
  key('crl_lists', 'how many lists it holds', ({ crl }) => crl?.lists),
  key('crl_this_update', 'when the oldest of them was made', ({ crl }) => crl && time(crl.thisUpdate)),
  key('crl_next_update', 'when the first of them ends', ({ crl }) => crl && time(crl.nextUpdate)),
  key('crl_forgiven', 'whether the verdict needed TLS_Client_CRL_Mode = soft', ({ crl }) => crl?.forgiven),
  key('ocsp_mode', 'TLS_Client_OCSP_Mode, where OCSP had a say', ({ ocsp }) => ocsp?.mode),
  key(
    'ocsp_forgiven',
    'it verifies although no OCSP answer that counts was to be had; absent otherwise',
    ({ ocsp }) => ocsp?.forgiven || undefined,
  ),
  key('ocsp', 'what was asked of OCSP responders, by certificate, at most 8; see below', ({ ocsp }) =>
    ocsp?.asked.map(ocspAnswerOf),
  ),
  key(
    'ocsp_left_out',
    'certificates beyond these, of which nothing bad was said where there was room for the others',
    ({ ocsp }) => ocsp?.askedLeftOut || undefined,
  ),
  key(
    'outcome',
    '`failed`, `anonymous`, `unverified`, `verified`, or `plaintext`, with Require_TLS_Shadow only',
    ({ outcome }) => outcome,
  ),
  key('cause', 'why not verified (see tls.md), or what ended the handshake', ({ cause }) => some(cause)),
  key('code', 'OpenSSL’s own word', ({ code }) => some(code)),
  key('failing_depth', 'which certificate failed; 0 is the client’s own', ({ failing }) => failing?.depth),
  key('failing_subject', 'its subject', ({ failing }) => failing && text(failing.subject)),
  key('subject', 'of the client’s certificate: a claim unless `verified`', (record) =>
    some(record.identity?.subject),
  ),
  key('issuer', 'likewise', ({ identity }) => some(identity?.issuer)),
  key('serial', 'hexadecimal', ({ identity }) => some(identity?.serial)),
  key('fingerprint', 'SHA-256 of the certificate', ({ identity }) => identity?.fingerprint),
  key('spki', 'SHA-256 of its public key', ({ identity }) => some(identity?.spki)),
  key('san_dns', 'alternative names, in all at most 32', ({ identity }) => list(identity?.sanDns)),
  key('san_email', 'likewise', ({ identity }) => list(identity?.sanEmail)),
  key('san_uri', 'likewise', ({ identity }) => list(identity?.sanUri)),
  key('san_ip', 'likewise', ({ identity }) => list(identity?.sanIp)),
  key('sans_left_out', 'names beyond these', ({ identity }) => identity?.sansLeftOut || undefined),
  key('not_before', 'of the certificate', ({ identity }) => time(identity?.notBefore)),
  key('not_after', 'likewise', ({ identity }) => time(identity?.notAfter)),
  key('partner', 'the partner that it stands for', ({ partner }) => partner),
  key('protocol', '`TLSv1.3`', ({ protocol }) => some(protocol)),
  key('cipher', 'OpenSSL’s name of the suite', ({ cipher }) => some(cipher)),
  key('sni', 'the name that the client asked for', ({ sni }) => some(sni)),
  key('resumed', 'whether the session was resumed', ({ resumed }) => resumed),
  key(
    'changes',
    'another client was named, or another pathway chosen, in their order, at most 16; see below',
    ({ changes }) => (changes.length === 0 ? undefined : changes.map(changeOf)),
  ),
  key(
    'changes_left_out',
    'changes beyond these, from the middle',
    (record) => record.changesLeftOut || undefined,
  ),
  key(
    'answers',
    'refusals and whatever else did not simply let a command pass, in their order, at most 32; see below',
    ({ answers }) => (answers.length === 0 ? undefined : answers.map(answerOf)),
  ),
  key(
    'answers_left_out',
    'answers beyond these, from the middle',
    (record) => record.answersLeftOut || undefined,
  ),
  key('ended', 'when the connection ended', ({ end }) => time(end?.at)),
  key(
    'how',
    '`quit`, `left` (the client was gone), `closed` (by us), `failed` (the handshake)',
    ({ end }) => end?.how,
  ),
  key(
    'accepted',
    'messages taken over for one recipient at least; what policy dropped is among `refused`',
    ({ end }) => end?.accepted,
  ),
  key('refused', 'commands, recipients and messages refused: rejectlog lines', ({ end }) => end?.refused),
]

/** What a change holds, in the order of its keys. */
export const tlsLogChangeKeys: Readonly<Record<string, string>> = {
  time: 'when',
  by: '`XCLIENT`, `XREMOTEIP`, or `pathway`: a script or a partner’s stanza chose one after the handshake',
  was: 'address of the client before',
  client: 'and from now on',
  client_port: 'its port; 0 where it is not known',
  scope: 'Listen, Peer blocks and pathway from now on',
  verify_mode: 'TLS_Verify_Mode there',
  verify_mode_from: '`FILE:LINE` of that value',
  peer: 'what the other end counts as from now on: `plaintext`, `anonymous`, `unverified` or `verified`',
  lacks_certificate: 'true where that scope requires a certificate which this client has not: 421',
}

/** What an answer holds, in the order of its keys. */
export const tlsLogAnswerKeys: Readonly<Record<string, string>> = {
  time: 'when',
  phase: 'what policy was asked about; absent for a rule of the server’s own',
  answer: '`refuse`, `disconnect`, `discard`, `reply` (another text of success) or `tarpit`',
  code: 'of the reply; 0 where there is none',
  text: 'its text',
  module: 'who decided, as in rejectlog: `scriptlet`, `relay`, `auth`, `tls`, `core`, …',
  script: 'the script that answered',
  callout: 'the function that was asked',
  from: '`FILE:LINE` of the call that answered, where it is known',
  defined: '`FILE:LINE` on which the function begins, where it answered by its return value alone',
}

/** What an entry of `ocsp` holds, in the order of its keys. */
export const tlsLogOcspKeys: Readonly<Record<string, string>> = {
  depth: 'place in the chain, 0 is the client’s own; absent beside the chain that was found',
  subject: 'of the certificate that was asked about',
  responder: 'name of the TLS_OCSP stanza; absent where none speaks for the issuer',
  answer: '`good`, `revoked`, `unknown`, `unavailable` or `invalid`',
  reason: 'why there was no answer, or none that counts',
  from: '`responder`, or `memory`: said before',
  age: 'seconds since what the answer says was known to be so',
}

/** The line of a record, without its line ending. */
export function formatTlsLog(record: DecisionRecord): string {
  const line: Record<string, JsonValue> = {}
  for (const { key: name, value } of tlsLogKeys) {
    const found = value(record)
    if (found !== undefined) line[name] = found
  }
  return asciiJson(line)
}

/** @param at milliseconds since the epoch */
export function tlsLogHeartbeat(at: number): string {
  return jsonHeartbeat('tlslog', at)
}

function answerOf({ at, phase, answer, code, text: words, module, script }: DecisionAnswer): JsonValue {
  return {
    time: time(at) ?? '',
    ...(phase === undefined ? {} : { phase }),
    answer,
    code,
    text: text(words),
    module,
    ...(script === undefined ? {} : { script: script.name, callout: script.callout }),
    ...(script?.from === undefined ? {} : { from: script.from }),
    ...(script?.defined === undefined ? {} : { defined: script.defined }),
  }
}

function changeOf({ at, by, was, remote, ...change }: DecisionChange): JsonValue {
  return {
    time: time(at) ?? '',
    by,
    was: text(was.address),
    client: text(remote.address),
    client_port: remote.port,
    scope: change.scope,
    verify_mode: change.mode,
    verify_mode_from: change.modeFrom,
    peer: change.peer,
    ...(change.lacksCertificate ? { lacks_certificate: true } : {}),
  }
}

function ocspAnswerOf(asked: DecisionOcspAnswer): JsonValue {
  const { depth, subject, responder, answer, reason, from, age } = asked
  return {
    ...(depth === undefined ? {} : { depth }),
    subject: text(subject),
    ...(responder === undefined ? {} : { responder }),
    answer,
    ...(reason === '' ? {} : { reason }),
    ...(from === undefined ? {} : { from }),
    ...(age === undefined ? {} : { age }),
  }
}

function some(bytes: string | undefined): string | undefined {
  return bytes === undefined || bytes === '' ? undefined : text(bytes)
}

function list(names: readonly string[] | undefined): readonly string[] | undefined {
  return names === undefined || names.length === 0 ? undefined : names.map((each) => text(each))
}
