/** The configurations that the pages about moving print are understood without a word of complaint. */

import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { loadSettingsFromText } from '../src/config/load.ts'
import { makePki, writePki } from '../src/tls/pki.ts'

const docs = path.join(import.meta.dirname, '..', 'docs')
const folder = mkdtempSync(path.join(tmpdir(), 'postern-migration-'))
after(() => rmSync(folder, { recursive: true }))
before(async () => writePki(folder, await makePki()))

for (const name of ['migrate-from-postfix.md', 'migrate-from-momentum.md']) {
  const text = readFileSync(path.join(docs, name), 'utf8')
  const blocks = [...text.matchAll(/```conf\n([^]*?)```/g)].map(([, block = '']) => block)

  for (const [index, block] of blocks.entries()) {
    test(`${name}, configuration ${index + 1} is understood`, async () => {
      const here = block
        .replaceAll('/etc/postern/server', path.join(folder, 'server'))
        .replaceAll('/etc/postern/partners-ca', path.join(folder, 'ca'))
      const { settings, diagnostics } = await loadSettingsFromText(here, path.join(folder, 'gate.conf'))
      assert.ok(settings !== undefined, JSON.stringify(diagnostics))
      assert.deepEqual(
        diagnostics.filter(({ severity }) => severity === 'error'),
        [],
      )
    })
  }

  test(`${name} names no option that is not there`, () => {
    const options = readFileSync(path.join(docs, 'options.md'), 'utf8')
    const known = new Set(
      [...options.matchAll(/`([A-Za-z0-9_]+)`/g)].map(([, each = '']) => each.toLowerCase()),
    )
    const claimed = [...text.matchAll(/`([A-Z][A-Za-z0-9]*(?:_[A-Za-z0-9]+)+)(?: = [^`]*)?`/g)].map(
      ([, option = '']) => option,
    )
    assert.ok(claimed.length > 5)
    for (const option of claimed) assert.ok(known.has(option.toLowerCase()), option)
  })
}
