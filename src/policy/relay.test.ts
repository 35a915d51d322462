import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseCidr } from '../config/address.ts'
import type { InboundScope, InboundValues } from '../config/settings.ts'
import type { Mailbox } from '../mail/envelope.ts'
import type { CertificateFacts, Peer } from '../tls/peer.ts'
import { judgePeer } from '../tls/peer.ts'
import { decideRelay, type LocalRecipients, type RelayDecision, type RelayQuestion } from './relay.ts'

const local: LocalRecipients = {
  lookup: ({ local: name, domain }) => {
    if (domain === 'here.example') return name === 'bob' ? 'local' : 'unknown'
    return domain === '' && name === 'postmaster' ? 'local' : 'elsewhere'
  },
}
const nowhere: LocalRecipients = { lookup: () => 'elsewhere' }

type Grants = Partial<
  Pick<
    InboundValues,
    | 'open_relay'
    | 'relay_hosts'
    | 'relay_domains'
    | 'bounce_domains'
    | 'relay_for_sending_domains'
    | 'tls_verified_peer_can_relay'
  >
>

function scope(grants: Grants): InboundScope {
  const options = {
    open_relay: false,
    relay_hosts: [],
    relay_domains: [],
    bounce_domains: [],
    relay_for_sending_domains: undefined,
    tls_verified_peer_can_relay: false,
    ...grants,
  } as unknown as InboundValues
  return { id: 'test', options, pathway: 'default', pathwayGroup: 'default', origin: () => 'default' }
}

const certificate = { notBefore: 0, notAfter: 1000 } as CertificateFacts
const leaf = { facts: certificate, malformed: false }
type Evidence = Parameters<typeof judgePeer>[0]
const verified: Peer = judgePeer({
  mode: 'require',
  leaf,
  failure: undefined,
  now: 500,
} as unknown as Evidence)
const unverified: Peer = judgePeer({
  mode: 'require',
  leaf,
  failure: undefined,
  now: 2000,
} as unknown as Evidence)
const peers: readonly Peer[] = [{ kind: 'plaintext' }, { kind: 'anonymous' }, unverified, verified]

const mailbox = (text: string): Mailbox => ({
  local: text.split('@')[0] ?? '',
  domain: text.split('@')[1] ?? '',
})
const cidr = (text: string) => parseCidr(text) ?? assert.fail(text)

function ask(grants: Grants, question: Partial<Omit<RelayQuestion, 'scope'>> = {}): RelayDecision {
  return decideRelay({
    peer: { kind: 'plaintext' },
    scope: scope(grants),
    clientAddress: '192.0.2.1',
    canRelay: false,
    sender: mailbox('alice@from.example'),
    recipient: mailbox('carol@away.example'),
    local,
    ...question,
  })
}

test('the fixture has a verified and an unverified peer', () => {
  assert.equal(verified.kind, 'verified')
  assert.equal(unverified.kind, 'unverified')
})

test('nothing relays by default, whoever the peer is', () => {
  for (const peer of peers) assert.equal(ask({}, { peer }), 'denied', peer.kind)
})

test('mail that ends here is taken from everybody, an unknown mailbox from nobody', () => {
  const generous: Grants = {
    open_relay: true,
    relay_domains: ['*'],
    relay_for_sending_domains: [],
    tls_verified_peer_can_relay: true,
  }
  for (const grants of [{}, generous]) {
    for (const peer of peers) {
      for (const canRelay of [false, true]) {
        assert.equal(ask(grants, { peer, canRelay, recipient: mailbox('bob@here.example') }), 'local')
        assert.equal(
          ask(grants, { peer, canRelay, recipient: mailbox('eve@here.example') }),
          'unknown-mailbox',
        )
      }
    }
  }
})

test('a certificate grants relaying when it verifies and the scope says so, and in no other case', () => {
  for (const peer of peers) {
    for (const allowed of [false, true]) {
      const expected = allowed && peer.kind === 'verified' ? 'relay' : 'denied'
      assert.equal(
        ask({ tls_verified_peer_can_relay: allowed }, { peer }),
        expected,
        `${peer.kind} ${allowed}`,
      )
    }
  }
})

test('relay_hosts grants by address, and a UNIX client is loopback', () => {
  const grants: Grants = { relay_hosts: [cidr('192.0.2.0/24'), cidr('2001:db8::/32')] }
  assert.equal(ask(grants, { clientAddress: '192.0.2.200' }), 'relay')
  assert.equal(ask(grants, { clientAddress: '192.0.3.1' }), 'denied')
  assert.equal(ask(grants, { clientAddress: '2001:db8::5' }), 'relay')
  assert.equal(ask(grants, { clientAddress: '' }), 'denied')
  assert.equal(ask({ relay_hosts: [cidr('127.0.0.0/8')] }, { clientAddress: '' }), 'relay')
  assert.equal(ask({ relay_hosts: [cidr('0.0.0.0/0')] }, { clientAddress: 'not an address' }), 'denied')
})

test('relay_domains grants by the recipient alone', () => {
  assert.equal(ask({ relay_domains: ['away.example'] }), 'relay')
  assert.equal(
    ask({ relay_domains: ['away.example'] }, { recipient: mailbox('carol@sub.away.example') }),
    'denied',
  )
  assert.equal(
    ask({ relay_domains: ['*.away.example'] }, { recipient: mailbox('carol@sub.away.example') }),
    'relay',
  )
  assert.equal(ask({ relay_domains: ['from.example'] }), 'denied')
})

test('bounce_domains grants as far as the pattern fits the whole address', () => {
  const recipient = mailbox('b-12@bounces.example')
  const options = { bounce_domains: ['*bounces.example'] }
  assert.equal(ask(options, { recipient }), 'relay')
  assert.equal(ask(options, { recipient, bouncePattern: '^b-[0-9]+@' }), 'relay')
  assert.equal(ask(options, { recipient, bouncePattern: '^c-' }), 'denied')
  assert.equal(ask(options, { recipient: mailbox('b-12@away.example') }), 'denied')
})

test('relay_for_sending_domains grants by the sender; an empty list is any sender, a list never the null sender', () => {
  assert.equal(ask({ relay_for_sending_domains: ['from.example'] }), 'relay')
  assert.equal(ask({ relay_for_sending_domains: ['other.example'] }), 'denied')
  assert.equal(ask({ relay_for_sending_domains: [] }), 'relay')
  assert.equal(ask({ relay_for_sending_domains: [] }, { sender: undefined }), 'relay')
  assert.equal(ask({ relay_for_sending_domains: ['*'] }), 'relay')
  assert.equal(ask({ relay_for_sending_domains: ['*'] }, { sender: undefined }), 'denied')
  assert.equal(ask({ relay_for_sending_domains: ['*'] }, { sender: mailbox('alice') }), 'denied')
})

test('open_relay and the session’s own grant relay', () => {
  assert.equal(ask({ open_relay: true }), 'relay')
  assert.equal(ask({}, { canRelay: true }), 'relay')
})

test('a recipient without a domain is never relayed', () => {
  const recipient = mailbox('postmaster')
  assert.equal(ask({}, { recipient }), 'local')
  assert.equal(
    ask({ open_relay: true, relay_domains: ['*'] }, { recipient, canRelay: true, local: nowhere }),
    'unknown-mailbox',
  )
})
