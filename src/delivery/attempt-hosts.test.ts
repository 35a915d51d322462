/** Which hosts an attempt goes to, and for how long it looks for one that answers. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { noMx } from '../../test/support/no-mx.ts'
import { SmtpSink } from '../../test/support/smtp-sink.ts'
import { StaticResolver } from '../../test/support/static-resolver.ts'
import { parseCidr } from '../config/address.ts'
import { LookupError } from '../dns/resolver.ts'
import { attempt, closedPort, resolver } from './attempt.fixture.ts'
import { SmtpTransport } from './attempt.ts'
import type { MxHosts } from './mx.ts'
import type { NextHop } from './route.ts'

test('addresses and hosts are tried in order until one is there', async () => {
  const sink = await SmtpSink.start()
  const byName = await attempt({ hosts: [{ host: 'two.test', port: sink.port }] })
  assert.deepEqual([byName.kind, byName.remote], ['delivered', '127.0.0.1'])
  const dead = { host: '127.0.0.1', port: await closedPort() }
  const missing = { host: 'missing.test', port: 25 }
  const byHost = await attempt({ hosts: [missing, dead, { host: 'sink.test', port: sink.port }] })
  assert.equal(byHost.kind, 'delivered')
  assert.equal(sink.received.length, 2)
  await sink.close()
})

test('a host that greets with an error is passed over; from MAIL FROM on its answer stands', async () => {
  const good = await SmtpSink.start()
  for (const script of [{ banner: '554 5.3.2 busy' }, { banner: 'drop' }, { ehlo: '421 4.3.2 busy' }]) {
    const busy = await SmtpSink.start(script)
    const result = await attempt({ hosts: [busy, good].map(({ port }) => ({ host: '127.0.0.1', port })) })
    assert.equal(result.kind, 'delivered')
    await busy.close()
  }
  const strict = await SmtpSink.start({ rcpt: '550 5.1.1 no' })
  const refused = await attempt({ hosts: [strict, good].map(({ port }) => ({ host: '127.0.0.1', port })) })
  assert.equal(refused.text, '550 5.1.1 no')
  assert.equal(good.received.length, 3)
  await Promise.all([good.close(), strict.close()])
})

test('without a host that can be reached the failure says why, and no octet was sent', async () => {
  const dead = await attempt({ hosts: [{ host: '127.0.0.1', port: await closedPort() }] })
  assert.deepEqual(dead, {
    kind: 'transient',
    stage: 0,
    text: '451 4.4.1 [internal] Connection refused',
    bytes: 0,
    remote: '127.0.0.1',
  })
  const missing = await attempt({ hosts: [{ host: 'missing.test', port: 25 }] })
  assert.deepEqual(
    [missing.kind, missing.stage, missing.text],
    ['transient', 0, '451 4.4.1 [internal] No valid hosts'],
  )
  const slow = new StaticResolver({ 'slow.test': new LookupError('temporary', 'slow.test') })
  const unanswered = await attempt({ hosts: [{ host: 'slow.test', port: 25 }], resolver: slow })
  assert.match(unanswered.text, /^451 4\.4\.3 \[internal\]/)
})

const networks = (...texts: string[]) => texts.flatMap((text) => parseCidr(text) ?? [])
const found = (...hosts: readonly { readonly address: string; readonly port: number }[]) => ({
  find: async () =>
    await Promise.resolve({
      kind: 'hosts' as const,
      hosts: hosts.map((host) => ({ name: 'h.test', ...host })),
    }),
})
const byMx: readonly NextHop[] = [{ host: 'example.com', port: 25, mx: true }]

test('a domain is reached at the hosts that its MX records give, in their order', async () => {
  const port = await closedPort()
  const sink = await SmtpSink.start()
  const mx = found({ address: '127.0.0.1', port }, { address: '127.0.0.1', port: sink.port })
  assert.equal((await attempt({ hosts: byMx, mx })).kind, 'delivered')
  await sink.close()
})

test('hosts that are handed over in steps are all tried, and the options say which steps there are', async () => {
  const port = await closedPort()
  const sink = await SmtpSink.start()
  const asked: string[] = []
  const mx: Pick<MxHosts, 'find'> = {
    find: async ({ bestOnly, stepwise }) => {
      asked.push([bestOnly && 'best', stepwise && 'steps'].filter((word) => word !== false).join(' '))
      const first = await found({ address: '127.0.0.1', port }).find()
      return { ...first, others: found({ address: '127.0.0.1', port: sink.port }).find }
    },
  }
  const stepwise = { fully_resolve_before_smtp: false }
  const relayed = byMx.map((hop): NextHop => ({ ...hop, relayed: true }))
  assert.equal((await attempt({ hosts: byMx, mx, options: stepwise })).kind, 'delivered')
  assert.equal((await attempt({ hosts: byMx, mx })).kind, 'delivered')
  // a domain that is relayed for goes by hosts that are all looked up, those of the best preference alone
  await attempt({ hosts: relayed, mx, options: stepwise })
  await attempt({ hosts: relayed, mx, options: { only_use_best_mx_for_relay_domains: false } })
  assert.deepEqual(asked, ['steps', '', 'best', ''])
  await sink.close()
})

test('what the look-up says about a domain is the outcome where there is no host', async () => {
  for (const kind of ['transient', 'permanent'] as const) {
    const mx = { find: async () => await Promise.resolve({ kind, text: `${kind} text` }) }
    const result = await attempt({ hosts: byMx, mx })
    assert.deepEqual(result, { kind, stage: 0, text: `${kind} text`, bytes: 0, remote: '' })
  }
})

test('prohibited hosts fail the mail before anything is sent, in whatever way they are written', async () => {
  const sink = await SmtpSink.start()
  const options = { prohibited_hosts: networks('127.0.0.0/8', '::1') }
  for (const address of ['127.0.0.1', '::ffff:127.0.0.1', '::1']) {
    const mx = found({ address: '192.0.2.1', port: 1 }, { address, port: sink.port })
    const result = await attempt({ hosts: byMx, mx, options })
    assert.equal(result.kind, 'permanent')
    assert.equal(result.text, '551 5.4.6 [internal] Private/Loopback Address')
  }
  const literal = await attempt({ hosts: [{ host: '127.0.0.1', port: sink.port }], options })
  assert.equal(literal.kind, 'permanent')
  assert.equal(sink.connections, 0)
  await sink.close()
})

test('hosts to skip are passed over for the others', async () => {
  const sink = await SmtpSink.start()
  const options = { skip_hosts: networks('127.0.0.2') }
  const mx = found({ address: '127.0.0.2', port: sink.port }, { address: '127.0.0.1', port: sink.port })
  const result = await attempt({ hosts: byMx, mx, options })
  assert.equal(result.remote, '127.0.0.1')
  const none = await attempt({ hosts: byMx, mx: found({ address: '127.0.0.2', port: sink.port }), options })
  assert.equal(none.text, '451 4.4.1 [internal] No valid hosts')
  await sink.close()
})

test('a host that cannot be connected to is left alone for a while, never longer than Retry_Interval', async () => {
  let now = 1_700_000_000_000
  const port = await closedPort()
  const transport = new SmtpTransport({
    resolver,
    mx: found({ address: '127.0.0.1', port }),
    hostname: 'mx.test',
    clock: () => now,
  })
  const options = { host_failure_retry: 120, retry_interval: 30 }
  const texts: string[] = []
  for (const wait of [0, 29_999, 1]) {
    now += wait
    texts.push((await attempt({ hosts: byMx, transport, options })).text)
  }
  assert.deepEqual(texts, [
    '451 4.4.1 [internal] Connection refused',
    '421 4.4.0 [internal] no MXs for this domain could be reached at this time',
    '451 4.4.1 [internal] Connection refused',
  ])
})

test('a session that breaks does not make a host one that is down', async () => {
  const sink = await SmtpSink.start((connection) => (connection === 0 ? { banner: 'drop' } : {}))
  const transport = new SmtpTransport({ resolver, mx: noMx, hostname: 'mx.test' })
  const hosts = [{ host: '127.0.0.1', port: sink.port }]
  assert.equal((await attempt({ hosts, transport })).kind, 'transient')
  assert.equal((await attempt({ hosts, transport })).kind, 'delivered')
  await sink.close()
})

test('an attempt looks for a host that answers no longer than Connect_Timeout_To_Delay', async () => {
  const sink = await SmtpSink.start()
  const hosts = [await closedPort(), sink.port].map((port) => ({ host: '127.0.0.1', port }))
  let now = 1_700_000_000_000
  const transport = new SmtpTransport({ resolver, mx: noMx, hostname: 'mx.test', clock: () => (now += 6000) })
  const late = await attempt({ hosts, transport, options: { connect_timeout_to_delay: 10 } })
  assert.deepEqual([late.kind, late.text], ['transient', '451 4.4.1 [internal] Connection refused'])
  assert.equal(sink.connections, 0)
  const patient = await attempt({ hosts, transport, options: { connect_timeout_to_delay: 0 } })
  assert.equal(patient.kind, 'delivered')
  transport.close()
  await sink.close()
})
