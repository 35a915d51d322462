/** A decision record, for people: in the order in which things happened, each with the place that decided. */

import type {
  DecisionAnswer,
  DecisionChange,
  DecisionIdentity,
  DecisionOcspAnswer,
  DecisionRecord,
  DecisionScript,
} from '../events/decision.ts'
import { clientAddress } from './places.ts'
import { fromBytes } from './render.ts'
import { dateTime } from './times.ts'

export function decisionLines(record: DecisionRecord): readonly string[] {
  return [
    `Connection ${record.connectionId} from ${clientAddress(record.remote)}, ${dateTime(record.at)}`,
    ...scopeLines(record),
    ...trustLines(record),
    ...ocspLines(record),
    ...verdictLines(record),
    ...shadowLines(record),
    ...changeLines(record),
    ...answerLines(record),
    endLine(record),
  ]
}

function scopeLines({ scope, mode, modeFrom }: DecisionRecord): readonly string[] {
  const peer =
    scope.peer === undefined
      ? 'in no Peer block'
      : `in Peer ${scope.peer.network} of the ${scope.peer.inside === 'listen' ? 'Listen' : 'ESMTP_Listener'}`
  return [
    field('scope', `Listen ${scope.listen}, ${peer}, pathway ${scope.pathway}`),
    field('TLS_Verify_Mode', `${mode}, from ${modeFrom}`),
  ]
}

function trustLines({ ca, crl, mode, outcome }: DecisionRecord): readonly string[] {
  if (outcome === 'plaintext') return []
  if (mode === 'none') return [field('trust', 'no certificate was asked for')]
  const authorities =
    ca === undefined ? 'no TLS_Client_CA: nothing verifies' : `${ca.path} (SHA-256 ${ca.digest})`
  if (crl === undefined) return [field('CAs', authorities)]
  const next =
    crl.nextUpdate === undefined ? 'with no next update' : `next update ${dateTime(crl.nextUpdate)}`
  const lists = `${crl.path}, ${crl.lists} lists, the oldest of ${dateTime(crl.thisUpdate)}, ${next}`
  return [
    field('CAs', authorities),
    field('revocation', crl.forgiven ? `${lists}; forgiven, since TLS_Client_CRL_Mode is soft` : lists),
  ]
}

function ocspLines({ ocsp }: DecisionRecord): readonly string[] {
  if (ocsp === undefined) return []
  const { mode, forgiven, asked, askedLeftOut } = ocsp
  return [
    ...asked.map((answer) => field('OCSP', ocspText(answer))),
    ...(askedLeftOut === 0 ? [] : [field('OCSP', `${askedLeftOut} more were asked about`)]),
    ...(forgiven ? [field('OCSP', `forgiven, since TLS_Client_OCSP_Mode is ${mode}`)] : []),
  ]
}

function ocspText({ depth, subject, responder, answer, reason, from, age }: DecisionOcspAnswer): string {
  const place = depth === undefined ? 'beside the chain' : `depth ${depth}`
  const who = responder === undefined ? '' : `, by TLS_OCSP "${responder}"`
  const why = reason === '' ? '' : `: ${reason}`
  const known = age === undefined ? '' : `, ${age} s old`
  const where = from === 'memory' ? `${known}, remembered` : known
  return `${answer}${why}${who}${where} (${place}, ${fromBytes(subject)})`
}

function verdictLines(record: DecisionRecord): readonly string[] {
  const { outcome, cause, code, failing, identity, partner, protocol, cipher, sni, resumed } = record
  const why = cause === '' ? '' : `: ${fromBytes(cause)}`
  const named = code === '' ? '' : ` (OpenSSL: ${code})`
  const session = [protocol, cipher, ...(sni === '' ? [] : [`for ${fromBytes(sni)}`])].join(' ')
  return [
    field('verdict', `${outcome}${why}${named}`),
    ...(failing === undefined
      ? []
      : [field('failed at', `depth ${failing.depth}, ${fromBytes(failing.subject)}`)]),
    ...(protocol === '' ? [] : [field('session', resumed ? `${session}, resumed` : session)]),
    ...(identity === undefined ? [] : identityLines(identity, outcome === 'verified')),
    ...(partner === undefined ? [] : [field('partner', fromBytes(partner))]),
  ]
}

function identityLines(identity: DecisionIdentity, verified: boolean): readonly string[] {
  const { subject, issuer, serial, fingerprint, spki, notBefore, notAfter, sansLeftOut } = identity
  const { sanDns, sanEmail, sanUri, sanIp } = identity
  const names = [...sanDns, ...sanEmail, ...sanUri, ...sanIp].map(fromBytes)
  const more = sansLeftOut > 0 ? ` and ${sansLeftOut} more` : ''
  const dates =
    notBefore === undefined || notAfter === undefined
      ? []
      : [`${dateTime(notBefore)} to ${dateTime(notAfter)}`]
  return [
    field(verified ? 'certificate' : 'claims to be', fromBytes(subject)),
    field('issuer', fromBytes(issuer)),
    field('serial', serial),
    ...dates.map((text) => field('valid', text)),
    ...(names.length === 0 ? [] : [field('names', `${names.join(' ')}${more}`)]),
    field('SHA-256', fingerprint),
    field('key SHA-256', spki),
  ]
}

function shadowLines({ shadow, requireTlsShadow }: DecisionRecord): readonly string[] {
  return [
    ...(requireTlsShadow === undefined
      ? []
      : [field('shadow', `Require_TLS, from ${requireTlsShadow.from}: would-refuse (no-tls)`)]),
    ...(shadow === undefined
      ? []
      : [field('shadow', `${shadow.mode}, from ${shadow.from}: ${shadow.verdict} (${shadow.reason})`)]),
  ]
}

function changeLines({ changes, changesLeftOut }: DecisionRecord): readonly string[] {
  const lines = changes.map((change) => field('then', changeText(change)))
  return changesLeftOut === 0
    ? lines
    : [...lines, field('then', `${changesLeftOut} more changes were not kept`)]
}

function changeText({
  at,
  by,
  remote,
  scope,
  mode,
  modeFrom,
  peer,
  lacksCertificate,
}: DecisionChange): string {
  const who = by === 'pathway' ? '' : `the client is ${clientAddress(remote)}, `
  const lacks = lacksCertificate
    ? `; TLS_Verify_Mode is ${mode} (${modeFrom}), and it has no certificate: 421`
    : ''
  return `${dateTime(at)} ${by}: ${who}in ${scope}; ${peer}${lacks}`
}

function answerLines({ answers, answersLeftOut }: DecisionRecord): readonly string[] {
  const lines = answers.map((answer) => field('answer', answerText(answer)))
  return answersLeftOut === 0 ? lines : [...lines, field('answer', `${answersLeftOut} more were not kept`)]
}

function answerText({ at, phase, answer, code, text, module, script }: DecisionAnswer): string {
  const reply = [code === 0 ? '' : String(code), fromBytes(text)].filter((part) => part !== '').join(' ')
  const what = reply === '' ? answer : `${answer} "${reply}"`
  const who = script === undefined ? module : `script ${script.name}, ${script.callout}${placeOf(script)}`
  return `${dateTime(at)} ${phase === undefined ? '' : `${phase}: `}${what}, by ${who}`
}

function placeOf({ from, defined }: DecisionScript): string {
  if (from !== undefined) return `, ${from}`
  return defined === undefined ? '' : `, what the function at ${defined} returned`
}

function endLine({ end }: DecisionRecord): string {
  if (end === undefined) return field('end', 'under way')
  return field('end', `${dateTime(end.at)}, ${end.how}; ${end.accepted} accepted, ${end.refused} refused`)
}

function field(name: string, text: string): string {
  return `  ${`${name}:`.padEnd(17)} ${text}`
}
