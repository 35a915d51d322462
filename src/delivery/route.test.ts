import assert from 'node:assert/strict'
import { test } from 'node:test'
import { maildirSettings, settingsFor } from '../../test/support/messages.ts'
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
