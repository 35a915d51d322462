import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type TraceSubject, Transcripts } from './transcripts.ts'

const subject: TraceSubject = {
  direction: 'inbound',
  address: '192.0.2.1',
  id: 'c1',
  domain: '',
  binding: '',
}

function traced(
  talk: (transcript: NonNullable<ReturnType<Transcripts['begin']>>) => void,
): readonly string[] {
  const lines: string[] = []
  const transcripts = new Transcripts(() => 0)
  transcripts.add(1, { matches: () => true, tell: ({ who, text }) => lines.push(`${who} ${text}`) })
  const transcript = transcripts.begin(subject)
  assert.ok(transcript)
  talk(transcript)
  return lines
}

test('nobody asks, and nothing is told; who asks for others hears nothing of this one', () => {
  const transcripts = new Transcripts(() => 0)
  assert.equal(transcripts.begin(subject), undefined)
  transcripts.add(1, { matches: ({ address }) => address === '192.0.2.2', tell: () => assert.fail() })
  assert.equal(transcripts.begin(subject), undefined)
  transcripts.remove(1)
  assert.equal(transcripts.begin({ ...subject, address: '192.0.2.2' }), undefined)
})

test('what AUTH carries is masked in every form, and shown again when it is over', () => {
  const secret = Buffer.from('\0alice\0hunter2').toString('base64')
  const lines = traced((session) => {
    session.server('220 gate\r\n')
    session.client(`auth  plain ${secret}`)
    session.server('535 5.7.8 no\r\n')
    session.client('AUTH LOGIN')
    session.server('334 VXNlcm5hbWU6\r\n')
    session.client('YWxpY2U=')
    session.server('334 UGFzc3dvcmQ6\r\n')
    session.client('aHVudGVyMg==')
    session.server('235 2.7.0 ok\r\n')
    session.client('MAIL FROM:<a@b.example>')
  })
  assert.deepEqual(lines, [
    'S 220 gate',
    'C AUTH plain ***',
    'S 535 5.7.8 no',
    'C AUTH LOGIN',
    'S 334 ***',
    'C ***',
    'S 334 ***',
    'C ***',
    'S 235 2.7.0 ok',
    'C MAIL FROM:<a@b.example>',
  ])
})

test('a password that comes where no command is read is not told either', () => {
  const lines = traced((session) => {
    session.client('AUTH LOGIN\r\nYWxpY2U=\r\naHVudGVyMg==\r\n')
    session.server('538 5.7.11 Encryption required\r\n')
    session.client('aHVudGVyMg==')
    session.client('hunter2 and more')
    session.client(`AUTH ${'aHVudGVyMg=='.repeat(4)}`)
  })
  assert.ok(!lines.some((line) => /aHVud|hunter2/.test(line)), lines.join('\n'))
  assert.equal(lines.at(-2), 'C (no command, 16 octets)')
})

test('several lines of a reply are told one by one, and long ones are cut', () => {
  const lines = traced((session) => {
    session.server('250-gate\r\n250 PIPELINING\r\n')
    session.client(`NOOP ${'x'.repeat(5000)}`)
  })
  assert.deepEqual(lines.slice(0, 2), ['S 250-gate', 'S 250 PIPELINING'])
  assert.equal(lines[2]?.length, 1002)
})
