import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import type { ServerResponse } from 'node:http'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { TestDnsServer } from '../../../test/support/dns-server.ts'
import { pkiDirectory } from '../../../test/support/test-ca.ts'
import { fixedServers } from '../../dns/name-servers.ts'
import { StubResolver } from '../../dns/stub-resolver.ts'
import type { Credential } from '../../tls/authority.ts'
import { certificateFor, DOMAIN } from './session.fixture.ts'
import { StsPolicies } from './sts-policies.ts'
import { allowsHost, parseStsPolicy, parseStsRecord, type StsPolicy } from './sts-policy.ts'
import { StsStore } from './sts-store.ts'

const pki = await pkiDirectory()
after(async () => await pki[Symbol.asyncDispose]())

const POLICY = `mta-sts.${DOMAIN}`
const ENFORCE =
  'version: STSv1\r\nmode: enforce\r\nmx: mx.example.test\r\nmx: *.other.test\r\nmax_age: 604800\r\n'

interface WorldOptions {
  readonly credential?: Credential
  readonly respond?: (response: ServerResponse, count: number) => void
}

function answer(text: string, type = 'text/plain', status = 200): (response: ServerResponse) => void {
  return (response) => response.writeHead(status, { 'content-type': type }).end(text)
}

/** A policy host, a name server and a folder; what is looked for is looked for through all of them. */
async function world({
  credential = certificateFor(pki.pki, [POLICY]),
  respond = answer(ENFORCE),
}: WorldOptions = {}) {
  const state = {
    respond,
    requests: 0,
    now: Date.now(),
    failures: [] as string[],
    problems: [] as string[],
    prohibited: false,
    maxAliases: 5,
  }
  const https: Server = createServer(credential, (request, response) => {
    assert.equal(request.headers.host, POLICY)
    assert.equal(request.url, '/.well-known/mta-sts.txt')
    state.respond(response, state.requests++)
  })
  await new Promise<void>((resolve) => https.listen(0, '127.0.0.1', resolve))
  const dns = await TestDnsServer.start({
    [`TXT _mta-sts.${DOMAIN}`]: ['v=STSv1; id=one;'],
    [`A ${POLICY}`]: ['127.0.0.1'],
  })
  const folder = await mkdtemp(join(tmpdir(), 'postern-sts-'))
  const clock = (): number => state.now
  const policies = (store = folder): StsPolicies => {
    const resolver = new StubResolver({
      servers: fixedServers([dns.address]),
      clock,
      rounds: 1,
      timeout: 500,
    })
    return new StsPolicies({
      maxAliases: () => state.maxAliases,
      dns: resolver,
      store: new StsStore({ folder: store, clock, onProblem: (text) => state.problems.push(text) }),
      fetcher: {
        dns: resolver,
        roots: () => Promise.resolve([pki.pki.authority.cert]),
        allows: () => !state.prohibited,
        port: (https.address() as AddressInfo).port,
        timeout: 500,
      },
      clock,
      onFailure: (domain, { type }) => state.failures.push(`${domain} ${type}`),
    })
  }
  return {
    state,
    dns,
    folder,
    policies,
    find: async (from = policies()): Promise<StsPolicy | undefined> =>
      await from.find(DOMAIN, new AbortController().signal),
    [Symbol.asyncDispose]: async () => {
      https.closeAllConnections()
      await new Promise((resolve) => https.close(resolve))
      await dns.close()
      // a policy that was fetched in the background may still be on its way into it
      await rm(folder, { recursive: true, force: true, maxRetries: 5 })
    },
  }
}

test('a policy is fetched once, and kept over a restart', async () => {
  await using w = await world()
  const policies = w.policies()
  const found = await w.find(policies)
  assert.deepEqual(found && { ...found, fetchedAt: 0 }, {
    id: 'one',
    mode: 'enforce',
    mx: ['mx.example.test', '*.other.test'],
    maxAge: 604_800,
    fetchedAt: 0,
  })
  await Promise.all([w.find(policies), w.find(policies)])
  assert.equal(w.state.requests, 1)
  assert.deepEqual(await readdir(w.folder), [DOMAIN])
  // a new process, and neither DNS nor policy host any more
  w.dns.zone = {}
  w.dns.odd = () => ({ rcode: 2 })
  assert.deepEqual(await w.find(), found)
  assert.equal(w.state.requests, 1)
})

test('many that ask at once share one fetch', async () => {
  await using w = await world()
  const policies = w.policies()
  const found = await Promise.all(Array.from({ length: 20 }, () => w.find(policies)))
  assert.ok(found.every((each) => each?.mode === 'enforce'))
  assert.equal(w.state.requests, 1)
})

test('taking the record away, or the policy, does not take away what is known before its max_age is up', async () => {
  await using w = await world()
  const policies = w.policies()
  await w.find(policies)
  w.dns.zone = {}
  w.state.now += 300_001
  assert.equal((await w.find(policies))?.mode, 'enforce')
  w.dns.zone = { [`TXT _mta-sts.${DOMAIN}`]: ['v=STSv1; id=two;'], [`A ${POLICY}`]: ['127.0.0.1'] }
  w.state.respond = answer('gone', 'text/plain', 404)
  w.state.now += 300_001
  assert.equal((await w.find(policies))?.id, 'one')
  assert.deepEqual(w.state.failures, [`${DOMAIN} sts-policy-fetch-error`])
  await w.find(policies)
  assert.equal(w.state.requests, 2, 'a fetch that failed is not repeated at once')
  w.state.now += 604_800_000
  assert.equal(await w.find(policies), undefined, 'expired')
  assert.equal(await w.find(), undefined, 'on disk too')
})

test('another id brings the new policy at once, a day’s age does so in the background', async () => {
  await using w = await world()
  const policies = w.policies()
  await w.find(policies)
  w.state.respond = answer(ENFORCE.replace('enforce', 'testing'))
  w.dns.zone = { ...w.dns.zone, [`TXT _mta-sts.${DOMAIN}`]: ['v=STSv1; id=two;'] }
  w.state.now += 300_001
  assert.deepEqual([(await w.find(policies))?.mode, w.state.requests], ['testing', 2])
  const answered = new Promise<void>((resolve) => {
    w.state.respond = (response) => {
      answer(ENFORCE.replace('enforce', 'none'))(response)
      response.on('close', resolve)
    }
  })
  w.state.now += 86_400_001
  assert.equal((await w.find(policies))?.mode, 'testing', 'nobody waits for it')
  await answered
  while ((await w.find(policies))?.mode !== 'none') await new Promise((resolve) => setImmediate(resolve))
  assert.equal(w.state.requests, 3)
})

const bad: readonly (readonly [string, WorldOptions, string])[] = [
  ['of another status', { respond: answer(ENFORCE, 'text/plain', 204) }, 'sts-policy-fetch-error'],
  ['of another type', { respond: answer(ENFORCE, 'text/html') }, 'sts-policy-fetch-error'],
  [
    'behind a redirect',
    { respond: (response) => response.writeHead(301, { location: 'https://x.test/' }).end() },
    'sts-policy-fetch-error',
  ],
  [
    'that breaks off',
    {
      respond: (response) =>
        response
          .writeHead(200, { 'content-type': 'text/plain', 'content-length': '999' })
          .write('version', () => response.destroy()),
    },
    'sts-policy-fetch-error',
  ],
  ['that never comes', { respond: () => undefined }, 'sts-policy-fetch-error'],
  ['that is too large', { respond: answer(`${ENFORCE}x: ${'y'.repeat(70_000)}`) }, 'sts-policy-invalid'],
  ['that is none', { respond: answer('<html>') }, 'sts-policy-invalid'],
  ['without hosts', { respond: answer('version: STSv1\nmode: enforce\nmax_age: 1\n') }, 'sts-policy-invalid'],
  ['with an unknown mode', { respond: answer(ENFORCE.replace('enforce', 'enforced')) }, 'sts-policy-invalid'],
  ['under another name', { credential: certificateFor(pki.pki, [DOMAIN]) }, 'sts-webpki-invalid'],
  [
    'under a CN alone',
    { credential: pki.pki.authority.issue({ subject: POLICY, usage: 'server' }) },
    'sts-webpki-invalid',
  ],
  [
    'under a certificate of another CA',
    {
      credential: pki.pki.otherAuthority.issue({
        subject: POLICY,
        usage: 'server',
        altNames: [{ kind: 'dns', value: POLICY }],
      }),
    },
    'sts-webpki-invalid',
  ],
  [
    'under a certificate that has expired',
    {
      credential: pki.pki.authority.issue({
        subject: POLICY,
        usage: 'server',
        altNames: [{ kind: 'dns', value: POLICY }],
        notAfter: Date.now() - 1000,
      }),
    },
    'sts-webpki-invalid',
  ],
]

for (const [what, options, type] of bad) {
  test(`a policy ${what} is no policy, and that is told`, async () => {
    await using w = await world(options)
    assert.equal(await w.find(), undefined)
    assert.deepEqual(w.state.failures, [`${DOMAIN} ${type}`])
    assert.deepEqual(await readdir(w.folder), [])
  })
}

test('without a record nobody is asked for a policy; an address that is prohibited is not connected to', async () => {
  await using w = await world()
  w.state.prohibited = true
  assert.equal(await w.find(), undefined)
  assert.deepEqual(w.state.failures, [`${DOMAIN} sts-policy-fetch-error`])
  w.dns.zone = {}
  assert.equal(await w.find(), undefined)
  assert.equal(w.state.requests, 0)
  assert.equal(w.dns.count(`A ${POLICY}`), 1)
})

test('a record may be behind so many aliases; what is known holds behind more', async () => {
  await using w = await world()
  w.dns.zone = {
    ...w.dns.zone,
    [`CNAME _mta-sts.${DOMAIN}`]: ['one.test'],
    'CNAME one.test': ['two.test'],
    'TXT two.test': ['v=STSv1; id=one;'],
  }
  w.state.maxAliases = 1
  assert.equal(await w.find(), undefined)
  assert.equal(w.state.requests, 0)
  w.state.maxAliases = 2
  const policies = w.policies()
  assert.equal((await w.find(policies))?.id, 'one')
  w.state.maxAliases = 0
  assert.equal((await w.find(policies))?.id, 'one')
})

test('an address literal and other odd domains have no policy', async () => {
  await using w = await world()
  for (const name of ['[192.0.2.1]', '', '../../etc', 'a b', 'x'.repeat(250)]) {
    assert.equal(await w.policies().find(name, new AbortController().signal), undefined)
  }
  assert.deepEqual(w.dns.asked, [])
})

test('a folder that cannot be used is told once, and costs nothing but memory', async () => {
  await using w = await world()
  const file = join(w.folder, 'file')
  await writeFile(file, '')
  const policies = w.policies(join(file, 'x'))
  assert.equal((await w.find(policies))?.mode, 'enforce')
  assert.equal((await w.find(policies))?.mode, 'enforce')
  assert.equal(w.state.problems.length, 1)
  assert.equal(w.state.requests, 1)
})

test('files that are damaged or have expired count for nothing and are swept out, those of others stay', async () => {
  await using w = await world()
  await w.find()
  const kept = await readFile(join(w.folder, DOMAIN), 'utf8')
  await writeFile(join(w.folder, DOMAIN), kept.slice(0, -20))
  await writeFile(join(w.folder, 'old.test'), JSON.stringify({ ...JSON.parse(kept), fetchedAt: 0 }))
  await writeFile(join(w.folder, '.0123456789abcdef'), 'half')
  await writeFile(join(w.folder, 'README'), 'of the operator')
  assert.equal((await w.find())?.mode, 'enforce')
  assert.equal(w.state.requests, 2)
  assert.deepEqual((await readdir(w.folder)).toSorted(), ['README', DOMAIN].toSorted())
})

test('a policy that is renewed takes no place of another, however often', async () => {
  await using w = await world()
  const store = new StsStore({ folder: w.folder, clock: () => 1, onProblem: () => undefined, most: 2 })
  const policy: StsPolicy = { id: 'a', mode: 'enforce', mx: ['mx.a.test'], maxAge: 100, fetchedAt: 0 }
  for (const id of ['a', 'b', 'c']) await store.write('a.test', { ...policy, id })
  for (const name of ['b.test', 'c.test']) await store.write(name, policy)
  await store.write('a.test', { ...policy, id: 'd' })
  assert.equal((await store.read('a.test'))?.id, 'd')
  assert.deepEqual((await readdir(w.folder)).toSorted(), ['a.test', 'b.test'])
})

test('records: one with an id; two, or one without, are none', () => {
  assert.equal(parseStsRecord(['v=spf1 -all', 'v=STSv1; id=20160831085700Z;']), '20160831085700Z')
  assert.equal(parseStsRecord(['v=STSv1;id=a']), 'a')
  for (const records of [
    [],
    ['v=STSv1; id=a', 'v=STSv1; id=b'],
    ['v=STSv1;'],
    ['v=STSv1; id=a b'],
    ['v=STSv2; id=a'],
    [`v=STSv1; id=${'a'.repeat(33)}`],
  ]) {
    assert.equal(parseStsRecord(records), undefined, records.join())
  }
})

test('hosts: as named, or under exactly one label in place of the star', () => {
  const policy = parseStsPolicy(ENFORCE)
  assert.ok(policy !== undefined)
  for (const host of ['mx.example.test', 'MX.example.test', 'a.other.test'])
    assert.ok(allowsHost(policy, host), host)
  for (const host of [
    'example.test',
    'a.mx.example.test',
    'other.test',
    'a.b.other.test',
    'xother.test',
    '*.other.test',
  ])
    assert.ok(!allowsHost(policy, host), host)
})
