/** What a report may hold that was written to hurt its reader. Reports as they are: test/gate and smtp. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readDeliveryReport } from './delivery-report.ts'
import { HeaderBlock } from './headers.ts'

const HEADERS = new HeaderBlock('Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n')
const MEGABYTES = 16 * 1024 * 1024
const GROUP = 'Final-Recipient: rfc822; bob@x.test\r\nAction: failed\r\nStatus: 5.1.1\r\n'

function report(status: string, head = ''): string {
  return `--b\r\nContent-Type: message/delivery-status\r\n${head}\r\n${status}\r\n--b--\r\n`
}

/** milliseconds that reading takes; what is read quadratically takes minutes */
function timeOf(body: string): number {
  const start = performance.now()
  readDeliveryReport(HEADERS, body)
  return performance.now() - start
}

test('no report takes time that grows faster than its size, or more than its start', () => {
  const lead = 'Reporting-MTA: dns; x\r\n\r\n'
  const nested = Array.from(
    { length: 20 },
    (_, n) => `--b${n === 0 ? '' : n}\r\nContent-Type: multipart/mixed; boundary=b${n + 1}\r\n\r\n`,
  ).join('')
  const bodies = {
    'blanks inside an address': report(`${lead}Final-Recipient: rfc822; a${' '.repeat(MEGABYTES)}b\r\n`),
    'many of them': report(lead + `Final-Recipient: rfc822; a${' '.repeat(2000)}b\r\n\r\n`.repeat(120)),
    'empty lines': report(`${'\r\n'.repeat(MEGABYTES / 2)}${lead}`),
    'blank lines': report(`${lead}${' \n'.repeat(MEGABYTES / 2)}`),
    'quoted-printable': report(
      '=41\n'.repeat(MEGABYTES / 4),
      'Content-Transfer-Encoding: quoted-printable\r\n',
    ),
    nesting: `${nested}${'\r\n'.repeat(MEGABYTES / 2)}`,
    groups: report(`a: b\r\n\r\n`.repeat(MEGABYTES / 8)),
  }
  for (const [name, body] of Object.entries(bodies)) assert.ok(timeOf(body) < 5000, name)
})

test('empty lines around and between groups are one, and a hundred groups count', () => {
  const [first, ...more] =
    readDeliveryReport(HEADERS, report(`\n \t\r\nReporting-MTA: dns; x\n\r\n \r\n${GROUP}`)) ?? []
  assert.deepEqual([first?.addresses, more.length], [[{ local: 'bob', domain: 'x.test' }], 0])
  assert.equal(first?.status, '5.1.1')
  const many = readDeliveryReport(
    HEADERS,
    report(`Reporting-MTA: dns; x\r\n\r\n${`${GROUP}\r\n`.repeat(500)}`),
  )
  assert.equal(many?.length, 100)
})

test('the report is found although the message that it brings along is long', () => {
  const body = report(`Reporting-MTA: dns; x\r\n\r\n${GROUP}`).replace(
    '--b--',
    `--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\n${'text\r\n'.repeat(1_000_000)}--b--`,
  )
  assert.equal(readDeliveryReport(HEADERS, body)?.length, 1)
})

test('an international address is read in each of its three forms', () => {
  const local = Buffer.from('josé+x').toString('latin1')
  const domain = 'x.test'
  for (const written of ['jos\\x{E9}\\x{2B}x', local.replace('+', '\\x{2B}'), local]) {
    const address = `${written}@${domain}`
    const group = `Reporting-MTA: dns; x\r\n\r\nFinal-Recipient: utf-8; ${address}\r\nAction: failed\r\n`
    assert.deepEqual(readDeliveryReport(HEADERS, report(group))?.[0]?.addresses, [{ local, domain }], written)
  }
  const wrong = 'Reporting-MTA: dns; x\r\n\r\nFinal-Recipient: utf-8; jos\xe9@x.test\r\nAction: failed\r\n'
  assert.deepEqual(readDeliveryReport(HEADERS, report(wrong))?.[0]?.addresses, [])
})
