import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import type { SinkScript } from '../../../test/support/smtp-sink.ts'
import { pkiDirectory } from '../../../test/support/test-ca.ts'
import type { OutboundValues } from '../../config/settings.ts'
import { against, certificateFor, DOMAIN, fileOf, HOST } from './session.fixture.ts'
import type { StsPolicy } from './sts-policy.ts'

const pki = await pkiDirectory()
after(async () => await pki[Symbol.asyncDispose]())

const good = certificateFor(pki.pki)
const ca = fileOf(pki.file('ca.pem'))
const options = { use_mta_sts: true, tls_ca: ca } as const
const policy = (mode: StsPolicy['mode'], mx: readonly string[] = [HOST]): StsPolicy => ({
  id: 'a',
  mode,
  mx,
  maxAge: 86_400,
  fetchedAt: Date.now(),
})

/** What an attacker on the way, or a careless operator at the other end, makes of it. */
const weakened: readonly (readonly [string, SinkScript, string])[] = [
  ['STARTTLS is taken away', {}, 'starttls-not-supported'],
  ['STARTTLS is refused', { tls: good, starttls: '454 4.7.0 no' }, 'starttls-not-supported'],
  ['the handshake fails', { tls: good, injected: '250 x\r\n' }, 'validation-failure'],
  [
    'the certificate is another host’s',
    { tls: certificateFor(pki.pki, [DOMAIN]) },
    'certificate-host-mismatch',
  ],
  [
    'its name is a CN alone',
    { tls: pki.pki.authority.issue({ subject: HOST, usage: 'server' }) },
    'certificate-host-mismatch',
  ],
  [
    'the certificate is of another CA',
    {
      tls: pki.pki.otherAuthority.issue({
        subject: HOST,
        usage: 'server',
        altNames: [{ kind: 'dns', value: HOST }],
      }),
    },
    'certificate-not-trusted',
  ],
  [
    'the certificate has expired',
    {
      tls: pki.pki.authority.issue({
        subject: HOST,
        usage: 'server',
        altNames: [{ kind: 'dns', value: HOST }],
        notAfter: Date.now() - 1000,
      }),
    },
    'certificate-expired',
  ],
]

for (const [what, script, type] of weakened) {
  test(`${what}: enforce keeps the mail whatever the options allow, testing sends it; both tell`, async () => {
    for (const own of [{}, { tls: 'ifavailable' }, { tls: 'ifavailable', tls_verify: 'optional' }] as const) {
      const kept = await against(script, { options: { ...options, ...own }, policy: policy('enforce') })
      assert.equal(kept.result.kind, 'transient')
      assert.match(kept.result.text, /^451 4\.7\.[56] \[internal\] /)
      assert.deepEqual([kept.sink.received, kept.sink.connections], [[], 1])
      assert.deepEqual(
        kept.told.map(({ failure }) => failure),
        [type],
      )
      const sent = await against(script, { options: { ...options, ...own }, policy: policy('testing') })
      assert.equal(sent.result.kind, 'delivered', sent.result.text)
      assert.deepEqual(
        sent.told.map(({ failure }) => failure),
        [type],
      )
    }
    const strict = { ...options, tls: 'required', tls_verify: 'host' } as const
    const { result } = await against(script, { options: strict, policy: policy('testing') })
    if (type !== 'certificate-host-mismatch')
      assert.equal(result.kind, 'transient', 'testing loosens nothing')
  })
}

test('a host that is as the policy wants it gets the mail verified, and the success is told with the policy’s text', async () => {
  for (const mode of ['enforce', 'testing'] as const) {
    const { result, told } = await against({ tls: good }, { options, policy: policy(mode) })
    assert.equal(result.kind, 'delivered', result.text)
    assert.equal(result.tls?.verifiedBy, 'sts')
    assert.equal(result.tls?.demand, mode === 'enforce' ? 'required' : 'ifavailable')
    const [fact] = told
    assert.deepEqual(fact && { ...fact, at: 0, receivingHost: '' }, {
      kind: 'tls-session',
      at: 0,
      policy: {
        type: 'sts',
        domain: DOMAIN,
        strings: ['version: STSv1', `mode: ${mode}`, `mx: ${HOST}`, 'max_age: 86400'],
        mxHosts: [HOST],
      },
      failure: undefined,
      reason: '',
      sendingIp: '127.0.0.1',
      receivingHost: '',
      receivingIp: '127.0.0.1',
    })
  }
})

test('a host that the policy does not name is not connected to when it is enforced', async () => {
  const enforced = await against({ tls: good }, { options, policy: policy('enforce', ['other.test']) })
  assert.deepEqual([enforced.result.kind, enforced.sink.connections], ['transient', 0])
  assert.match(enforced.result.text, /is not among the hosts of the MTA-STS policy of example\.test$/)
  assert.equal(enforced.told[0]?.failure, 'validation-failure')
  const tested = await against({ tls: good }, { options, policy: policy('testing', ['other.test']) })
  assert.equal(tested.result.kind, 'delivered')
  assert.equal(tested.told[0]?.failure, 'validation-failure')
})

test('mode none, no policy, and a policy that is switched off change nothing', async () => {
  const asItIs: readonly (readonly [Partial<OutboundValues>, StsPolicy | undefined])[] = [
    [options, policy('none')],
    [options, undefined],
    [{ ...options, enable_mta_sts: false }, policy('enforce')],
    [{ ...options, use_mta_sts: false }, policy('enforce')],
  ]
  for (const [each, found] of asItIs) {
    const { result, told } = await against(
      { tls: good },
      { options: each, ...(found ? { policy: found } : {}) },
    )
    assert.deepEqual([result.kind, result.tls, told], ['delivered', undefined, []])
  }
})

test('without TLS_CA the roots of MTA-STS count, which are not ours', async () => {
  const { result } = await against(
    { tls: good },
    { options: { use_mta_sts: true }, policy: policy('enforce') },
  )
  assert.match(result.text, /SSL cert must be signed by a valid CA/)
})
