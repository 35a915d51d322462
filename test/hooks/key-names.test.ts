/** `check` points out context keys that a script misspells. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { connectionKeys } from '../../src/policy/context-names.ts'
import { tlsContextKeys } from '../../src/tls/context-keys.ts'
import { callout, load } from './scripts.fixture.ts'

const found = async (body: string) =>
  (await load({ gate: callout(`${body}\nreturn core.VALIDATE_CONT`) })).diagnostics.map(
    ({ severity, message }) => `${severity}: ${message}`,
  )

test('a key that is close to a predefined one, and set by nobody, is pointed out with its line', async () => {
  assert.deepEqual(
    await found(`local a = vctx:get(core.VCTX_CONN, "tls_client_verifed")
      local b = vctx:get(msys.core.VCTX_MESS, 'mailfrom_domian')`),
    [
      'warning: script "gate": gate.lua:4: the key "tls_client_verifed" is set by nobody; did you mean "tls_client_verified"?',
      'warning: script "gate": gate.lua:5: the key "mailfrom_domian" is set by nobody; did you mean "mailfrom_domain"?',
    ],
  )
})

test('a key that belongs to the other dictionary is pointed out', async () => {
  assert.deepEqual(await found('local a = vctx:get(core.VCTX_MESS, "tls_client_verified")'), [
    'warning: script "gate": gate.lua:4: the key "tls_client_verified" is in the context of the connection, not in that of the message',
  ])
})

test('keys that exist, that the script sets, that resemble nothing, and comments are left alone', async () => {
  assert.deepEqual(
    await found(`local a = vctx:get(core.VCTX_CONN, "tls_client_verified")
      vctx:set(core.VCTX_CONN, "tls_client_verifiedx", "1")
      local b = vctx:get(core.VCTX_CONN, "tls_client_verifiedx")
      local c = vctx:get(core.VCTX_CONN, "partner_name")
      -- vctx:get(core.VCTX_CONN, "tls_client_verifed")
      --[[ vctx:get(core.VCTX_CONN,
      "tls_client_verifed") ]]
      local d = vctx:get(core.VCTX_CONN, name)`),
    [],
  )
})

test('every key that TLS sets is known', () => {
  for (const key of tlsContextKeys) assert.ok(connectionKeys.includes(key), key)
})
