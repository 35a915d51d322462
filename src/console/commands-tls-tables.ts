/** The longer tables about certificates. */

import type { PinUse, ServerOnlyCertificate } from '../events/partner-report.ts'
import type { ShadowRow, ShadowTable } from '../logs/shadow-table.ts'
import type { TableAnswer } from './answer.ts'
import { fromBytes } from './render.ts'
import type { Expiry } from './services.ts'
import { dateTime } from './times.ts'

/** rows that are shown */
const MAX_ROWS = 1000

export function shadowTable({ rows, others, totals }: ShadowTable): TableAnswer {
  const seen = Object.values(totals).reduce((sum, count) => sum + count, 0)
  return {
    kind: 'table',
    columns: [
      { key: 'network', head: 'Network' },
      { key: 'subject', head: 'Certificate' },
      { key: 'issuer', head: 'Issuer' },
      { key: 'verdict', head: 'Verdict' },
      { key: 'reason', head: 'Reason' },
      { key: 'cause', head: 'Cause' },
      { key: 'count', head: 'Count' },
      { key: 'first', head: 'First' },
      { key: 'last', head: 'Last' },
    ],
    rows: rows.slice(0, MAX_ROWS).map(shadowRow),
    empty:
      seen === 0
        ? 'No handshake has ended in a scope with TLS_Verify_Mode_Shadow, and no mail in clear text has come to one with Require_TLS_Shadow.'
        : `Nobody would be refused: all ${seen} handshakes would go on.`,
    leftOut: Math.max(0, rows.length - MAX_ROWS) + (others?.rows ?? 0),
  }
}

function shadowRow(row: ShadowRow): Record<string, string | number | undefined> {
  const { network, certificate, verdict, reason, cause, count, first, last } = row
  return {
    network,
    subject: certificate === 'none' ? 'none' : fromBytes(certificate.subject),
    issuer: certificate === 'none' ? undefined : fromBytes(certificate.issuer),
    verdict,
    reason,
    cause: fromBytes(cause),
    count,
    first: dateTime(first),
    last: dateTime(last),
  }
}

/** @param limit days; undefined = everything */
export function expiryTable(expiries: readonly Expiry[], limit: number | undefined): TableAnswer {
  const found = expiries
    .filter(({ days }) => limit === undefined || days <= limit)
    .toSorted((a, b) => a.notAfter - b.notAfter)
  return {
    kind: 'table',
    columns: [
      { key: 'days', head: 'Days' },
      { key: 'notAfter', head: 'Ends' },
      { key: 'what', head: 'What' },
      { key: 'name', head: 'Name' },
      { key: 'issuer', head: 'Issuer' },
      { key: 'source', head: 'File' },
      { key: 'lastSeen', head: 'Seen' },
      { key: 'renewed', head: 'Renewed' },
    ],
    rows: found.slice(0, MAX_ROWS).map((each) => ({
      days: each.days,
      notAfter: dateTime(each.notAfter),
      what: each.what,
      name: fromBytes(each.name),
      issuer: fromBytes(each.issuer),
      source: each.source,
      lastSeen: each.lastSeen === undefined ? undefined : dateTime(each.lastSeen),
      renewed: each.what === 'client' ? each.renewed : undefined,
    })),
    empty: limit === undefined ? 'Nothing has an end.' : `Nothing ends within ${limit} days.`,
    leftOut: Math.max(0, found.length - MAX_ROWS),
  }
}

export function pinTable(pins: readonly PinUse[]): TableAnswer {
  return {
    kind: 'table',
    columns: [
      { key: 'partner', head: 'Partner' },
      { key: 'option', head: 'Pin' },
      { key: 'place', head: 'Place' },
      { key: 'handshakes', head: 'Handshakes' },
      { key: 'lastSeen', head: 'Seen' },
      { key: 'notAfter', head: 'Certificate ends' },
      { key: 'digest', head: 'SHA-256' },
    ],
    rows: pins.slice(0, MAX_ROWS).map((pin) => ({
      partner: fromBytes(pin.partner),
      option: pin.option,
      place: pin.place,
      handshakes: pin.handshakes,
      lastSeen: pin.lastSeen === undefined ? undefined : dateTime(pin.lastSeen),
      notAfter: pin.notAfter === undefined ? undefined : dateTime(pin.notAfter),
      digest: pin.digest,
    })),
    empty: 'No Partner has a pin.',
    leftOut: Math.max(0, pins.length - MAX_ROWS),
  }
}

export function serverOnlyTable(certificates: readonly ServerOnlyCertificate[]): TableAnswer {
  return {
    kind: 'table',
    columns: [
      { key: 'subject', head: 'Certificate' },
      { key: 'issuer', head: 'Issuer' },
      { key: 'partner', head: 'Partner' },
      { key: 'address', head: 'Client' },
      { key: 'handshakes', head: 'Handshakes' },
      { key: 'lastSeen', head: 'Seen' },
      { key: 'fingerprint', head: 'SHA-256' },
    ],
    rows: certificates.slice(0, MAX_ROWS).map((each) => ({
      subject: fromBytes(each.subject),
      issuer: fromBytes(each.issuer),
      partner: each.partner === undefined ? undefined : fromBytes(each.partner),
      address: each.address === '' ? 'local' : each.address,
      handshakes: each.handshakes,
      lastSeen: dateTime(each.lastSeen),
      fingerprint: each.fingerprint,
    })),
    empty: 'No such certificate was seen.',
    leftOut: Math.max(0, certificates.length - MAX_ROWS),
  }
}
