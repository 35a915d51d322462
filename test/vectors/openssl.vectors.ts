/**
 * The certificates of OpenSSL's own test suite as client certificates: each test of its recipe ends here as it does there,
 * or a row of `treatment.ts` says why not.
 *
 * Chains whose key is at hand meet a running gate, with TLS 1.2 and 1.3; all of them the verification without a key. A
 * recipe that has something new fails. Needs a mirror of Debian: `npm run test:vectors`.
 */

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, suite, test } from 'node:test'
import { connect, type SecureVersion } from 'node:tls'
import { loadClientCas } from '../../src/tls/material.ts'
import { PemError, toPem } from '../../src/tls/pem.ts'
import { loadRevocationLists } from '../../src/tls/revocation.ts'
import { ChainVerifier } from '../../src/tls/verify-without-key.ts'
import { testPki } from '../support/test-ca.ts'
import { startTestGate, type TestGate } from '../support/test-gate.ts'
import { pemOf, testCertificates } from './files.ts'
import { readRecipe, type Vector } from './recipe.ts'
import { openSslSource } from './source.ts'
import { listVector, optionsOf, reasonToSkip, type Treatment, treatmentOf } from './treatment.ts'

/** What a vector comes to here. */
interface Chain {
  readonly vector: Vector
  readonly treatment: Treatment
  /** one certificate each */
  readonly ca: readonly Buffer[]
  /** the leaf first */
  readonly sent: readonly Buffer[]
  /** OpenSSL's security level, and TLS_Verify_Depth where it is limited */
  readonly level: number
  readonly depth: string | undefined
}

const folder = mkdtempSync(path.join(tmpdir(), 'postern-vectors-'))
after(() => rmSync(folder, { recursive: true, force: true }))

const source = openSslSource(folder)
const recipe = readRecipe(source.recipe)
const files = testCertificates(source.certs)
const counts = { gate: 0, verifier: 0, refused: 0, trustSettings: 0, lists: 0, skipped: 0 }
const skips = new Map<string, number>()

const chains: Chain[] = []
const trustSettings: Vector[] = []
for (const vector of recipe.vectors) {
  const treatment = treatmentOf(vector)
  if (treatment.kind === 'skipped') skip(treatment.reason)
  else if (vector.trusted.some((name) => files.read(name).trustSettings)) trustSettings.push(vector)
  else chains.push(chainOf(vector, treatment))
}

after(() => {
  const reasons = [...skips].map(([reason, count]) => `\n    ${count}: ${reason}`).join('')
  console.log(`  ${source.version}: ${JSON.stringify(counts)}, skipped because${reasons}`)
  const { gate: _, ...once } = counts
  assert.equal(
    Object.values(once).reduce((sum, count) => sum + count, 0),
    recipe.vectors.length + recipe.others.length,
    'every test of the recipe is accounted for',
  )
})

suite('without the key', { concurrency: true }, () => {
  for (const chain of chains) {
    const { vector, treatment } = chain
    test(describe(vector), async () => {
      counts[treatment.kind === 'refused' ? 'refused' : 'verifier'] += 1
      // how deep a chain may be is for the gate to say, after OpenSSL
      if (chain.depth !== undefined) return
      const expected = treatment.kind === 'run' && vector.accepted
      assert.equal(await verdictWithoutKey(chain, vector.purpose), expected, treatment.reason)
    })
  }
})

suite('trust settings in a CA', { concurrency: true }, () => {
  for (const vector of trustSettings) {
    test(`${describe(vector)}: no configuration loads with it`, async () => {
      counts.trustSettings += 1
      const bad = vector.trusted.find((name) => files.read(name).trustSettings) ?? ''
      await assert.rejects(loadClientCas(files.file(bad)), PemError)
    })
  }
})

suite('everything else', () => {
  for (const statement of recipe.others) {
    const vector = listVector(statement)
    if (vector === undefined) {
      skip(reasonToSkip(statement))
      continue
    }
    test(vector.name, async () => {
      counts.lists += 1
      const lists = await loadRevocationLists(files.file(vector.list))
      const ca = pemOf(files.read(vector.ca).ders)
      const { ders } = files.read(vector.leaf)
      const without = new ChainVerifier({ ca: [ca], securityLevel: 1 })
      assert.equal(await without.verify(ders, 'clientAuth'), undefined)
      const verifier = new ChainVerifier({ ca: [ca], crls: lists.pem, securityLevel: 1 })
      assert.equal((await verifier.verify(ders, 'clientAuth'))?.code, 'UNABLE_TO_GET_CRL')
    })
  }
})

/** Chains for the gate. A client's own certificate that is shown to a server's purpose is the verifier's alone. */
const withKey = chains.filter(({ sent: [leaf] }) => leaf !== undefined && files.keyOf(leaf) !== undefined)

suite('at a gate', () => {
  /** the text of each scope, by what it is for */
  const scopes = new Map<string, string>()
  for (const chain of withKey) {
    const key = scopeKey(chain)
    if (!scopes.has(key)) scopes.set(key, scopeText(chain, hostOf(scopes.size)))
  }
  const keys = [...scopes.keys()]
  let gate: TestGate
  before(async () => {
    gate = await startTestGate({ conf: conf([...scopes.values()]), pki: await testPki(), files: caFiles() })
  })
  after(() => gate.stop())
  for (const chain of withKey) {
    const { vector, treatment } = chain
    test(describe(vector), async () => {
      counts.gate += 1
      const asked = treatment.kind === 'run' && vector.accepted
      // TLS_Client_EKU = any takes clients as well as servers
      const expected = asked || (chain.depth === undefined && (await verdictWithoutKey(chain, 'sslclient')))
      const host = hostOf(keys.indexOf(scopeKey(chain)))
      for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
        const outcome = await present(gate, { host, chain, version })
        assert.equal(outcome === 'verified', expected, `${version}: ${outcome}`)
      }
    })
  }
})

function skip(reason: string): void {
  counts.skipped += 1
  skips.set(reason, (skips.get(reason) ?? 0) + 1)
}

function describe({ name, cert, purpose, trusted, untrusted, options }: Vector): string {
  return `${name} (${[cert, purpose, trusted.join('+'), untrusted.join('+'), ...options].join(' ')})`
}

function chainOf(vector: Vector, treatment: Treatment): Chain {
  const options = optionsOf(vector)
  const ders = (names: readonly string[]): Buffer[] => names.flatMap((name) => files.read(name).ders)
  return {
    vector,
    treatment,
    ca: ders(vector.trusted),
    sent: [...files.read(vector.cert).ders.slice(0, 1), ...ders(vector.untrusted)],
    // the recipe's own default
    level: Number(options.get('-auth_level') ?? 1),
    depth: options.get('-verify_depth'),
  }
}

/** No purpose: either of those that TLS has. */
async function verdictWithoutKey({ ca, sent, level }: Chain, purpose: string): Promise<boolean> {
  const pem = ca.map((der) => toPem('CERTIFICATE', der))
  const verifier = new ChainVerifier({ ca: pem, securityLevel: level })
  const client = purpose !== 'sslserver' && (await verifier.verify(sent, 'clientAuth')) === undefined
  return client || (purpose !== 'sslclient' && (await verifier.verify(sent, 'serverAuth')) === undefined)
}

function scopeKey({ vector, level, depth }: Chain): string {
  return JSON.stringify([vector.trusted, level, depth, vector.purpose === 'sslclient'])
}

function hostOf(index: number): string {
  return `127.0.${10 + Math.floor(index / 200)}.${1 + (index % 200)}`
}

function scopeText({ vector, level, depth }: Chain, host: string): string {
  const options = [
    `TLS_Ciphers = "DEFAULT:@SECLEVEL=${level}"`,
    `TLS_Client_EKU = "${vector.purpose === 'sslclient' ? 'clientAuth' : 'any'}"`,
    ...(vector.trusted.length === 0 ? [] : [`TLS_Client_CA = "${caFile(vector)}"`]),
    ...(depth === undefined ? [] : [`TLS_Verify_Depth = ${depth}`]),
  ]
  return `Listen "${host}:0" { ${options.join(' ')} }`
}

function conf(listens: readonly string[]): string {
  return `ESMTP_Listener {
    Use_SSL = true TLS_Certificate = "pki/server.pem" TLS_Key = "pki/server.key"
    ${listens.join('\n')}
  }`
}

function caFile({ trusted }: Vector): string {
  return `${trusted.join('_')}.pem`
}

function caFiles(): Record<string, string> {
  return Object.fromEntries(withKey.map(({ vector, ca }) => [caFile(vector), pemOf(ca)]))
}

interface Presentation {
  readonly host: string
  readonly chain: Chain
  readonly version: SecureVersion
}

/** Shows a chain to the gate, with proof of its key. @returns the gate's verdict, or that there was no handshake */
async function present(gate: TestGate, { host, chain, version }: Presentation): Promise<string> {
  const [leaf] = chain.sent
  // one port of ours may serve for connections to several addresses
  const before = gate.events.length
  const address = gate.server.addresses.find((each) => each.startsWith(`${host}:`)) ?? ''
  const socket = connect({
    host,
    port: Number(address.slice(host.length + 1)),
    cert: pemOf(chain.sent),
    key: leaf && files.keyOf(leaf),
    // the client's own security level must not keep anything back
    ciphers: 'DEFAULT:@SECLEVEL=0',
    minVersion: version,
    maxVersion: version,
    rejectUnauthorized: false,
  })
  const port = new Promise<number>((resolve) => socket.once('connect', () => resolve(socket.localPort ?? 0)))
  socket.on('error', () => undefined)
  const own = await port
  const fact = await gate.event(
    'tls',
    (event) => event.remote.port === own && gate.events.indexOf(event) >= before,
  )
  socket.destroy()
  return fact.outcome
}
