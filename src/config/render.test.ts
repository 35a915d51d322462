import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Diagnostic } from './diagnostic.ts'
import { quote, renderDiagnostics } from './render.ts'

const error = (message: string, line: number, column: number, length = 1): Diagnostic => ({
  severity: 'error',
  message,
  at: { file: 'gate.conf', line, column, length },
})

describe('diagnostics as text', () => {
  test('place, severity, message, the line, a caret under the text', () => {
    const source = `${'\n'.repeat(11)}    TLS_Verify_Mode = "requre"\n`
    const message = 'TLS_Verify_Mode is "require" or "none", not "requre"; did you mean "require"?'
    assert.equal(
      renderDiagnostics([error(message, 12, 23, 8)], () => source),
      [
        'gate.conf:12:23: error: TLS_Verify_Mode is "require" or "none", not "requre"; did you mean "require"?',
        '   12 |     TLS_Verify_Mode = "requre"',
        '      |                       ^~~~~~~~',
        '',
      ].join('\n'),
    )
  })

  test('a note has its own place; without a source or a place there is no excerpt', () => {
    const at = { file: 'b.conf', line: 1, column: 1, length: 3 }
    const text = renderDiagnostics(
      [
        { ...error('x', 2, 1), note: { message: 'opened here', at } },
        { severity: 'warning', message: 'y' },
      ],
      (file) => (file === 'b.conf' ? 'abc {' : undefined),
    )
    assert.equal(
      text,
      'gate.conf:2:1: error: x\nb.conf:1:1: note: opened here\n    1 | abc {\n      | ^~~\nwarning: y\n',
    )
  })

  test('tabs stay tabs under tabs, and the underline ends with the line', () => {
    assert.equal(
      renderDiagnostics([error('x', 1, 4, 99)], () => '\ta\tbc\r\n'),
      'gate.conf:1:4: error: x\n    1 | \ta\tbc\n      | \t \t^~\n',
    )
  })

  test('a very long line is cut around the place', () => {
    const text = renderDiagnostics(
      [error('x', 1, 5001, 3)],
      () => `${'a'.repeat(5000)}bcd${'e'.repeat(5000)}`,
    )
    const [, shown = '', underline = ''] = text.split('\n')
    assert.ok(shown.length < 260)
    assert.equal(shown.slice(underline.indexOf('^'), underline.indexOf('^') + 3), 'bcd')
  })

  test('a password for next hops is not shown, whatever else is wrong in its line', () => {
    for (const [line, shown] of [
      ['A = 1 Outbound_SMTP_Auth_Pass = "top secret" }', 'A = 1 Outbound_SMTP_Auth_Pass = **************'],
      ['Outbound_SMTP_Auth_Pas=topsecret B = 2', 'Outbound_SMTP_Auth_Pas=***************'],
      ['outbound_smtp_auth_pass = ( "top" "secret" )', 'outbound_smtp_auth_pass = ( ****************'],
      ["outbound_smtp_auth_pass = 'top secret'", 'outbound_smtp_auth_pass = ************'],
      ['outbound_smtp_auth_pass = "top secret', 'outbound_smtp_auth_pass = ***********'],
      ['Outbound_SMTP_Auth_Pass topsecret', 'Outbound_SMTP_Auth_Pass *********'],
      ['Outbound_SMTP_Auth_Pass"topsecret"', 'Outbound_SMTP_Auth_Pass***********'],
      ['Outbound_SMTP_Auth_Pass: topsecret', 'Outbound_SMTP_Auth_Pass: *********'],
      ['uri = ( "pgsql:host=a;password topsecret" )', 'uri = ( "pgsql:host=a;password *********" )'],
      ['uri = ( "pgsql:password=\'topsecret\'" )', 'uri = ( "pgsql:password=***********" )'],
      ['proxy = "http://me:topsecret@a.example/"', 'proxy = "http://me:*********@a.example/"'],
    ]) {
      const text = renderDiagnostics([error('x', 1, 1)], () => line)
      assert.equal(text.split('\n')[1], `    1 | ${shown}`)
    }
  })

  test('a password is not shown either where it stands on another line than its name', () => {
    for (const source of [
      'Outbound_SMTP_Auth_Pass =\n  "topsecret"\nA = 1',
      'Outbound_SMTP_Auth_Pass\n# why\n= "topsecret"\nA = 1',
      'Outbound_SMTP_Auth_Pass = (\n"topsecret"\n)\nA = 1',
      'Outbound_SMTP_Auth_Pass = "a\\"\ntopsecret"\nA = 1',
    ]) {
      const lines = source.split('\n')
      const text = renderDiagnostics(
        lines.map((_, index) => error('x', index + 1, 1)),
        () => source,
      )
      assert.ok(!text.includes('topsecret'), text)
      assert.ok(text.includes('A = 1'), text)
    }
  })

  test('nothing from a configuration reaches the terminal as a command', () => {
    assert.equal(quote('a\u001b[2Jb\nc\u202e'), '"a?[2Jb?c?"')
    assert.equal(quote('x'.repeat(100)).length, 80)
    assert.ok(!renderDiagnostics([error('x', 1, 1)], () => '\u001b]0;title\u0007').includes('\u001b'))
  })
})
