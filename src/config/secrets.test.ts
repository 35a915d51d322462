import assert from 'node:assert/strict'
import { test } from 'node:test'
import { withoutPasswords } from './secrets.ts'

test('a password in a connection string is hidden to its end, whatever it holds, and nothing else is', () => {
  const at = { file: '', line: 1, column: 1, length: 1 }
  const cases: Readonly<Record<string, string>> = {
    'pgsql:host=h;password=hunter2 horse;user=u': 'pgsql:host=h;password=***;user=u',
    "pgsql:host=h;password='a;b c';user=u": 'pgsql:host=h;password=***;user=u',
    'pgsql:host=h;user=u;password=hunter2 horse': 'pgsql:host=h;user=u;password=***',
    'postgres://u:hun@ter2@host/db': 'postgres://u:***@host/db',
    'https://ann:hunter2@host/x': 'https://ann:***@host/x',
    'https://host/x': 'https://host/x',
    'https://host/x?a=1&access_token=hunter2&key=hunter2#b': 'https://host/x?a=1&access_token=***&key=***#b',
    'SELECT 1 WHERE password = $1 AND name = $2': 'SELECT 1 WHERE password = *** AND name = $2',
  }
  for (const [text, shown] of Object.entries(cases)) {
    const value = withoutPasswords('uri', { kind: 'scalar', text, at })
    assert.equal(value.kind === 'scalar' && value.text, shown)
  }
})
