/** TLS_Client_CRL: files and directories that are followed, what is checked before a list counts, hard and soft. */

import assert from 'node:assert/strict'
import { mkdir, rename, rm, symlink, unlink } from 'node:fs/promises'
import path from 'node:path'
import { suite, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { ConfigError } from '../../src/config/diagnostic.ts'
import type { ServerEvent } from '../../src/events/events.ts'
import { Authority } from '../../src/tls/authority.ts'
import { tlsContextEntries } from '../../src/tls/context-keys.ts'
import type { TlsContexts } from '../../src/tls/contexts.ts'
import { sameTrust } from '../../src/tls/trust.ts'
import { intermediateAuthority, issueClient, type PkiDirectory, pkiDirectory } from '../support/test-ca.ts'
import { factsOf, file, type Gate, load, openGate, scopeOf, type TlsOptions, visit } from './gate-harness.ts'

const DAY = 86_400_000
const HOUR = 3_600_000
const STALE = { thisUpdate: Date.now() - 2 * DAY, nextUpdate: Date.now() - DAY }
type Client = { readonly cert: string; readonly key: string }

function scopeWith(directory: PkiDirectory, more: TlsOptions) {
  return scopeOf({
    tls_certificate: file(directory.file('server.pem')),
    tls_key: file(directory.file('server.key')),
    tls_client_ca: file(directory.file('ca.pem')),
    ...more,
  })
}

async function verdictAt(gate: Gate, credential: Client): Promise<string> {
  await visit(gate.port, { credential })
  const { peer } = await factsOf(gate)
  return peer.kind === 'unverified' ? peer.cause : peer.kind
}

/** A gate that follows its lists, and the panics that it raised. */
async function following(
  directory: PkiDirectory,
  source: string,
  { clock = Date.now, more = {} }: { clock?: () => number; more?: TlsOptions } = {},
) {
  const events: ServerEvent[] = []
  const scope = scopeWith(directory, { tls_client_crl: file(source), ...more })
  const contexts: TlsContexts = await load([scope], { events, clock, watchInterval: 20 })
  contexts.watch()
  const gate = await openGate(contexts, scope)
  const panics = () =>
    events.flatMap((event) => (event.kind === 'panic' ? [`${event.level} ${event.text}`] : []))
  return {
    gate,
    contexts,
    /** resolves when something was told that fits */
    told: async (pattern: RegExp) => {
      for (let i = 0; i < 250 && !panics().some((text) => pattern.test(text)); i += 1) await delay(20)
      assert.ok(
        panics().some((text) => pattern.test(text)),
        `${pattern} in ${panics().join('\n')}`,
      )
    },
    panics,
    [Symbol.asyncDispose]: async () => {
      await contexts.close()
      await gate[Symbol.asyncDispose]()
    },
  }
}

suite('followed', () => {
  test('a revocation is in force without a reload, and a ticket from before is worth nothing', async () => {
    await using directory = await pkiDirectory()
    const { authority, clients } = directory.pki
    const source = await directory.write('list.pem', authority.crl())
    await using watch = await following(directory, source)
    const { session } = await visit(watch.gate.port, { credential: clients.valid })
    assert.equal((await factsOf(watch.gate)).peer.kind, 'verified')
    await directory.write('new.pem', authority.crl({ revoked: [clients.valid.serial] }))
    await rename(directory.file('new.pem'), source)
    await watch.told(/^notice .*list\.pem: 1 revocation lists are in force/)
    const again = await visit(watch.gate.port, { credential: clients.valid, session })
    const { peer } = await factsOf(watch.gate)
    assert.equal(again.reused, false)
    assert.equal(peer.kind === 'unverified' && peer.cause, 'revoked')
  })

  test('a directory: lists come and go, links are followed, and hidden files do not count', async () => {
    await using directory = await pkiDirectory()
    const { authority, clients, crl } = directory.pki
    const middle = await intermediateAuthority({})
    const leaf = middle.issue({ subject: 'leaf' })
    const chain = { cert: leaf.cert + middle.cert, key: leaf.key }
    await mkdir(directory.file('lists'))
    await directory.write('lists/root.pem', crl)
    await directory.write('lists/.hidden', 'garbage')
    await using watch = await following(directory, directory.file('lists'))
    assert.equal(await verdictAt(watch.gate, chain), 'crl-missing')
    const elsewhere = await directory.write('middle.pem', middle.crl())
    await symlink(elsewhere, directory.file('lists/middle.pem'))
    await watch.told(/2 revocation lists are in force/)
    assert.equal(await verdictAt(watch.gate, chain), 'verified')
    assert.equal(await verdictAt(watch.gate, clients.revoked), 'revoked')
    // what the link leads to is replaced
    await directory.write('middle.new', middle.crl({ revoked: [leaf.serial] }))
    await rename(directory.file('middle.new'), elsewhere)
    for (let i = 0; i < 100 && (await verdictAt(watch.gate, chain)) !== 'revoked'; i += 1) await delay(20)
    assert.equal(await verdictAt(watch.gate, chain), 'revoked')
    await unlink(directory.file('lists/middle.pem'))
    await watch.told(
      /^critical .*the list of "CN=Postern test intermediate" is gone; the last good one stays/,
    )
    assert.equal(await verdictAt(watch.gate, chain), 'revoked')
    assert.ok(authority)
  })

  test('close ends it', async () => {
    await using directory = await pkiDirectory()
    const { authority, clients } = directory.pki
    const source = await directory.write('list.pem', authority.crl())
    await using watch = await following(directory, source)
    await watch.contexts.close()
    await directory.write('list.pem', authority.crl({ revoked: [clients.valid.serial] }))
    await delay(100)
    assert.equal(await verdictAt(watch.gate, clients.valid), 'verified')
  })

  test('after a reload one follows for both: a revocation reaches the sessions of before, each alarm is raised once', async () => {
    await using directory = await pkiDirectory()
    const { authority, clients } = directory.pki
    const source = await directory.write('list.pem', authority.crl())
    const only = await directory.write('only.pem', authority.crl())
    const scope = scopeWith(directory, { tls_client_crl: file(source) })
    const own = scopeOf({ ...scope.options, tls_client_crl: file(only) }, 'own')
    const events: ServerEvent[] = []
    const generations: TlsContexts[] = []
    for (const scopes of [[scope, own], [scope], [scope]]) {
      const previous = generations.at(-1)
      const next = await load(scopes, { events, watchInterval: 20, ...(previous && { previous }) })
      previous?.handOver(next.watch())
      generations.push(next.watch())
    }
    const [first, second] = generations
    assert.ok(first && second)
    await using gate = await openGate(first, scope)
    for (const contexts of [first, second]) {
      gate.use(contexts, scope)
      assert.equal(await verdictAt(gate, clients.valid), 'verified')
    }
    await directory.write('new.pem', authority.crl({ revoked: [clients.valid.serial] }))
    await rename(directory.file('new.pem'), source)
    gate.use(first, scope)
    for (let i = 0; i < 250 && (await verdictAt(gate, clients.valid)) !== 'revoked'; i += 1) await delay(20)
    for (const contexts of [first, second]) {
      gate.use(contexts, scope)
      assert.equal(await verdictAt(gate, clients.valid), 'revoked')
    }
    // what the new configuration does not have is still followed for the old one
    await directory.write('new.pem', authority.crl({ revoked: [clients.valid.serial] }))
    await rename(directory.file('new.pem'), only)
    gate.use(first, own)
    for (let i = 0; i < 250 && (await verdictAt(gate, clients.valid)) !== 'revoked'; i += 1) await delay(20)
    assert.equal(await verdictAt(gate, clients.valid), 'revoked')
    await directory.write('list.pem', 'garbage')
    for (
      let i = 0;
      i < 50 && !events.some((event) => event.kind === 'panic' && event.level === 'critical');
      i += 1
    )
      await delay(20)
    await delay(100)
    assert.equal(events.filter((event) => event.kind === 'panic' && event.level === 'critical').length, 1)
    await Promise.all(generations.map((each) => each.close()))
  })
})

suite('checked before use: the last good list stays in force, and an alarm is raised', () => {
  const impostor = Authority.root({ subject: 'Postern test CA' })
  const cases: readonly [string, (own: Authority) => string, RegExp][] = [
    ['garbage', () => 'garbage', /^critical .*it holds no CRL; the last good lists stay in force/],
    ['an empty file', () => '', /^critical .*it holds no CRL/],
    ['half a list', (own) => own.crl().slice(0, 200), /^critical .*is not closed/],
    ['a list that another key signed', () => impostor.crl(), /^critical .*is not signed by that CA/],
    [
      'an older list',
      (own) => own.crl({ thisUpdate: Date.now() - DAY }),
      /^critical .*is older than the one in force/,
    ],
    [
      'a list from the future',
      (own) => own.crl({ thisUpdate: Date.now() + DAY }),
      /^critical .*is not valid yet/,
    ],
    [
      'the list of another CA',
      () => Authority.root({ subject: 'Other' }).crl(),
      /^critical .*"CN=Postern test CA" is gone/,
    ],
  ]
  for (const [name, make, alarm] of cases) {
    test(name, async () => {
      await using directory = await pkiDirectory()
      const { authority, clients, crl } = directory.pki
      const source = await directory.write('list.pem', crl)
      await using watch = await following(directory, source)
      await directory.write('list.pem', make(authority))
      await watch.told(alarm)
      assert.equal(await verdictAt(watch.gate, clients.revoked), 'revoked')
      assert.equal(await verdictAt(watch.gate, clients.valid), 'verified')
      const before = watch.panics().filter((text) => alarm.test(text)).length
      await delay(100)
      assert.equal(watch.panics().filter((text) => alarm.test(text)).length, before, 'told once')
      await directory.write('list.pem', authority.crl({ revoked: [clients.valid.serial] }))
      for (let i = 0; i < 100 && (await verdictAt(watch.gate, clients.valid)) !== 'revoked'; i += 1)
        await delay(20)
      assert.equal(await verdictAt(watch.gate, clients.valid), 'revoked', 'a good list is taken again')
    })
  }

  test('a file that vanishes', async () => {
    await using directory = await pkiDirectory()
    const source = await directory.write('list.pem', directory.pki.crl)
    await using watch = await following(directory, source)
    await rm(source)
    await watch.told(/^critical .*no such file; the last good lists stay in force/)
    assert.equal(await verdictAt(watch.gate, directory.pki.clients.revoked), 'revoked')
  })

  test('one bad file of a directory does not keep the others out', async () => {
    await using directory = await pkiDirectory()
    const { authority, clients, crl } = directory.pki
    await mkdir(directory.file('lists'))
    await directory.write('lists/root.pem', crl)
    await using watch = await following(directory, directory.file('lists'))
    await directory.write('lists/bad.pem', 'garbage')
    await directory.write('lists/root.pem', authority.crl({ revoked: [clients.valid.serial] }))
    await watch.told(/^critical .*bad\.pem: it holds no CRL/)
    assert.equal(await verdictAt(watch.gate, clients.valid), 'revoked')
  })

  test('at start a directory with a bad file, and an empty one, are errors', async () => {
    await using directory = await pkiDirectory()
    await mkdir(directory.file('lists'))
    const scope = scopeWith(directory, { tls_client_crl: file(directory.file('lists')) })
    await assert.rejects(load([scope]), /the directory holds no CRL/)
    await directory.write(path.join('lists', 'bad.pem'), 'garbage')
    await assert.rejects(load([scope]), ConfigError)
  })
})

suite('age', () => {
  test('a list that goes out of date, or is not replaced for too long, raises an alarm, and again the next day', async () => {
    await using directory = await pkiDirectory()
    const { authority } = directory.pki
    const now = Date.now()
    const time = { now }
    const source = await directory.write(
      'list.pem',
      authority.crl({ thisUpdate: now, nextUpdate: now + 2 * HOUR }),
    )
    const more = { tls_client_crl_alarm_age: 3600 }
    await using watch = await following(directory, source, { clock: () => time.now, more })
    await delay(60)
    assert.deepEqual(watch.panics(), [])
    time.now = now + HOUR + 1000
    await watch.told(/^warning .*CN=Postern test CA" was made on .* more than 3600 seconds ago/)
    time.now = now + 2 * HOUR
    await watch.told(/^error .*CN=Postern test CA" is out of date since /)
    await delay(60)
    assert.equal(watch.panics().length, 2)
    time.now += 25 * HOUR
    for (let i = 0; i < 100 && watch.panics().length < 4; i += 1) await delay(20)
    assert.equal(watch.panics().length, 4)
  })
})

/** The verdict in a scope with these lists, soft unless said otherwise. */
async function verdict(
  directory: PkiDirectory,
  lists: string,
  client: Client,
  more: TlsOptions = { tls_client_crl_mode: 'soft' },
): Promise<string> {
  const source = await directory.write('lists.pem', lists)
  const scope = scopeWith(directory, { tls_client_crl: file(source), ...more })
  await using gate = await openGate(await load([scope]), scope)
  await visit(gate.port, { credential: client })
  const facts = await factsOf(gate)
  const forgiven = tlsContextEntries(facts, 'rfc4514').get('tls_client_crl_forgiven') === 'yes'
  return `${facts.peer.kind === 'unverified' ? facts.peer.cause : facts.peer.kind}${forgiven ? ', forgiven' : ''}`
}

suite('TLS_Client_CRL_Mode', () => {
  test('soft forgives a list that is missing or out of date, hard does not', async () => {
    await using directory = await pkiDirectory()
    const { authority, clients, crl } = directory.pki
    const middle = await intermediateAuthority({})
    const leaf = middle.issue({ subject: 'leaf' })
    const chain = { cert: leaf.cert + middle.cert, key: leaf.key }
    const stale = authority.crl(STALE)
    assert.equal(await verdict(directory, stale, clients.valid, {}), 'crl-expired')
    assert.equal(await verdict(directory, stale, clients.valid), 'verified, forgiven')
    assert.equal(await verdict(directory, crl, chain, {}), 'crl-missing')
    assert.equal(await verdict(directory, crl, chain), 'verified, forgiven')
    assert.equal(await verdict(directory, crl + middle.crl(), chain), 'verified')
  })

  test('who is listed stays revoked, in a list that is out of date too, and under a CA that is listed', async () => {
    await using directory = await pkiDirectory()
    const { authority, clients, crl } = directory.pki
    const stale = authority.crl({ ...STALE, revoked: [clients.valid.serial] })
    assert.equal(await verdict(directory, stale, clients.valid), 'revoked')
    const middle = await intermediateAuthority({})
    const leaf = middle.issue({ subject: 'leaf' })
    const chain = { cert: leaf.cert + middle.cert, key: leaf.key }
    const listed = authority.crl({ ...STALE, revoked: [middle.credential.serial] })
    assert.equal(await verdict(directory, listed, chain), 'revoked')
    const old = middle.crl({ ...STALE, revoked: [leaf.serial] })
    assert.equal(await verdict(directory, crl + old, chain), 'revoked')
  })

  test('a list whose signature is wrong is not one that is missing', async () => {
    await using directory = await pkiDirectory()
    const middle = await intermediateAuthority({})
    const leaf = middle.issue({ subject: 'leaf' })
    const impostor = await intermediateAuthority({})
    const chain = { cert: leaf.cert + middle.cert, key: leaf.key }
    assert.match(await verdict(directory, directory.pki.crl + impostor.crl(), chain), /^crl-/)
  })

  for (const eku of ['clientAuth', 'any', 'report'] as const) {
    test(`soft excuses nothing else, with ${eku}: not the attacker's own root, nor dates, usage or signature`, async () => {
      await using directory = await pkiDirectory()
      const { authority, clients } = directory.pki
      const own = Authority.root({ subject: 'Attacker' })
      const namesake = Authority.root({ subject: 'Postern test CA' })
      const more = { tls_client_crl_mode: 'soft', tls_client_eku: eku } as const
      for (const root of [own, namesake]) {
        for (const usage of ['client', 'server'] as const) {
          const leaf = root.issue({ subject: 'leaf', usage })
          const chain = { key: leaf.key, cert: leaf.cert + root.cert }
          assert.equal(await verdict(directory, authority.crl(STALE), chain, more), 'untrusted')
        }
      }
      const stale = authority.crl(STALE)
      const past = { notBefore: Date.now() - 9 * DAY, notAfter: Date.now() - DAY }
      assert.equal(await verdict(directory, stale, clients.selfsigned, more), 'untrusted')
      assert.match(await verdict(directory, stale, await issueClient(past), more), /^(expired|crl-expired)$/)
      const server = await verdict(directory, stale, clients['wrong-usage'], more)
      if (eku === 'any') assert.equal(server, 'verified, forgiven')
      else assert.match(server, /^(wrong-usage|crl-expired)$/)
    })
  }

  test('a soft scope gives no tickets and does not judge like a hard one', async () => {
    await using directory = await pkiDirectory()
    const { authority, clients } = directory.pki
    const source = file(await directory.write('list.pem', authority.crl(STALE)))
    const soft = scopeWith(directory, { tls_client_crl: source, tls_client_crl_mode: 'soft' })
    await using gate = await openGate(await load([soft]), soft)
    const { session } = await visit(gate.port, { credential: clients.valid })
    const { reused } = await visit(gate.port, { credential: clients.valid, session })
    assert.equal(reused, false)
    assert.equal(sameTrust(soft.options, scopeWith(directory, { tls_client_crl: source }).options), false)
  })
})
