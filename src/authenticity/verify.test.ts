import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { test } from 'node:test'
import { sealMessage } from 'mailauth'
import { dkimSign } from 'mailauth/lib/dkim/sign.js'
import type { Zone } from '../../test/support/dns-server.ts'
import { BODY, FROM, KEY_RECORD, type Lab, pieces, sign, startLab } from './origin.fixture.ts'
import type { MessageOutcome, SpfOutcome } from './outcome.ts'
import { dkimStatements, dmarcStatement } from './outcome.ts'
import { verifyMessage } from './verify.ts'

const KEYS: Zone = { 'TXT s1._domainkey.bank.example': [KEY_RECORD] }
const REJECTS: Zone = { ...KEYS, 'TXT _dmarc.bank.example': ['v=DMARC1; p=reject'] }

interface Given {
  readonly body?: string
  readonly spf?: SpfOutcome
  readonly odd?: Lab['dns']['odd']
  readonly chunks?: () => AsyncIterable<Uint8Array>
}

interface Verified extends MessageOutcome {
  /** the questions that were put to the DNS */
  readonly asked: readonly string[]
}

async function verify(zone: Zone, header: string, given: Given = {}): Promise<Verified> {
  const { body = BODY, spf, odd, chunks } = given
  const lab = await startLab(zone)
  try {
    if (odd !== undefined) lab.dns.odd = odd
    const checks = { dkim: true, dmarc: true, arc: true }
    const question = { header, body: chunks ?? (() => pieces(body)), checks, spf }
    const outcome = await verifyMessage(question, lab.bounds)
    return { ...outcome, asked: lab.dns.asked.map(({ name, type }) => `${type} ${name}`) }
  } finally {
    await lab.close()
  }
}

function spfOf(result: SpfOutcome['result'], domain: string): SpfOutcome {
  return { result, identity: 'mailfrom', domain, helo: { result: 'none', domain: undefined } }
}

test('a signature of the author’s domain passes, and so does DMARC', async () => {
  const { dkim, dmarc, arc } = await verify(REJECTS, await sign())
  assert.equal(dkim?.result, 'pass')
  assert.equal(dkim?.signatures[0]?.domain, 'bank.example')
  assert.deepEqual(dmarc, { result: 'pass', policy: 'reject', domain: 'bank.example' })
  assert.deepEqual(arc, { result: 'none', instance: undefined })
})

function unreadable(): AsyncIterable<Uint8Array> {
  throw new Error('the body was read')
}

test('a message that nobody signs does not pass, and its body is not read', async () => {
  const { dkim, dmarc } = await verify(REJECTS, FROM, { chunks: unreadable })
  assert.deepEqual(dkim, { result: 'none', signatures: [] })
  assert.deepEqual(dmarc, { result: 'fail', policy: 'reject', domain: 'bank.example' })
})

test('a signature of another domain passes and says nothing of the author', async () => {
  const zone = { ...REJECTS, 'TXT s1._domainkey.evil.example': [KEY_RECORD] }
  const { dkim, dmarc } = await verify(zone, await sign(FROM, { domain: 'evil.example' }))
  assert.equal(dkim?.result, 'pass')
  assert.equal(dmarc?.result, 'fail')
})

test('SPF counts for DMARC where its domain is the author’s, or lies beside it unless the policy is strict', async () => {
  const aligned = await verify(REJECTS, FROM, { spf: spfOf('pass', 'mail.bank.example') })
  assert.equal(aligned.dmarc?.result, 'pass')
  const strict = { 'TXT _dmarc.bank.example': ['v=DMARC1; p=reject; aspf=s'] }
  assert.equal(
    (await verify(strict, FROM, { spf: spfOf('pass', 'mail.bank.example') })).dmarc?.result,
    'fail',
  )
  assert.equal((await verify(REJECTS, FROM, { spf: spfOf('pass', 'evil.example') })).dmarc?.result, 'fail')
})

test('a subdomain has the policy of the domain above it', async () => {
  const zone = {
    'TXT _dmarc.bank.example': ['v=DMARC1; p=none; sp=quarantine'],
    'A news.bank.example': ['192.0.2.1'],
  }
  const { dmarc } = await verify(zone, 'From: a@news.bank.example\r\n')
  assert.deepEqual(dmarc, { result: 'fail', policy: 'quarantine', domain: 'news.bank.example' })
})

test('two From fields, or none, are nobody’s: DMARC is a permanent error', async () => {
  for (const header of [`${await sign()}From: alice@bank.example\r\n`, 'Subject: x\r\n']) {
    const { dmarc } = await verify(REJECTS, header)
    assert.equal(dmarc?.result, 'permerror')
  }
})

test('a From field that readers may take for another’s is nobody’s, whoever vouches for it', async () => {
  const zone = { ...REJECTS, 'TXT _dmarc.evil.example': ['v=DMARC1; p=reject'] }
  const spf = {
    result: 'pass',
    identity: 'mailfrom',
    domain: 'evil.example',
    helo: { result: 'none', domain: undefined },
  } as const
  const passing = await verify(zone, 'From: a@evil.example\r\n', { spf })
  assert.deepEqual(passing.dmarc, { result: 'pass', policy: 'reject', domain: 'evil.example' })
  for (const from of [
    '<a@evil.example> <alice@bank.example>',
    'a@evil.example\r\n\t<alice@bank.example> x',
    'a@evil.example alice@bank.example',
    'alice@evil(c).example',
    '"a@evil.example',
  ]) {
    const { dmarc } = await verify(zone, `From: ${from}\r\n`, { spf })
    assert.match(dmarc?.result ?? '', /^(?:permerror|fail)$/, from)
  }
})

test('what is changed or added after the signature fails', async () => {
  const header = await sign()
  const outcomes = [
    await verify(REJECTS, header, { body: `${BODY}Buy!\r\n` }),
    await verify(REJECTS, `Subject: Buy\r\n${header}`),
    await verify(REJECTS, header.replace('Alice', 'Mallory')),
  ]
  for (const { dkim, dmarc } of outcomes) {
    assert.equal(dkim?.result, 'fail')
    assert.equal(dmarc?.result, 'fail')
  }
})

function mute(part: string): Lab['dns']['odd'] {
  return ({ name }) => (name.includes(part) ? { silent: true } : undefined)
}

test('a server that is silent is a temporary error, of DMARC only where it is the author’s', async () => {
  const own = await verify(REJECTS, await sign(), { odd: mute('_domainkey') })
  assert.equal(own.dkim?.result, 'temperror')
  assert.equal(own.dmarc?.result, 'temperror')
  const foreign = await verify(REJECTS, await sign(FROM, { domain: 'evil.example' }), {
    odd: mute('_domainkey'),
  })
  assert.equal(foreign.dkim?.result, 'temperror')
  assert.equal(foreign.dmarc?.result, 'fail')
})

test('of a thousand signatures ten are looked at', async () => {
  const header = await sign(FROM, { domain: 'evil.example' })
  const one = header.slice(0, header.length - FROM.length)
  const { dkim, asked } = await verify(REJECTS, `${one.repeat(300)}${await sign()}`)
  assert.equal(dkim?.signatures.length, 11)
  assert.equal(dkim?.signatures.at(-1)?.reason, 'too many signatures')
  assert.notEqual(dkim?.result, 'pass')
  assert.equal(asked.filter((each) => each === 'TXT s1._domainkey.evil.example').length, 1)
})

test('a header beyond bounds is not looked at, however its names are written', async () => {
  const folded = 'DKIM-Signature\r\n : v=1; d=evil.example\r\n'.repeat(20)
  for (const header of [`${'A:\r\n'.repeat(1001)}${await sign()}`, `${folded}${await sign()}`]) {
    const started = performance.now()
    const { dkim, dmarc, arc } = await verify(REJECTS, header)
    assert.deepEqual([dkim?.result, dmarc?.result, arc?.result], ['policy', 'permerror', 'fail'])
    assert.ok(performance.now() - started < 500)
  }
})

test('the dearest header that is looked at costs less than a second', async () => {
  const names = 'a:'.repeat(50_000)
  const one = `DKIM-Signature: v=1; a=rsa-sha256; d=evil.example; s=s; h=from:${names}b; bh=; b=\r\n`
  const header = `${one}${'A:\r\n'.repeat(900)}${FROM}`
  const started = performance.now()
  await verify(REJECTS, header)
  assert.ok(performance.now() - started < 1000)
})

test('a signature of a part of the body does not pass', async () => {
  const pair = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const signature = {
    signingDomain: 'bank.example',
    selector: 's2',
    privateKey: pair.privateKey.export({ format: 'pem', type: 'pkcs8' }),
    maxBodyLength: BODY.length,
  }
  const { signatures } = await dkimSign(`${FROM}\r\n${BODY}`, { ...signature, signatureData: [signature] })
  const record = `v=DKIM1; p=${pair.publicKey.export({ format: 'der', type: 'spki' }).toString('base64')}`
  const zone = { ...REJECTS, 'TXT s2._domainkey.bank.example': [[record.slice(0, 200), record.slice(200)]] }
  const whole = await verify(zone, `${signatures}${FROM}`)
  assert.equal(whole.dkim?.result, 'pass')
  const longer = await verify(zone, `${signatures}${FROM}`, { body: `${BODY}Buy!\r\n` })
  assert.equal(longer.dkim?.result, 'policy')
  assert.equal(longer.dkim?.signatures[0]?.reason, 'body not signed as a whole')
  assert.equal(longer.dmarc?.result, 'fail')
})

test('a key record without end, an alias without end and a key that is revoked let nothing pass', async () => {
  const header = await sign()
  const bad: readonly Zone[] = [
    { 'TXT s1._domainkey.bank.example': [Array.from({ length: 40 }, () => 'A'.repeat(255))] },
    { 'CNAME s1._domainkey.bank.example': ['b.example'], 'TXT s1._domainkey.bank.example': ['v=DKIM1; p='] },
    { 'TXT s1._domainkey.bank.example': ['v=DKIM1; p='] },
    {},
  ]
  for (const zone of bad) {
    const { dkim } = await verify(zone, header)
    assert.notEqual(dkim?.result, 'pass')
  }
})

async function* endless(): AsyncIterable<Uint8Array> {
  for (let n = 0; n < 400; n++) yield Buffer.alloc(65_536, 'x')
  await Promise.resolve()
}

test('a line without end is not gathered: nothing signed passes', async () => {
  const header = await sign()
  const started = performance.now()
  const { dkim } = await verify(REJECTS, header, { chunks: endless })
  assert.equal(dkim?.signatures[0]?.reason, 'line too long')
  assert.ok(performance.now() - started < 1000)
})

test('no octet of a client’s that is not of a host name stands in a statement', async () => {
  const nasty = `DKIM-Signature: v=1; a=rsa-sha256; d=evil.example\x1b[2J(; s="x; h=from; bh=AAAA; b=\xff\xfe"\r\n`
  const { dkim, dmarc } = await verify(REJECTS, `${nasty}From: a@"evil\x01".example\r\n`)
  const said = [
    ...dkimStatements(dkim ?? { result: 'none', signatures: [] }),
    dmarc && dmarcStatement(dmarc),
  ].join()
  assert.match(said, /^dkim=/)
  assert.match(said, /^[\x20-\x7e]+$/)
  assert.doesNotMatch(said, /evil\.example.?\[|\(;/)
})

test('a chain of ARC passes, and fails once the message or a seal was changed', async () => {
  const pair = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const record = `v=DKIM1; p=${pair.publicKey.export({ format: 'der', type: 'spki' }).toString('base64')}`
  const zone = { 'TXT arc._domainkey.list.example': [[record.slice(0, 200), record.slice(200)]] }
  const seal = {
    signingDomain: 'list.example',
    selector: 'arc',
    privateKey: pair.privateKey.export({ format: 'pem', type: 'pkcs8' }),
    authResults: 'list.example; dkim=pass header.d=bank.example',
    cv: 'none' as const,
  }
  const set = (await sealMessage(Buffer.from(`${FROM}\r\n${BODY}`), seal)).toString('latin1')
  const header = `${set}${FROM}`
  assert.deepEqual((await verify(zone, header)).arc, { result: 'pass', instance: 1 })
  assert.equal((await verify(zone, header.replace('Alice', 'Mallory'))).arc?.result, 'fail')
  assert.equal((await verify(zone, header.replace('dkim=pass', 'dkim=fail'))).arc?.result, 'fail')
  assert.equal((await verify({}, header)).arc?.result, 'fail')
})

test('a large message streams: signing and verifying it takes no memory that grows with it', async () => {
  const line = Buffer.from('Hello there, this is a line of some text.\r\n'.repeat(1500))
  const before = process.memoryUsage().arrayBuffers
  let most = 0
  const chunks = async function* (): AsyncIterable<Uint8Array> {
    for (let octets = 0; octets < 64 * 1024 ** 2; octets += line.length) {
      yield line
      most = Math.max(most, process.memoryUsage().arrayBuffers - before)
      // as a file would be read
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
  const header = await sign(FROM, {}, chunks)
  assert.equal((await verify(REJECTS, header, { chunks })).dkim?.result, 'pass')
  assert.ok(most < 32 * 1024 ** 2, `${most} octets`)
})
