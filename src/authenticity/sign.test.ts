import assert from 'node:assert/strict'
import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { test } from 'node:test'
import { authenticate } from 'mailauth'
import { authorDomain, BodyHashes, dkimSignature, type SigningKey } from './sign.ts'

const NOW = 1_800_000_000_000

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
/** RFC 8463 §A.2 */
const ed25519 = createPrivateKey({
  key: Buffer.concat([
    Buffer.from('302e020100300506032b657004220420', 'hex'),
    Buffer.from('nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=', 'base64'),
  ]),
  format: 'der',
  type: 'pkcs8',
})

const RECORDS: Readonly<Record<string, string>> = {
  'test._domainkey.football.example.com': `v=DKIM1; k=rsa; p=${rsa.publicKey.export({ format: 'der', type: 'spki' }).toString('base64')}`,
  'brisbane._domainkey.football.example.com':
    'v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=',
}

/** RFC 8463 §A.3 */
const HEADER = [
  'From: Joe SixPack <joe@football.example.com>',
  'To: Suzie Q <suzie@shopping.example.net>',
  'Subject: Is dinner  ready?',
  'Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)',
  'Message-ID: <20030712040037.46341.5F8J@football.example.com>',
  '',
].join('\r\n')
const BODY = 'Hi.\r\n\r\nWe lost the game.  Are you hungry yet?\r\n\r\nJoe.\r\n'

async function* once(text: string): AsyncIterable<Uint8Array> {
  yield Buffer.from(text, 'latin1')
  await Promise.resolve()
}

function keyOf(key: KeyObject, selector: string, changes: Partial<SigningKey> = {}): SigningKey {
  return {
    domain: 'football.example.com',
    selector,
    key,
    headerCanon: 'relaxed',
    bodyCanon: 'relaxed',
    headers: ['from', 'to', 'subject', 'date', 'message-id', 'reply-to'],
    oversigned: ['from', 'subject', 'cc'],
    lifetime: 0,
    ...changes,
  }
}

async function signed(key: SigningKey, header = HEADER, body = BODY): Promise<string> {
  const bodies = new BodyHashes(() => once(body))
  return `${(await dkimSignature(header, bodies, key, NOW)) ?? ''}${header}`
}

/** What mailauth's verifier says of each signature. */
async function verdicts(message: string): Promise<string[]> {
  const { dkim } = await authenticate(Buffer.from(message, 'latin1'), {
    ip: '192.0.2.1',
    helo: 'mx.example.com',
    sender: 'joe@football.example.com',
    resolver: async (name: string) => {
      await Promise.resolve()
      const record = RECORDS[name]
      if (record === undefined) throw Object.assign(new Error('no name'), { code: 'ENOTFOUND' })
      return [[record]]
    },
    disableArc: true,
    disableBimi: true,
    disableDmarc: true,
    strict: true,
  })
  return dkim.results.map(({ status }) => `${status.result} ${status.comment ?? ''}`.trim())
}

for (const headerCanon of ['simple', 'relaxed'] as const) {
  for (const bodyCanon of ['simple', 'relaxed'] as const) {
    test(`RSA and Ed25519 signatures, ${headerCanon}/${bodyCanon}, pass another's verifier`, async () => {
      const once = await signed(keyOf(rsa.privateKey, 'test', { headerCanon, bodyCanon }))
      const twice = await signed(keyOf(ed25519, 'brisbane', { headerCanon, bodyCanon }), once)
      assert.deepEqual(await verdicts(`${twice}\r\n${BODY}`), ['pass', 'pass'])
    })
  }
}

test('what is signed cannot be changed, and what is oversigned cannot be added', async () => {
  const message = await signed(keyOf(rsa.privateKey, 'test'))
  assert.deepEqual(await verdicts(`${message}\r\n${BODY}And more.\r\n`), ['fail body hash did not verify'])
  const changed = message.replace('Suzie Q', 'Suzie R')
  assert.deepEqual(await verdicts(`${changed}\r\n${BODY}`), ['fail bad signature'])
  for (const added of ['Subject: Buy', 'From: boss@football.example.com', 'Cc: all@example.com']) {
    for (const text of [`${added}\r\n${message}`, `${message}${added}\r\n`]) {
      assert.deepEqual(await verdicts(`${text}\r\n${BODY}`), ['fail bad signature'], added)
    }
  }
  // a field that nothing was said of
  assert.deepEqual(await verdicts(`X-Trace: 1\r\n${message}\r\n${BODY}`), ['pass'])
})

function refolded(message: string): string {
  return message.replace('Subject: Is dinner  ready?', 'SUBJECT:\r\n Is\tdinner ready? ')
}

test('a relaxed signature outlives folding and blanks, a simple one does not', async () => {
  const relaxed = await signed(keyOf(rsa.privateKey, 'test'))
  assert.deepEqual(await verdicts(`${refolded(relaxed)}\r\n${BODY}`), ['pass'])
  const simple = await signed(keyOf(rsa.privateKey, 'test', { headerCanon: 'simple' }))
  assert.deepEqual(await verdicts(`${refolded(simple)}\r\n${BODY}`), ['fail bad signature'])
})

test('a signature has no l=, an end only where it is asked for, and lines that fit', async () => {
  const plain = await dkimSignature(
    HEADER,
    new BodyHashes(() => once(BODY)),
    keyOf(rsa.privateKey, 'test'),
    NOW,
  )
  assert.doesNotMatch(plain ?? '', /[\s;][lx]=/)
  assert.match(plain ?? '', /t=1800000000;/)
  assert.match(plain ?? '', /h=from:from:to:subject:subject:date:message-id:cc;/)
  for (const line of (plain ?? '').split('\r\n')) assert.ok(line.length <= 78, line)
  const ending = await signed(keyOf(rsa.privateKey, 'test', { lifetime: 3600 }))
  assert.match(ending, /x=1800003600;/)
})

test('an empty body, and a header that ends with its empty line, are signed as verifiers read them', async () => {
  const message = await signed(keyOf(ed25519, 'brisbane'), `${HEADER}\r\n`, '')
  assert.deepEqual(await verdicts(message), ['pass'])
})

test('who wrote a message is told for one address in one From field alone', () => {
  assert.equal(authorDomain('From: A <a@Example.COM>\r\n'), 'example.com')
  assert.equal(authorDomain('From: "b@evil.example" <a@example.com>\r\n'), 'example.com')
  assert.equal(authorDomain('From: a@example.com, b@example.org\r\n'), undefined)
  assert.equal(authorDomain('From: a@example.com\r\nfrom : b@example.org\r\n'), undefined)
  assert.equal(authorDomain('From: nobody\r\n'), undefined)
  assert.equal(authorDomain('From: <a@example.com> <b@example.org>\r\n'), undefined)
  assert.equal(authorDomain('From: a@b\xc3\x9cCHER.example\r\n'), 'xn--bcher-kva.example')
  assert.equal(authorDomain('Subject: x\r\n'), undefined)
})

test('a header that repeats a signed field without end is not signed', async () => {
  const header = `${HEADER}${'To: x@example.com\r\n'.repeat(300)}`
  assert.equal(
    await dkimSignature(header, new BodyHashes(() => once(BODY)), keyOf(ed25519, 'brisbane'), NOW),
    undefined,
  )
})
