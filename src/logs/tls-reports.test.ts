import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { loadSettingsFromText } from '../config/load.ts'
import type { TlsSessionFact } from '../events/outbound-tls.ts'
import { openLogs } from './logs.ts'
import { TlsReports } from './tls-reports.ts'

const NOON = Date.UTC(2026, 10, 22, 12)
const DAY = 86_400_000

function session(changes: Partial<TlsSessionFact> = {}, domain = 'example.test'): TlsSessionFact {
  return {
    kind: 'tls-session',
    at: NOON,
    policy: {
      type: 'sts',
      domain,
      strings: ['version: STSv1', 'mode: testing'],
      mxHosts: ['*.example.test'],
    },
    failure: undefined,
    reason: '',
    sendingIp: '192.0.2.1',
    receivingHost: 'mx.example.test',
    receivingIp: '192.0.2.2',
    ...changes,
  }
}

test('a report counts the sessions of a domain and a day, and what went wrong how often', () => {
  const reports = new TlsReports()
  reports.record(session())
  reports.record(session({ at: NOON + 1000 }))
  const failure = { failure: 'certificate-expired', reason: 'expired CERT_HAS_EXPIRED' } as const
  reports.record(session({ ...failure, at: NOON + 2000 }))
  reports.record(session({ ...failure, at: NOON + 3000 }))
  reports.record(session({ ...failure, receivingIp: '192.0.2.3' }))
  assert.deepEqual(reports.take('gate.test', NOON, 'over'), [], 'the day is not over')
  const [text = '', ...more] = reports.take('gate.test', NOON + DAY, 'over')
  assert.deepEqual(more, [])
  assert.deepEqual(JSON.parse(text), {
    'organization-name': 'gate.test',
    'date-range': { 'start-datetime': '2026-11-22T12:00:00Z', 'end-datetime': '2026-11-22T12:00:03Z' },
    'report-id': '2026-11-22T12:00:00Z_sts_example.test',
    policies: [
      {
        policy: {
          'policy-type': 'sts',
          'policy-string': ['version: STSv1', 'mode: testing'],
          'policy-domain': 'example.test',
          'mx-host': ['*.example.test'],
        },
        summary: { 'total-successful-session-count': 2, 'total-failure-session-count': 3 },
        'failure-details': [
          {
            'result-type': 'certificate-expired',
            'sending-mta-ip': '192.0.2.1',
            'receiving-mx-hostname': 'mx.example.test',
            'receiving-ip': '192.0.2.2',
            'failed-session-count': 2,
            'failure-reason-code': 'expired CERT_HAS_EXPIRED',
          },
          {
            'result-type': 'certificate-expired',
            'sending-mta-ip': '192.0.2.1',
            'receiving-mx-hostname': 'mx.example.test',
            'receiving-ip': '192.0.2.3',
            'failed-session-count': 1,
            'failure-reason-code': 'expired CERT_HAS_EXPIRED',
          },
        ],
      },
    ],
  })
  assert.deepEqual(reports.take('gate.test', NOON + DAY, 'all'), [], 'it is told once')
})

test('days and domains are reported apart', () => {
  const reports = new TlsReports()
  reports.record(session())
  reports.record(session({ at: NOON + DAY }))
  reports.record(session({}, 'other.test'))
  assert.equal(reports.take('g', NOON + DAY, 'over').length, 2)
  assert.equal(reports.take('g', NOON + DAY, 'all').length, 1)
})

test('what a host has said cannot leave its line, and takes bounded room', () => {
  const reports = new TlsReports()
  const reason = `a\r\n"}\u0000\u001b[2J\xe9\u2028${'x'.repeat(5000)}`
  reports.record(session({ failure: 'validation-failure', reason }))
  const [text = ''] = reports.take('g', NOON, 'all')
  assert.match(text, /^[ -~]+$/)
  assert.ok(text.length < 2000)
  for (let i = 0; i < 10_500; i++) reports.record(session({}, `d${i}.test`))
  for (let i = 0; i < 500; i++)
    reports.record(session({ failure: 'validation-failure', receivingIp: `192.0.2.${i}` }, 'd0.test'))
  const all = reports.take('g', NOON, 'all')
  assert.equal(all.length, 10_000)
  const [first = ''] = all
  assert.equal((first.match(/"result-type"/g) ?? []).length, 100)
  assert.match(first, /"total-failure-session-count":500/)
})

test('TLS_RPT_Log gets the reports of a day that is over, and what is left at the end', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'postern-rpt-'))
  const path = join(folder, 'tls-rpt.json')
  const { settings } = await loadSettingsFromText(`Hostname = "gate.test"\nTLS_RPT_Log = "${path}"\n`)
  assert.ok(settings !== undefined)
  let now = NOON
  const logs = openLogs(settings, { clock: () => now, onError: assert.fail })
  logs.handle(session())
  now += DAY
  logs.handle(session({ at: NOON + DAY }))
  logs.handle(session({ at: NOON + DAY }))
  await logs.close()
  const lines = (await readFile(path, 'utf8')).trimEnd().split('\n')
  assert.deepEqual(
    lines.map((text) => /"total-successful-session-count":(\d)/.exec(text)?.[1]),
    ['1', '2'],
  )
  await rm(folder, { recursive: true })
})
