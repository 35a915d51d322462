import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { SmtpSink } from '../../../test/support/smtp-sink.ts'
import { pkiDirectory } from '../../../test/support/test-ca.ts'
import type { OutboundValues } from '../../config/settings.ts'
import type { AnyFacts, Policy } from '../../policy/phases.ts'
import type { Verdict } from '../../policy/verdict.ts'
import type { Credential } from '../../tls/authority.ts'
import { HostWord } from './host-word.ts'
import { certificateFor, DOMAIN, fileOf, HOST, type Tried, tryAt } from './session.fixture.ts'

const pki = await pkiDirectory()
after(async () => await pki[Symbol.asyncDispose]())
const good = certificateFor(pki.pki)
const stranger = pki.pki.otherAuthority.issue({
  subject: HOST,
  usage: 'server',
  altNames: [{ kind: 'dns', value: HOST }],
})
const verified: Partial<OutboundValues> = {
  tls: 'required',
  tls_verify: 'host',
  tls_ca: fileOf(pki.file('ca.pem')),
}

interface Said {
  readonly asked: AnyFacts['host_verify'][]
  readonly tried: Tried
  readonly forgotten: number
}

/** One attempt at a host with this certificate while policy says this of every certificate. */
async function withWord(
  verdict: Verdict,
  { options = verified, tls = good }: { options?: Partial<OutboundValues>; tls?: Credential } = {},
): Promise<Said> {
  const asked: AnyFacts['host_verify'][] = []
  let forgotten = 0
  const policy: Policy = {
    wants: (phase) => phase === 'host_verify',
    ask: (phase, facts) => {
      if (phase === 'host_verify') asked.push(facts as AnyFacts['host_verify'])
      return verdict
    },
    forget: () => void forgotten++,
  }
  const sink = await SmtpSink.start({ tls })
  try {
    const tried = await tryAt(sink, { options, word: new HostWord(policy) })
    return { asked, tried, forgotten }
  } finally {
    await sink.close()
  }
}

const words = { text: 'no', module: 'scriptlet' } as const

test('policy is told where mail is about to go and of each certificate, and what it accepts stays verified', async () => {
  const { asked, tried, forgotten } = await withWord({ kind: 'continue' })
  assert.deepEqual([tried.result.kind, tried.result.tls?.verifiedBy], ['delivered', 'host'])
  const last = asked.at(-1)
  assert.deepEqual(last?.host, { name: HOST, address: '127.0.0.1', domain: DOMAIN })
  assert.equal(last?.certificate.subject, `CN=${HOST}`)
  assert.ok(asked.every(({ certificate }) => certificate.verified))
  assert.equal(last?.session.context.get('connection', 'outbound_host'), HOST)
  assert.equal(forgotten, 1, 'what scripts keep for the stand-in is dropped')
})

const refusals: readonly Verdict[] = [
  { kind: 'reply', code: 550, ...words },
  { kind: 'disconnect', code: 421, ...words },
  { kind: 'discard', ...words },
  // oxlint-disable-next-line unicorn/no-thenable -- a verdict's own field
  { kind: 'tarpit', seconds: 1, then: { kind: 'reply', code: 450, ...words } },
]

for (const verdict of refusals) {
  test(`a ${verdict.kind} makes a verified host unverified, and it gets nothing`, async () => {
    const { tried } = await withWord(verdict)
    assert.equal(tried.result.kind, 'transient')
    assert.match(tried.result.text, /^451 4\.7\.5 \[internal\] .*\(policy\)$/)
    assert.equal(tried.result.tls?.verifiedBy, undefined)
  })
}

test('TLS_Verify = optional: mail goes to a host that policy does not accept, and is not told as verified', async () => {
  const { tried } = await withWord(
    { kind: 'reply', code: 550, ...words },
    { options: { ...verified, tls_verify: 'optional' } },
  )
  assert.deepEqual(
    [tried.result.kind, tried.result.tls?.verifiedBy, tried.result.tls?.cause],
    ['delivered', undefined, 'policy'],
  )
})

test('nothing that policy says makes a host verified', async () => {
  const yes: readonly Verdict[] = [
    { kind: 'continue' },
    { kind: 'done' },
    { kind: 'reply', code: 250, ...words },
  ]
  for (const verdict of yes) {
    const { asked, tried } = await withWord(verdict, { tls: stranger })
    assert.equal(tried.result.kind, 'transient')
    assert.match(tried.result.text, /\(untrusted\)$/)
    assert.ok(asked.every(({ certificate }) => !certificate.verified))
  }
})

test('nobody is asked where nothing is verified', async () => {
  const { asked, tried } = await withWord(
    { kind: 'discard', ...words },
    { options: { ...verified, tls_verify: 'no' } },
  )
  assert.deepEqual([asked.length, tried.result.kind], [0, 'delivered'])
})
