import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { editDistance, nearest } from './edit-distance.ts'
import { displayName, displayScopes, findOption, findStanza, namesIn } from './known-names.ts'
import { knownOptions } from './known-options.ts'
import { acceptedStanzas, knownStanzas, restrictingStanzas } from './known-stanzas.ts'
import { inboundOptions } from './options-inbound.ts'
import { alreadySo, restricting } from './restricting.ts'

const summary = knownOptions.flatMap(({ names }) => names.trim().split(/\s+/))
const stanzas = knownStanzas.flatMap(({ names }) => names.trim().split(/\s+/))

describe('names', () => {
  test('every option that would restrict is known: a name mistyped in that table would guard nothing', () => {
    for (const name of [...Object.keys(restricting), ...Object.keys(alreadySo)]) {
      assert.ok(summary.includes(name) || name === 'enabled', name)
      assert.equal(findOption(name, 'global')?.kind === 'acts', false, name)
    }
    for (const name of [...Object.keys(restrictingStanzas), ...acceptedStanzas]) {
      assert.ok(findStanza(name, name === 'peer' ? 'http_listener' : 'global') !== undefined, name)
    }
  })

  test('what every object of the language has is no name', () => {
    for (const name of ['constructor', '__proto__']) {
      assert.equal(findOption(name, 'global'), undefined)
      assert.equal(findStanza(name, 'global'), undefined)
      assert.equal(displayName(name).toLowerCase(), name)
    }
  })

  test('names are in lower case, and no stanza is both read and skipped', () => {
    for (const name of [...summary, ...stanzas]) assert.equal(name, name.toLowerCase())
    for (const name of stanzas) {
      for (const scope of ['global', 'listen', 'binding', 'domain'] as const) {
        assert.notEqual(findStanza(name, scope)?.kind, 'read', name)
      }
    }
  })

  test("an option acts in the scopes that Momentum's summary gives it, and in no others that it names", () => {
    // Momentum's change log has these in Peer, the design has the limit everywhere
    const wider = [
      'authplainparameters',
      'authloginparameters',
      'authcrammd5parameters',
      'max_recipients_per_connection',
    ]
    const ours = ['esmtp_listener', 'listen', 'peer', 'pathway', 'pathway_group', 'global']
    for (const { scopes, names } of knownOptions) {
      for (const name of names.trim().split(/\s+/)) {
        if (!Object.hasOwn(inboundOptions, name) || wider.includes(name)) continue
        const row = inboundOptions[name as keyof typeof inboundOptions]
        const theirs = scopes.split(' ').filter((scope) => ours.includes(scope))
        assert.deepEqual([...row.scopes].toSorted(), theirs.toSorted(), name)
      }
    }
  })

  test('TLS_Verify_Mode is not valid in global, domain, binding or host', () => {
    for (const scope of ['global', 'domain', 'binding', 'binding_group', 'host'] as const) {
      assert.equal(findOption('tls_verify_mode', scope)?.kind, 'elsewhere')
    }
  })

  test('names and scopes are shown as Momentum writes them', () => {
    assert.equal(displayName('tls_verify_mode'), 'TLS_Verify_Mode')
    assert.equal(displayName('tlsv13_ciphersuites'), 'TLSv13_Ciphersuites')
    assert.equal(displayName('authplainparameters'), 'AuthPlainParameters')
    assert.equal(displayScopes(['peer', 'xmpp_listener', 'listen', 'global']), 'global, Listen and Peer')
    assert.equal(displayScopes(['logs']), 'Logs')
    assert.ok(namesIn('peer').includes('TLS_Verify_Mode') && !namesIn('peer').includes('Enable'))
  })
})

describe('suggestions', () => {
  test('the nearest word, where one is near', () => {
    assert.equal(nearest('requre', ['none', 'require']), 'require')
    assert.equal(nearest('REQUIER', ['none', 'require']), 'require')
    assert.equal(nearest('maybe', ['none', 'require']), undefined)
    assert.equal(nearest('x', ['1', '0', 'on']), undefined)
    assert.equal(nearest('x'.repeat(100_000), ['none']), undefined)
  })

  test('the distance counts inserted, deleted, replaced and swapped characters', () => {
    assert.equal(editDistance('', 'abc'), 3)
    assert.equal(editDistance('abc', 'abc'), 0)
    assert.equal(editDistance('abcd', 'acbd'), 1)
    assert.equal(editDistance('kitten', 'sitting'), 3)
  })
})
