/** Each mechanism by itself, against the examples of its RFC and against clients that do not follow it. */

import assert from 'node:assert/strict'
import { createHash, createHmac } from 'node:crypto'
import { describe, test } from 'node:test'
import * as fc from 'fast-check'
import { anyText, holds } from '../../../test/support/properties.ts'
import { ownTime } from '../../../test/support/time.ts'
import type { Peer, VerifiedPeer } from '../../tls/peer.ts'
import { cramMd5 } from './cram-md5.ts'
import { parseDirectives } from './digest-directives.ts'
import { digestMd5, digestResponse } from './digest-md5.ts'
import { external } from './external.ts'
import { parseDigestList } from './htdigest-store.ts'
import { Identities } from './identities.ts'
import { type Grounds, MalformedResponse, type Step } from './mechanism.ts'
import { plain } from './plain.ts'
import type { CredentialStore } from './store.ts'
import { userDigest } from './user-digest.ts'

function storeOf(users: Readonly<Record<string, string>>): CredentialStore {
  const find = (user: string): string | undefined => (Object.hasOwn(users, user) ? users[user] : undefined)
  return {
    verify: async ({ user, password }) => find(user) === password,
    password: async (user) => find(user),
    digest: async (user, realm) => {
      const password = find(user)
      return password === undefined ? undefined : userDigest(user, realm, password)
    },
  }
}

function grounds(given: Partial<Grounds> & { users?: Readonly<Record<string, string>> } = {}): Grounds {
  return {
    store: storeOf(given.users ?? { ann: 'secret' }),
    identities: async () => undefined,
    parameters: {},
    hostname: 'gate.example',
    peer: { kind: 'anonymous' },
    client: '192.0.2.1',
    ...given,
  }
}

const PASS = (user: string): Step => ({ kind: 'outcome', status: 'pass', user })
const FAIL = (user: string): Step => ({ kind: 'outcome', status: 'fail', user })

const one = (message: string): Promise<Step> => Promise.resolve(plain(grounds()).start(message))
const bytes = (text: string): string => Buffer.from(text, 'utf8').toString('latin1')
const bare = (text: string | undefined): string | undefined => text?.replaceAll('"', '')

describe('PLAIN (RFC 4616)', () => {
  test('takes three parts, and acts for nobody else', async () => {
    assert.deepEqual(await one('\0ann\0secret'), PASS('ann'))
    assert.deepEqual(await one('ann\0ann\0secret'), PASS('ann'))
    for (const wrong of ['root\0ann\0secret', '\0ann\0', '\0ann\0Secret', '\0ANN\0secret']) {
      assert.equal(((await one(wrong)) as { status?: string }).status, 'fail', wrong)
    }
    for (const odd of ['', 'ann', 'ann\0secret', '\0ann\0secret\0']) {
      await assert.rejects(one(odd), MalformedResponse, odd)
    }
  })
})

describe('CRAM-MD5 (RFC 2195)', () => {
  const challengeText = '<1896.697170952@postoffice.reston.mci.net>'
  const users = { tim: 'tanstaaftanstaaf' }
  const answer = (response: string): Promise<Step> =>
    Promise.resolve(cramMd5(grounds({ users }), challengeText).next(response))

  test('the example of section 2', async () => {
    assert.deepEqual(await answer('tim b913a602c7eda7a495b4e6e7334d3890'), PASS('tim'))
  })
  test('anything else fails, and what is no answer is malformed', async () => {
    assert.deepEqual(await answer('tim b913a602c7eda7a495b4e6e7334d3891'), FAIL('tim'))
    assert.deepEqual(await answer('tom b913a602c7eda7a495b4e6e7334d3890'), FAIL('tom'))
    for (const odd of [
      '',
      'tim',
      'tim B913A602C7EDA7A495B4E6E7334D3890',
      'tim b913a602c7eda7a495b4e6e7334d389',
    ]) {
      await assert.rejects(answer(odd), MalformedResponse, odd)
    }
  })
  test('a name may hold blanks', async () => {
    const spaced = cramMd5(grounds({ users: { 'ann lee': 'x' } }), 'c')
    const hash = createHmac('md5', 'x').update('c').digest('hex')
    assert.deepEqual(await spaced.next(`ann lee ${hash}`), PASS('ann lee'))
  })
  test('every exchange has its own challenge', () => {
    const texts = Array.from({ length: 50 }, () => JSON.stringify(cramMd5(grounds()).start(undefined)))
    assert.equal(new Set(texts).size, 50)
    assert.match(texts[0] ?? '', /"<[0-9a-f]{32}\.\d+@gate\.example>"/)
  })
})

describe('DIGEST-MD5 (RFC 2831)', () => {
  const nonce = 'OA6MG9tEQGm2hh'
  const fields = {
    charset: 'utf-8',
    username: '"chris"',
    realm: '"elwood.innosoft.com"',
    nonce: `"${nonce}"`,
    nc: '00000001',
    cnonce: '"OA6MHXh6VqTrRk"',
    'digest-uri': '"imap/elwood.innosoft.com"',
    response: 'd388dad90d4bbd760a152321f2143af7',
    qop: 'auth',
  }
  type Fields = { readonly [K in keyof typeof fields]?: string | undefined } & { readonly authzid?: string }
  const write = (changes: Fields = {}): string =>
    Object.entries({ ...fields, ...changes })
      .filter(([, value]) => value !== undefined)
      .map(([key, value]) => `${key}=${value}`)
      .join(',')
  const setUp = (users: Readonly<Record<string, string>> = { chris: 'secret' }) =>
    digestMd5(grounds({ users, hostname: 'elwood.innosoft.com' }), nonce)

  /** The response of a client that knows the secret, for a digest-uri of ours. */
  function respond(
    user: string,
    password: string,
    changes: Fields & { readonly hash?: string } = {},
  ): string {
    const uri = 'smtp/gate.example'
    const secret = changes.hash ?? userDigest(user, 'elwood.innosoft.com', password)
    // computed from what is sent, so that nothing but the rule itself can refuse it
    const response = digestResponse('AUTHENTICATE', secret, {
      nonce: bare(changes.nonce) ?? nonce,
      cnonce: 'c',
      nc: changes.nc ?? '00000001',
      uri: bare(changes['digest-uri']) ?? uri,
      authzid: bare(changes.authzid) ?? '',
    })
    const { hash: _hash, ...rest } = changes
    return write({ username: `"${user}"`, cnonce: '"c"', 'digest-uri': `"${uri}"`, response, ...rest })
  }

  test('the examples of section 4, both proofs of each', () => {
    const secret = userDigest('chris', 'elwood.innosoft.com', 'secret')
    const imap = {
      nonce: 'OA6MG9tEQGm2hh',
      cnonce: 'OA6MHXh6VqTrRk',
      nc: '00000001',
      uri: 'imap/elwood.innosoft.com',
      authzid: '',
    }
    assert.equal(digestResponse('AUTHENTICATE', secret, imap), 'd388dad90d4bbd760a152321f2143af7')
    assert.equal(digestResponse('', secret, imap), 'ea40f60335c427b5527b84dbabcdfffd')
    const acap = {
      ...imap,
      nonce: 'OA9BSXrbuRhWay',
      cnonce: 'OA9BSuZWMSpW8m',
      uri: 'acap/elwood.innosoft.com',
    }
    assert.equal(digestResponse('AUTHENTICATE', secret, acap), '6084c6db3fede7352c551284490fd0fc')
    assert.equal(digestResponse('', secret, acap), '2f0b3d7c3c2e486600ef710726aa2eae')
  })

  test('a proof for another service is none, however right', async () => {
    assert.deepEqual(await setUp().next(write()), FAIL('chris'))
  })

  test('both sides prove themselves; the client acknowledges with nothing', async () => {
    const exchange = setUp()
    assert.deepEqual(exchange.start(undefined), {
      kind: 'challenge',
      data: `realm="elwood.innosoft.com",nonce="${nonce}",qop="auth",charset=utf-8,algorithm=md5-sess`,
    })
    const step = await exchange.next(respond('chris', 'secret'))
    assert.match(step.kind === 'challenge' ? step.data : '', /^rspauth=[0-9a-f]{32}$/)
    assert.deepEqual(await exchange.next(''), PASS('chris'))
    const talkative = setUp()
    await talkative.next(respond('chris', 'secret'))
    await assert.rejects(async () => talkative.next('more'), MalformedResponse)
  })

  test('a wrong password, user, realm, nonce, count, service or authzid fails', async () => {
    const cases: readonly string[] = [
      respond('chris', 'Secret'),
      respond('christa', 'secret'),
      respond('chris', 'secret', { realm: '"other.example"' }),
      respond('chris', 'secret', { realm: undefined }),
      respond('chris', 'secret', { nonce: '"OA6MG9tEQGm2hi"' }),
      respond('chris', 'secret', { nc: '00000002' }),
      respond('chris', 'secret', { 'digest-uri': '"imap/gate.example"' }),
      respond('chris', 'secret', { authzid: '"root"' }),
    ]
    for (const text of cases) {
      const step = await setUp().next(text)
      assert.equal(step.kind === 'outcome' && step.status, 'fail', text)
    }
    const same = await setUp().next(respond('chris', 'secret', { authzid: '"chris"' }))
    assert.equal(same.kind, 'challenge')
  })

  test('a list that is cut, doubled or asks for a layer is malformed', async () => {
    const cases = [
      '',
      'username="chris"',
      write({ qop: 'auth-conf' }),
      write({ charset: 'latin1' }),
      `${write()},username="root"`,
      write({ response: 'd388' }),
      write({ nonce: '"abc' }),
      `${write()},x="${'y'.repeat(5000)}"`,
    ]
    for (const text of cases) await assert.rejects(async () => setUp().next(text), MalformedResponse, text)
  })

  test('names beyond ASCII are hashed as HTTP does: ISO 8859-1 where that is enough', async () => {
    const narrow = createHash('md5')
      .update(Buffer.from('jürgen:elwood.innosoft.com:geheim', 'latin1'))
      .digest('hex')
    const exchange = setUp({ [bytes('jürgen')]: 'geheim' })
    const step = await exchange.next(respond(bytes('jürgen'), 'geheim', { hash: narrow }))
    assert.equal(step.kind, 'challenge')
    assert.equal(userDigest('a', 'b', bytes('€')), createHash('md5').update('a:b:€').digest('hex'))
  })

  test('htdigest lines hold the same secret', () => {
    const list = parseDigestList(
      `chris:elwood.innosoft.com:${userDigest('chris', 'elwood.innosoft.com', 'secret')}\n`,
    )
    assert.equal(
      list.users.get('chris')?.get('elwood.innosoft.com'),
      createHash('md5').update('chris:elwood.innosoft.com:secret').digest('hex'),
    )
  })

  test('quotes and backslashes are read back, whatever is sent is read or refused', () => {
    assert.equal(parseDirectives('a="x\\"y\\\\", b=c ,d=""')?.get('a'), 'x"y\\')
    assert.equal(parseDirectives('a="x\\"y\\\\", b=c ,d=""')?.get('d'), '')
    holds(
      fc.property(anyText({ maxLength: 60 }), (text) => {
        const all = parseDirectives(text)
        assert.ok(all === undefined || [...all.keys()].every((key) => /^[^\s=,"]+$/.test(key)))
      }),
      { numRuns: 1000 },
    )
    for (const text of ['a= '.repeat(1300), `a="${'\\'.repeat(4000)}`, ' ,'.repeat(2000)]) {
      assert.ok(ownTime(() => parseDirectives(text)) < 1000, `${text.slice(0, 10)} takes long`)
    }
  })
})

describe('EXTERNAL (RFC 4422 appendix A)', () => {
  const certificate = {
    subjectCn: 'Ann Lee',
    fingerprint: 'ab'.repeat(32),
    sanEmail: ['Ann@Partner.Example'],
    sanDns: ['mx.partner.example', 'MX2.partner.example'],
  }
  const verified = { kind: 'verified', certificate } as unknown as VerifiedPeer
  async function as(
    identity: string,
    { authzid = '', list, peer = verified }: { authzid?: string; list?: string; peer?: Peer } = {},
  ): Promise<string> {
    const identities = async (): Promise<Identities | undefined> =>
      list === undefined ? undefined : new Identities(list)
    const step = await external(grounds({ peer, parameters: { identity }, identities })).start(authzid)
    assert.ok(step.kind === 'outcome')
    return `${step.status} ${step.user}`
  }

  test('the user is what the certificate says, and an authzid can only repeat it', async () => {
    assert.equal(await as('san_email'), 'pass Ann@partner.example')
    assert.equal(await as('san_email', { authzid: 'Ann@partner.example' }), 'pass Ann@partner.example')
    assert.equal(await as('san_email', { authzid: 'root' }), 'fail root')
    assert.equal(await as('cn'), 'pass Ann Lee')
    assert.equal(await as('fingerprint'), `pass ${'ab'.repeat(32)}`)
  })
  test('a list says who may, and as whom', async () => {
    assert.equal(
      await as('san_email', { list: '# partners\r\nAnn@PARTNER.example\r\n' }),
      'pass Ann@partner.example',
    )
    assert.equal(await as('san_email', { list: 'ann@partner.example\n' }), 'fail ')
    assert.equal(await as('cn', { list: 'ann:Ann Lee\n' }), 'pass ann')
    assert.equal(await as('cn', { list: 'ann:Ann Lee\n', authzid: 'Ann Lee' }), 'fail Ann Lee')
    const printed = Array.from({ length: 32 }, () => 'AB').join(':')
    assert.equal(await as('fingerprint', { list: `ann:${printed}\n` }), 'pass ann')
    assert.equal(await as('cn', { list: '' }), 'fail ')
  })
  test('several names that lead to several users leave the choice to the client', async () => {
    assert.equal(await as('san_dns'), 'fail mx.partner.example')
    assert.equal(await as('san_dns', { authzid: 'mx2.partner.example' }), 'pass mx2.partner.example')
    const list = 'partner:mx.partner.example\npartner:mx2.partner.example\n'
    assert.equal(await as('san_dns', { list }), 'pass partner')
  })
  test('a certificate that does not verify, or has no such name, is nobody', async () => {
    const unverified = { kind: 'unverified', certificate, cause: 'expired', code: '' } as unknown as Peer
    for (const peer of [unverified, { kind: 'anonymous' }, { kind: 'plaintext' }] as const) {
      assert.match(await as('cn', { peer, authzid: 'Ann Lee' }), /^fail/)
    }
    const nameless = { kind: 'verified', certificate: { ...certificate, subjectCn: '', sanEmail: [] } }
    assert.equal(await as('cn', { peer: nameless as unknown as Peer }), 'fail ')
    assert.equal(await as('san_email', { peer: nameless as unknown as Peer }), 'fail ')
  })
  test('a name that was cut for its length is nobody’s', async () => {
    const long = { kind: 'verified', certificate: { ...certificate, subjectCn: 'Ann\\...' } }
    assert.equal(await as('cn', { peer: long as unknown as Peer, list: 'ann:Ann\\...\n' }), 'fail ')
  })
})
