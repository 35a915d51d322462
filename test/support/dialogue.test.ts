import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'
import { after, before, test } from 'node:test'
import { DialogueError, parseConversation, playConversation } from './dialogue.ts'

/** Says hello, answers a few commands, and shows in hexadecimal what else it got. */
function converse(socket: Socket): void {
  const answers = new Map([
    ['EHLO x', '250-mx.test says EHLO\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250 HELP\r\n'],
    ['TWICE', '250 once\r\n250 twice\r\n'],
    ['HALF', '250 half'],
    ['UMLAUT', Buffer.from('250 grüß dich\r\n').toString('latin1')],
    ['SILENCE', ''],
  ])
  socket.on('error', () => undefined)
  socket.write('220 mx.test ESMTP (fake)\r\n')
  socket.on('data', (chunk) => {
    const text = chunk.toString('latin1')
    const command = text.endsWith('\r\n') ? text.slice(0, -2) : text
    if (command === 'RESET') socket.resetAndDestroy()
    else if (command === 'QUIT') socket.end('221 bye\r\n')
    else socket.write(answers.get(command) ?? `250 got ${chunk.toString('hex')}\r\n`, 'latin1')
    if (command === 'HALF') socket.end()
  })
}

let server: Server
let port = 0

before(async () => {
  server = createServer(converse).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  port = typeof address === 'object' ? (address?.port ?? 0) : 0
})
after(() => server.close())

function play(text: string, timeout = 2_000): Promise<void> {
  return playConversation(parseConversation(text, 'sample.smtp'), { host: '127.0.0.1', port, timeout })
}

/** the message of the failure that this conversation leads to */
async function failure(text: string, timeout?: number): Promise<string> {
  const error: unknown = await play(text, timeout).then(
    () => undefined,
    (error: unknown) => error,
  )
  assert.ok(error instanceof DialogueError, 'the conversation must fail')
  return error.message
}

test('a conversation that goes as written is played to its end', async () => {
  await play(`
-- greeting, with both wildcards
S: 220 mx.test * (f…)
C: EHLO x
S: 250-mx.test says EHLO
S*: 250 HELP
C: UMLAUT
S: 250 grüß …
C<: NOOP\\n\\x00\\xff\\t\\\\\\r\\n
S: 250 got 4e4f4f500a00ff095c0d0a
C:
S: /^250 got (0d0a)$/
C: QUIT
S: 221 bye
S: closed
`)
})

test('a connection that is reset is closed, too', () => play('S: 220 *\nC: RESET\nS: closed'))

test('the configuration is the header’s text', () => {
  const { config } = parseConversation(
    '# config: Hostname = "a"\n# # a comment\n#\n#   Listen {}\n\nS: 220 *',
    'x',
  )
  assert.equal(config, 'Hostname = "a"\n# a comment\n\n  Listen {}')
  assert.equal(parseConversation('S: 220 *', 'x').config, '')
})

test('a line that does not match is shown where it happened', async () => {
  const message = await failure('S: 220 *\nC: EHLO x\nS: 250-mx.test *\nS: 250 HELP\nC: QUIT')
  assert.equal(
    message,
    'sample.smtp:4: the line does not match\n' +
      '    S: 220 mx.test ESMTP (fake)\n    C: EHLO x\n    S: 250-mx.test says EHLO\n    S: 250-PIPELINING\n' +
      '  > S: 250 HELP',
  )
})

test('text is literal but for its wildcards', async () => {
  assert.match(await failure('S: 220 mx.test ESMTP'), /does not match/)
  assert.match(await failure('S: 220 mx_test ESMTP *'), /does not match/)
  assert.match(await failure('S: 220 mx.tes? ESMTP (fake)'), /does not match/)
})

test('skipping stops at the end of the reply', async () => {
  assert.match(
    await failure('S: 220 *\nC: EHLO x\nS*: 250 STARTTLS'),
    /does not match\n[^]*S: 250 HELP\n {2}>/,
  )
})

test('an answer too many is noticed before the client goes on', async () => {
  const text = 'S: 220 *\nC: TWICE\nS: 250 once\nC: EHLO x'
  assert.match(await failure(text), /said more than expected: 250 twice/)
})

test('silence, an early end and a missing end are told apart', async () => {
  assert.match(await failure('S: 220 *\nC: SILENCE\nS: 250 *', 50), /expected a line, got nothing in time/)
  assert.match(
    await failure('S: 220 *\nC: QUIT\nS: 221 *\nS: 250 *'),
    /expected a line, got the end of the connection/,
  )
  assert.match(await failure('S: 220 *\nC: HALF\nS: 250 half'), /does not match/)
  assert.match(await failure('S: closed'), /expected the end of the connection, got a line: 220/)
  assert.match(
    await failure('S: 220 *\nS: closed', 50),
    /expected the end of the connection, got nothing in time/,
  )
})

test('a port where nobody listens is an error, not a closed connection', async () => {
  const spare = createServer().listen(0, '127.0.0.1')
  await once(spare, 'listening')
  const address = spare.address()
  const free = typeof address === 'object' ? (address?.port ?? 0) : 0
  spare.close()
  await once(spare, 'close')
  const conversation = parseConversation('S: closed', 'x')
  await assert.rejects(playConversation(conversation, { host: '127.0.0.1', port: free }), {
    code: 'ECONNREFUSED',
  })
})

test('what is no conversation is refused with its place', () => {
  assert.throws(() => parseConversation('S: 220 *\nHELO x', 'f.smtp'), /f\.smtp:2: not `C: `.*HELO x/)
  assert.throws(() => parseConversation('S:220', 'f.smtp'), /f\.smtp:1/)
  assert.throws(
    () => parseConversation('S: 220 *\n# config: x', 'f.smtp'),
    /f\.smtp:2: the configuration comes before/,
  )
  assert.throws(() => parseConversation('# hello\nS: 220 *', 'f.smtp'), /f\.smtp:1: a header line/)
  assert.throws(
    () => parseConversation('# config: a\n# config: b\nS: 220 *', 'f.smtp'),
    /f\.smtp:2: there is a/,
  )
  assert.throws(() => parseConversation('C<: \\q', 'f.smtp'), /f\.smtp:1: there is no escape \\q/)
  assert.throws(() => parseConversation('S: /(/', 'f.smtp'), /f\.smtp:1: Invalid regular expression/)
  assert.throws(() => parseConversation('-- nothing', 'f.smtp'), /nothing to play/)
})
