/** `postern check`, as far as no other file tries it: what scripts do that nothing serves. */

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, test } from 'node:test'
import { runCheck } from './check.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'postern-check-'))
after(() => rmSync(folder, { recursive: true, force: true }))

writeFileSync(
  path.join(folder, 'mod.lua'),
  `require("msys.core") require("msys.httpsrv")
local mod = {}
function mod:rsrc_setup()
  msys.httpsrv.register("GET", "/status", function() end)
  msys.httpsrv.register("GET", "/queue/", function() end)
  return true
end
msys.registerModule("mod", mod)
`,
)

/** What it prints to stderr; it must not fail. */
async function check(http: string): Promise<string> {
  const file = path.join(folder, 'gate.conf')
  const script = 'scriptlet "scriptlet" { script "mod" { source = "mod.lua" } }'
  writeFileSync(file, `${script}\nESMTP_Listener { Listen "127.0.0.1:0" { } }\n${http}\n`)
  const printed: string[] = []
  const io = {
    stdout: { write: () => true },
    stderr: { write: (text: string) => printed.push(text) > 0 },
  } as unknown as Parameters<typeof runCheck>[1]
  assert.equal(await runCheck(file, io), 0, printed.join(''))
  return printed.join('')
}

test('endpoints that scripts register and no HTTP_Listener serves are warned about', async () => {
  const warning =
    /warning: scripts register the endpoint \/status and 1 more, and no HTTP_Listener has Script_Endpoints = true/
  assert.match(await check(''), warning)
  assert.match(await check('HTTP_Listener { Listen "127.0.0.1:0" { } }'), warning)
  const off = 'HTTP_Listener { Script_Endpoints = true Listen "127.0.0.1:0" { Enable = false } }'
  assert.match(await check(off), warning)
  const on = 'HTTP_Listener { Listen "127.0.0.1:0" { Script_Endpoints = true } }'
  assert.doesNotMatch(await check(on), /endpoint/)
})
