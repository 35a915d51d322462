import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openData, withClient } from './with-client.fixture.ts'

function group(n: number): string {
  return `Final-Recipient: rfc822; gone${n}@far.example\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n`
}

test('a report about many, to many, is told of a hundred times and no more', async () => {
  const report = [
    'Content-Type: multipart/report; report-type=delivery-status; boundary=b',
    '',
    '--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; far.example\r\n',
    Array.from({ length: 100 }, (_, n) => group(n)).join(''),
    '--b--\r\n.',
  ].join('\r\n')
  await withClient({ options: { bounce_domains: ['bounces.example'] } }, async (client, host) => {
    await openData(client, ...Array.from({ length: 300 }, (_, n) => `b-${n}@bounces.example`))
    assert.match(await client.command(report), /^250/)
    const told = host.events.filter(({ kind }) => kind === 'out-of-band-bounce')
    assert.equal(told.length, 100)
    assert.equal(host.enqueued.length, 300)
  })
})
