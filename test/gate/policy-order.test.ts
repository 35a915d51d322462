/**
 * Three scripts in Lua and a policy in TypeScript, all of which wait for DNS in every phase, in one session: each is
 * asked when the one before has had its answer, in the order of the configuration, and the phases in theirs.
 */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TestDnsServer } from '../support/dns-server.ts'
import { SmtpClient } from '../support/smtp-client.ts'
import { MAILDIR, startTestGate } from '../support/test-gate.ts'

/** The phases of docs/hooks/README.md: arguments in Lua, and the method in TypeScript. */
const phases = {
  connect: ['ac, vctx', 'connect'],
  ehlo: ['str, ac, vctx', 'ehlo'],
  mailfrom: ['str, ac, vctx', 'mailFrom'],
  rcptto: ['msg, str, ac, vctx', 'rcptTo'],
  data: ['msg, ac, vctx', 'data'],
  data_spool: ['msg, ac, vctx', 'dataSpool'],
  data_spool_each_rcpt: ['msg, ac, vctx', 'dataSpoolEachRcpt'],
} as const

/** in the order of the configuration; `third` is the one in TypeScript */
const scripts = ['first', 'second', 'third', 'fourth']

/** What a script asks DNS in a phase. */
const question = (phase: string, script: string): string => `${phase.replaceAll('_', '-')}.${script}.test`

/** Each phase writes what DNS says, and who said it last. */
function lua(script: string): string {
  const callouts = Object.entries(phases).map(
    ([phase, [args]]) => `function mod:validate_${phase}(${args})
  local before = vctx:get(core.VCTX_CONN, "trail")
  local found = msys.dnsLookup("${question(phase, script)}", "TXT")
  vctx:set(core.VCTX_CONN, "trail", before .. " " .. found[1])
  return core.VALIDATE_CONT
end`,
  )
  return `local core = require("msys.core") require("msys.extended.vctx") require("msys.extended.message")
local mod = {}
${callouts.join('\n')}
msys.registerModule("${script}", mod)
`
}

function typescript(script: string, port: number): string {
  const methods = Object.entries(phases).map(
    ([phase, [, method]]) => `async ${method}(session: Session) {
    const before = session.context.get('connection', 'trail')
    const [[found = ''] = []] = await dns.resolveTxt('${question(phase, script)}')
    session.context.set('connection', 'trail', before + ' ' + found)
  },`,
  )
  return `import { Resolver } from 'node:dns/promises'
import { definePolicy, type Session } from 'postern'
const dns = new Resolver()
dns.setServers(['127.0.0.1:${port}'])
export const policy = definePolicy({
  ${methods.join('\n  ')}
})
`
}

test('three scripts and a policy in TypeScript wait for DNS in every phase of a session, in the documented order', async (t) => {
  const dns = await TestDnsServer.start()
  t.after(() => dns.close())
  const order = Object.keys(phases).flatMap((phase) => scripts.map((script) => ({ phase, script })))
  dns.zone = Object.fromEntries(
    order.map(({ phase, script }) => [`TXT ${question(phase, script)}`, [`${phase}/${script}`]]),
  )
  const files = scripts.map((script) =>
    script === 'third'
      ? ([`${script}.ts`, typescript(script, dns.port)] as const)
      : ([`${script}.lua`, lua(script)] as const),
  )
  const named = files.map(([name]) => `script "${name.replace(/\..*/, '')}" { source = "./${name}" }`)
  const gate = await startTestGate({
    files: Object.fromEntries(files),
    conf: `DNS_Servers = ( "127.0.0.1:${dns.port}" )
scriptlet "scriptlet" { ${named.join(' ')} }
ESMTP_Listener { SMTP_Extensions = ( "XDUMPCONTEXT" ) Listen "127.0.0.1:0" { } }
${MAILDIR}`,
  })
  t.after(() => gate.stop())

  const client = await SmtpClient.connect(gate.address())
  t.after(() => client.destroy())
  assert.match(await client.reply(), /^220 /)
  await client.ehlo()
  assert.match(
    await client.deliver('a@client.example', 'ann@gate.example', 'Subject: x\n\nx'),
    /^250 /,
    gate.events.map((event) => (event.kind === 'panic' ? event.text : '')).join('\n'),
  )

  const asked = dns.asked.filter(({ type, name }) => type === 'TXT' && name !== '')
  assert.deepEqual(
    asked.map(({ name }) => name),
    order.map(({ phase, script }) => question(phase, script)),
  )
  assert.equal(
    (await client.context()).get('connection.trail')?.trim(),
    order.map(({ phase, script }) => `${phase}/${script}`).join(' '),
  )
})
