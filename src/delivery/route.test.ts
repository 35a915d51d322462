import assert from 'node:assert/strict'
import { test } from 'node:test'
import { maildirSettings, pipeSettings, settingsFor, webhookSettings } from '../../test/support/messages.ts'
import { loadSettingsFromText } from '../config/load.ts'
import { EndRecipients } from './end-recipients.ts'
import { parseHop, Router } from './route.ts'

const bob = { local: 'bob', domain: 'example.com' }

function hostsOf(routes: readonly string[], random = () => 0): string[] {
  const route = new Router(settingsFor({ routes }), random).route(bob)
  assert.equal(route.kind, 'smtp')
  return route.hosts.map(({ host, port }) => `${host}:${port}`)
}

test('a gateway may be written as a host or an address, with or without a port', () => {
  const cases: readonly (readonly [string, string, number])[] = [
    ['relay.test', 'relay.test', 25],
    ['relay.test.', 'relay.test.', 25],
    ['relay_1.test:2525', 'relay_1.test', 2525],
    ['192.0.2.1', '192.0.2.1', 25],
    ['192.0.2.1:26', '192.0.2.1', 26],
    ['[192.0.2.1]:26', '192.0.2.1', 26],
    ['2001:db8::1', '2001:db8::1', 25],
    ['[2001:db8::1]', '2001:db8::1', 25],
    ['[2001:db8::1]:587', '2001:db8::1', 587],
    ['[IPv6:2001:db8::1]:587', '2001:db8::1', 587],
  ]
  for (const [text, host, port] of cases) assert.deepEqual(parseHop(text, 25), { host, port }, text)
  const wrong = [
    '',
    ':25',
    'a b',
    'relay.test:0',
    'relay.test:65536',
    'relay.test:x',
    '[relay.test]:25',
    '[::1',
    'a:1:2',
    '-a',
    'x/y',
    '__mx__:',
  ]
  for (const text of wrong) assert.equal(parseHop(text, 25), undefined, text)
})

test('a domain of a maildir goes there, in any case, even where a Gateway is set', () => {
  const maildir = maildirSettings('/mail')
  const router = new Router(settingsFor({ gateway: 'relay.test' }, [maildir]))
  const route = router.route({ local: 'Bob', domain: 'example.com' })
  assert.deepEqual(route, { kind: 'maildir', place: { maildir, elements: ['bob'], create: false } })
  assert.equal(router.route({ local: 'bob', domain: 'sub.example.com' }).kind, 'smtp')
})

test('the Domain stanza that names the Gateway supplies the port', () => {
  const router = new Router(
    settingsFor((domain) =>
      domain === 'example.com' ? { gateway: 'relay.test', remote_smtp_port: 2525 } : {},
    ),
  )
  assert.deepEqual(router.route(bob), { kind: 'smtp', hosts: [{ host: 'relay.test', port: 2525 }] })
  assert.deepEqual(router.route({ local: 'bob', domain: 'relay.test' }), {
    kind: 'smtp',
    hosts: [{ host: 'relay.test', port: 25, mx: true }],
  })
})

test('routes are tried in the order of the list, or by pref; equal preferences by lot', () => {
  assert.deepEqual(hostsOf(['b.test', '192.0.2.1', '[2001:db8::1]:26']), [
    'b.test:25',
    '192.0.2.1:25',
    '2001:db8::1:26',
  ])
  assert.deepEqual(
    hostsOf([
      'smtp://late.test?pref=20&ttl=60',
      'smtp://early.test?pref=10&port=2525&type=a',
      'SMTP://[2001:db8::2]/?pref=15',
    ]),
    ['early.test:2525', '2001:db8::2:25', 'late.test:25'],
  )
  const lots = [0.9, 0.1]
  assert.deepEqual(
    hostsOf(['smtp://a.test?pref=10', 'smtp://b.test?pref=10'], () => lots.shift() ?? 0),
    ['b.test:25', 'a.test:25'],
  )
})

test('a domain goes by its MX records, an address literal to that address', () => {
  const mx = { host: 'example.com', port: 2525, mx: true }
  const router = new Router(settingsFor({ remote_smtp_port: 2525 }))
  assert.deepEqual(router.route(bob), { kind: 'smtp', hosts: [mx] })
  const literal = (domain: string) => router.route({ local: 'bob', domain })
  assert.deepEqual(literal('[192.0.2.1]'), { kind: 'smtp', hosts: [{ host: '192.0.2.1', port: 2525 }] })
  assert.deepEqual(literal('[ipv6:2001:db8::1]'), {
    kind: 'smtp',
    hosts: [{ host: '2001:db8::1', port: 2525 }],
  })
  assert.equal(literal('').kind, 'none')
})

test('a route may be the MX hosts of the domain, or of another one', () => {
  const routes = ['a.test', '__MX__', 'smtp://m.test?type=mx&ttl=60&port=26', 'smtp://192.0.2.1?type=mx']
  const route = new Router(settingsFor({ routes })).route(bob)
  assert.deepEqual(route, {
    kind: 'smtp',
    hosts: [
      { host: 'a.test', port: 25 },
      { host: 'example.com', port: 25, mx: true },
      { host: 'm.test', port: 26, mx: true, maxAge: 60 },
      { host: '192.0.2.1', port: 25 },
    ],
  })
})

test('a route that makes no sense is named', () => {
  for (const text of ['smtp://a.test?port=99999', 'smtp://a.test?pref=x', 'http://a.test', 'smtp://']) {
    const route = new Router(settingsFor({ routes: [text] })).route(bob)
    assert.equal(route.kind, 'none', text)
    assert.match(route.problem, /is not a host, address or smtp:\/\/ URL/)
  }
  assert.equal(new Router(settingsFor({ gateway: 'a b' })).route(bob).kind, 'none')
})

test('a domain of a program or a webhook goes there, one message at a time, and so do no others', () => {
  const pipe = pipeSettings('/bin/x', { domain: ['pipe.example'], max_concurrent: 3 })
  const webhook = webhookSettings('http://127.0.0.1/', { domains: ['app.example'] })
  const router = new Router({ ...settingsFor({ gateway: 'relay.test' }), pipes: [pipe], webhooks: [webhook] })
  assert.deepEqual(router.route({ local: 'x', domain: 'PIPE.example' }), { kind: 'pipe', pipe })
  assert.deepEqual(router.route({ local: 'x', domain: 'app.example' }), { kind: 'webhook', webhook })
  assert.equal(router.route({ local: 'x', domain: 'sub.app.example' }).kind, 'smtp')
  const egress = { bindingGroup: 'default', binding: 'default' }
  const limits = (domain: string): readonly number[] => {
    const { max_recipients_per_batch, max_outbound_connections } = router.scope(domain, egress).options
    return [max_recipients_per_batch, max_outbound_connections]
  }
  assert.deepEqual(limits('pipe.example'), [1, 3])
  assert.deepEqual(limits('app.example'), [1, 10])
  assert.deepEqual(limits('other.example'), [100, 32])
})

test('a UNIX socket has no port, whatever is said about ports', () => {
  const socket = { kind: 'smtp', hosts: [{ host: '/run/lmtp', port: 0 }] }
  for (const options of [
    { gateway: 'unix:/run/lmtp' },
    { routes: ['unix:/run/lmtp'] },
    { gateway: 'unix:/run/lmtp', delivery_method: 'LMTP' as const, lmtp_port: 24 },
  ])
    assert.deepEqual(new Router(settingsFor(options)).route(bob), socket)
})

test('LMTP_Port is for LMTP, Remote_SMTP_Port for the others', () => {
  for (const [delivery_method, port] of [
    ['LMTP', 2003],
    ['ESMTP', 25],
    ['SMTP', 25],
  ] as const) {
    const route = new Router(settingsFor({ gateway: 'store.test', delivery_method })).route(bob)
    assert.deepEqual(route, { kind: 'smtp', hosts: [{ host: 'store.test', port }] })
  }
})

test('RCPT knows whose mail ends here, and whom a program cannot be told of', () => {
  const parts = [{ macro: 'recipient_local' as const }]
  const pipes = [
    pipeSettings('/x', { domain: ['named.example'], arguments: [{ text: '', parts }] }),
    pipeSettings('/x', { domain: ['all.example'] }),
  ]
  const webhooks = [webhookSettings('http://127.0.0.1/', { domains: ['app.example'] })]
  const recipients = new EndRecipients({ maildirs: [], pipes, webhooks })
  const lookup = (local: string, domain: string): string => recipients.lookup({ local, domain })
  assert.equal(lookup('bob', 'named.example'), 'local')
  assert.equal(lookup('-rf', 'named.example'), 'unknown')
  assert.equal(lookup('-rf', 'all.example'), 'local')
  assert.equal(lookup("o'brien", 'app.example'), 'local')
  assert.equal(lookup('bob', 'elsewhere.example'), 'elsewhere')
})

test('a domain that the global scope relays for is known as such, under its own name and in Routes', async () => {
  const text = `Relay_Domains = ( "*.relayed.test" ) Bounce_Domains = ( "back.test" )
    Domain "a.relayed.test" { Routes = ( "__mx__" ) }
    Pathway "p" { Relay_Domains = ( "path.test" ) } ESMTP_Listener { Listen ":25" { } }`
  const { settings } = await loadSettingsFromText(text, '/gate.conf')
  assert.ok(settings !== undefined)
  const router = new Router(settings)
  const isRelayed = (domain: string): boolean => {
    const route = router.route({ local: 'bob', domain })
    assert.equal(route.kind, 'smtp')
    return route.hosts.some(({ relayed }) => relayed === true)
  }
  for (const domain of ['a.relayed.test', 'b.relayed.test', 'back.test'])
    assert.equal(isRelayed(domain), true, domain)
  for (const domain of ['path.test', 'relayed.example', '[192.0.2.1]'])
    assert.equal(isRelayed(domain), false, domain)
})
