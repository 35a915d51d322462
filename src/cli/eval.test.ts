import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { PassThrough } from 'node:stream'
import { after, describe, test } from 'node:test'
import { runProgram } from './program.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'postern-eval-'))
after(() => rmSync(folder, { recursive: true, force: true }))

const conf = `Hostname = "mx.example.com"
Pathway "strict" { TLS_Verify_Mode = require }
ESMTP_Listener {
  Context = [ plain = "a \\"quoted\\" back\\\\slash" "two words" = "é" ]
  Peer "127.0.0.0/8" { Idle_Time = 7 }
  Listen "*:2525" { Idle_Time = 30 }
  Listen "[::1]:2526" { TLS_Verify_Mode = none }
  Listen "/tmp/eval.sock" { File_Mode = 0600 }
}
Domain "example.com" { Gateway = "127.0.0.1" Outbound_SMTP_Auth_Pass = "s3cret" }
maildir "local" { basedir = "mail" }
`
const file = path.join(folder, 'gate.conf')
writeFileSync(file, conf)

interface Answer {
  readonly code: number
  readonly out: string
  readonly err: string
}

async function run(...args: readonly string[]): Promise<Answer> {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()]
  const code = await runProgram(args, { stdout, stderr, terminal: false })
  return { code, out: text(stdout).replaceAll(file, 'gate.conf'), err: text(stderr) }
}

function text(stream: PassThrough): string {
  return String((stream.read() as Buffer | null) ?? '')
}

const evaluate = (...args: readonly string[]): Promise<Answer> => run('eval', '-c', file, ...args)

async function value(...args: readonly string[]): Promise<string> {
  const { code, out, err } = await evaluate(...args)
  assert.equal(code, 0, err)
  return out
}

async function mistake(...args: readonly string[]): Promise<string> {
  const { code, out, err } = await evaluate(...args)
  assert.equal(code, 1)
  assert.equal(out, '')
  return err
}

describe('eval', () => {
  test('tells the value and the line on which it is written', async () => {
    assert.equal(await value('hostname'), 'Hostname = "mx.example.com"\n  from gate.conf:1\n')
    assert.equal(
      await value('gateway', '--domain', 'EXAMPLE.com'),
      'Gateway = "127.0.0.1"\n  from gate.conf:10\n',
    )
    assert.equal(
      await value('TLS_Verify_Mode', '--listen', ':2525'),
      'TLS_Verify_Mode is not set\n  from default\n',
    )
  })

  test('a Listen can be named in any spelling of its address', async () => {
    for (const named of ['*:2525', ':2525'])
      assert.match(await value('idle_time', '--listen', named), /= 30\n/)
    const other = await value('tls_verify_mode', '--listen', '[0:0::1]:2526')
    assert.equal(other, 'TLS_Verify_Mode = "none"\n  from gate.conf:7\n')
  })

  test('without --peer no Peer block counts, with a pathway neither; on a UNIX socket everybody is local', async () => {
    assert.match(await value('idle_time', '--listen', ':2525', '--pathway', 'strict'), /= 30\n/)
    assert.match(await value('idle_time', '--listen', ':2525', '--peer', '::ffff:127.0.0.1'), /= 7\n/)
    assert.match(await value('idle_time', '--listen', '/tmp/eval.sock'), /= 7\n/)
  })

  test('a pathway that a script would set comes first, and one that nobody wrote is a mistake', async () => {
    const strict = ['--listen', '[::1]:2526', '--pathway']
    assert.match(await value('tls_verify_mode', ...strict, 'strict'), /"require"\n.*:2\n/)
    assert.equal(
      await mistake('tls_verify_mode', ...strict, 'stirct'),
      'error: there is no Pathway "stirct"\n',
    )
  })

  test('a password is not shown', async () => {
    const { code, out } = await run('eval', '-c', file, '--domain', 'example.com', 'Outbound_SMTP_Auth_Pass')
    assert.deepEqual([code, out.includes('s3cret'), out.includes('***')], [0, false, true], out)
  })

  test('a value is written as the configuration would have it', async () => {
    const at = ['--listen', '/tmp/eval.sock']
    assert.match(await value('file_mode', ...at), /^File_Mode = 0600\n/)
    assert.match(await value('spool_mode', ...at), /^Spool_Mode = 0640\n/)
    const context = await value('context', ...at)
    assert.match(context, /^Context = \[ "plain" = "a \\"quoted\\" back\\\\slash" "two words" = "é" \]\n/)
    const again = path.join(folder, 'again.conf')
    writeFileSync(again, `ESMTP_Listener { Listen ":25" { ${context.split('\n')[0] ?? ''} } }`)
    const { out } = await run('eval', '-c', again, 'context')
    assert.equal(out.split('\n')[0], context.split('\n')[0])
  })

  test('says which Listen to choose from, and what is no address', async () => {
    assert.match(await mistake('idle_time'), /say which Listen with --listen: /)
    assert.ok((await mistake('idle_time', '--listen', ':1')).includes('"*:2525"'))
    assert.match(await mistake('idle_time', '--listen', ':2525', '--peer', 'x'), /"x" is not an IP address/)
  })

  test('an option without an effective value is told apart from one that nobody knows', async () => {
    assert.match(
      await mistake('tls_verfy_mode'),
      /unknown option "tls_verfy_mode"; did you mean "TLS_Verify_Mode"/,
    )
    assert.match(await mistake('min_dns_ttl'), /Min_DNS_TTL is recognised, not implemented/)
    assert.match(await mistake('basedir'), /Basedir has the value that its stanza says: maildir/)
  })
})

describe('the command line', () => {
  test('wrong usage is 64 and says what is wrong', async () => {
    for (const args of [
      ['serve', '--workers', 'x'],
      ['serve', '--workers', '1000'],
      ['check', 'a', 'b'],
      ['frob'],
      ['eval'],
    ]) {
      const { code, out, err } = await run(...args)
      assert.deepEqual([code, out], [64, ''], args.join(' '))
      assert.match(err, /^error: .+\n/, args.join(' '))
    }
  })
})
