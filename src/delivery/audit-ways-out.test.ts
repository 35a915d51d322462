import assert from 'node:assert/strict'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { loadSettingsFromText } from '../config/load.ts'
import { auditWaysOut } from './audit-ways-out.ts'

const folder = mkdtempSync(join(tmpdir(), 'postern-audit-'))
after(() => rmSync(folder, { recursive: true }))
const file = (name: string, text: string, mode: number): void => {
  writeFileSync(join(folder, name), text)
  chmodSync(join(folder, name), mode)
}
file('program', '#!/bin/sh\n', 0o755)
file('open-program', '#!/bin/sh\n', 0o777)
file('text', 'no program', 0o644)
file('good.key', 'k'.repeat(32), 0o640)
file('open.key', 'k'.repeat(32), 0o644)
file('short.key', 'k', 0o600)

async function audit(text: string, uid = 1000): Promise<readonly string[]> {
  const { settings, diagnostics } = await loadSettingsFromText(text, join(folder, 'gate.conf'))
  assert.ok(settings !== undefined, diagnostics.map(({ message }) => message).join('\n'))
  const found = await auditWaysOut(settings, uid)
  return found.map(({ severity, message }) => `${severity} ${message}`)
}

const pipe = (options: string): string => `pipe_transport "p" { domain = ( "p.example" ) ${options} }`
const webhook = (options: string): string =>
  `webhook "w" { url = "http://127.0.0.1/" domains = ( "w.example" ) ${options} }`

for (const text of [
  '',
  'Delivery_Method = "LMTP" TLS = "required"',
  'TLS = "required" Domain "old.example" { Delivery_Method = "SMTP" TLS = "no" }',
  pipe('program_name = "program"'),
  webhook('key_file = "good.key"'),
]) {
  test(`nothing is said about ${text === '' ? 'an empty configuration' : text}`, async () => {
    assert.deepEqual(await audit(text), [])
  })
}

const told: readonly (readonly [string, RegExp])[] = [
  [
    'TLS = "required" Domain "x.example" { Delivery_Method = "SMTP" }',
    /^error Delivery_Method = "SMTP" knows no STARTTLS/,
  ],
  [pipe('program_name = "missing"'), /^error .*"missing" cannot be run: ENOENT$/],
  [pipe('program_name = "text"'), /^error .*"text" cannot be run: EACCES$/],
  [pipe('program_name = "."'), /^error .* is not a file$/],
  [pipe('program_name = "open-program"'), /^warning .* can be written by others than its owner$/],
  [pipe('program_name = "program" directory = "nowhere"'), /^error .* there is no folder/],
  [pipe('program_name = "program" output_file = "nowhere/out"'), /^warning .* there is no folder/],
  [webhook('key_file = "missing.key"'), /^error .*Key_File "missing\.key": /],
  [webhook('key_file = "short.key"'), /^error .* a key needs at least 32$/],
  [webhook('key_file = "open.key"'), /^warning .*everybody on this machine can read the key/],
  [
    'webhook "w" { url = "https://w.example/" domains = ( "w.example" ) key_file = "good.key" tls_ca = "text" }',
    /^error webhook "w": TLS_CA, /,
  ],
]

for (const [text, message] of told) {
  test(`it is told once: ${text}`, async () => {
    const found = await audit(text)
    assert.equal(found.length, 1, found.join('\n'))
    assert.match(found[0] ?? '', message)
  })
}

test('programs that would run as root are warned of, unless root is given up', async () => {
  const text = pipe('program_name = "program"')
  assert.match((await audit(text, 0)).join(), /^warning the programs of pipe_transport run as root/)
  assert.deepEqual(await audit(`${text}\nSecurity { User = "nobody" }`, 0), [])
})
