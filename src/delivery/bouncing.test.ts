import assert from 'node:assert/strict'
import { test } from 'node:test'
import { settingsFor, storedMessage } from '../../test/support/messages.ts'
import { EMPTY_ID } from '../mail/message-id.ts'
import { done, Kill, never, Run, settled } from './bouncing.fixture.ts'
import type { AttemptResult } from './transport.ts'

test('the sender of a message that failed gets a bounce, by the normal way, and the message is forgotten', async () => {
  const run = new Run()
  await run.accept(storedMessage('a'))
  await run.start()
  assert.deepEqual(run.kinds(), ['permanent-failure', 'reception', 'delivery'])
  const [, bounce] = run.attempts
  assert.equal(bounce?.envelope.sender, undefined)
  assert.deepEqual(bounce?.envelope.recipient, { local: 'alice', domain: 'example.org' })
  assert.equal(bounce?.envelope.connectionId, EMPTY_ID)
  assert.equal(bounce?.envelope.size, run.contents[1]?.length)
  assert.match(run.contents[1] ?? '', /^Diagnostic-Code: smtp; 550 5\.1\.1 never\r$/m)
  assert.equal(run.storage.size, 0)
  assert.deepEqual(run.queue.counts, { ready: 0, active: 0, delayed: 0, failed: 0, domains: 0, resident: 0 })
})

test('a message that expires is bounced with the last answer', async () => {
  const later: AttemptResult = { ...never, kind: 'transient', text: '450 4.2.0 later' }
  const run = new Run({
    deliver: ({ envelope }) => (envelope.sender === undefined ? done : later),
    options: { message_expiration: 100 },
  })
  await run.accept(storedMessage('a', { receivedAt: run.clock.now() }))
  await run.start()
  run.clock.advance()
  await settled()
  assert.equal(run.bounces, 1)
  assert.match(run.contents.at(-1) ?? '', /^Status: 5\.4\.7\r$/m)
  assert.match(run.contents.at(-1) ?? '', /^Diagnostic-Code: smtp; 450 4\.2\.0 later\r$/m)
})

test('of a thousand recipients that are refused at once, few have their bounces made at one time', async () => {
  const run = new Run()
  for (let n = 0; n < 200; n++) await run.accept(storedMessage(`m${n}`))
  const message = run.spool.message.bind(run.spool)
  let underWay = 0
  let most = 0
  run.spool.message = async (id) => {
    underWay++
    most = Math.max(most, underWay)
    await new Promise(setImmediate)
    underWay--
    return await message(id)
  }
  await run.start()
  for (let n = 0; n < 40 && run.storage.size > 0; n++) await settled()
  assert.equal(run.bounces, 200)
  assert.equal(run.storage.size, 0)
  assert.ok(most > 1 && most <= 32, `${most}`)
})

test('Soft_Bounce_Drain_Rate says how many bounces are made at once', async () => {
  const run = new Run()
  const settings = settingsFor({ gateway: 'relay.test' })
  run.queue.reload({ ...settings, global: { ...settings.global, soft_bounce_drain_rate: 1 } })
  for (let n = 0; n < 20; n++) await run.accept(storedMessage(`m${n}`))
  const remove = run.spool.remove.bind(run.spool)
  const making = new Set<string>()
  let most = 0
  const message = run.spool.message.bind(run.spool)
  run.spool.message = async (id) => {
    making.add(id)
    most = Math.max(most, making.size)
    await new Promise(setImmediate)
    return await message(id)
  }
  run.spool.remove = async (id) => {
    making.delete(id)
    await remove(id)
  }
  await run.start()
  for (let n = 0; n < 80 && run.storage.size > 0; n++) await settled()
  assert.equal(run.storage.size, 0)
  assert.equal(most, 1)
})

test('the sender hears of a message that cannot be read any more', async () => {
  for (const broken of ['header', 'body'] as const) {
    const run = new Run({ options: { message_expiration: 100, bounces_inline_original: 'all' } })
    await run.accept(storedMessage('a', { receivedAt: run.clock.now() }))
    const read = run.spool.read.bind(run.spool)
    run.spool.read = async (id) => {
      const content = await read(id)
      if (id !== 'a' || content === undefined) return content
      if (broken === 'header') throw new Error('the header is missing')
      return { ...content, body: () => unreadable() }
    }
    await run.start()
    run.clock.advance()
    await settled()
    assert.equal(run.bounces, 1, broken)
    assert.match(run.contents.at(-1) ?? '', /^Action: failed\r$/m)
    assert.doesNotMatch(run.contents.at(-1) ?? '', /Undelivered message/)
    assert.equal(run.storage.size, 0)
  }
})

async function* unreadable(): AsyncGenerator<Uint8Array> {
  yield Buffer.from('bo')
  await Promise.reject(new Error('the body is missing or damaged'))
}

test('nothing that fails without a sender is bounced: a bounce that is refused is the end', async () => {
  const run = new Run({ deliver: () => never })
  await run.accept(storedMessage('a'))
  await run.start()
  assert.deepEqual(run.kinds(), ['permanent-failure', 'reception', 'permanent-failure'])
  assert.equal(run.storage.size, 0)
})

test('without Generate_Bounces a failure is told and the message forgotten', async () => {
  const run = new Run({ options: { generate_bounces: false } })
  await run.accept(storedMessage('a'))
  await run.start()
  assert.deepEqual(run.kinds(), ['permanent-failure'])
  assert.equal(run.storage.size, 0)
})

test('messages that had failed before a start are bounced then, and never without a word', async () => {
  const state = { attempts: 3, nextAttempt: 0, failed: true, lastText: '550 no' }
  const run = new Run()
  await run.accept({ ...storedMessage('a'), state })
  await run.accept({ ...storedMessage('b', { sender: undefined }), state })
  await run.start()
  assert.equal(run.bounces, 1)
  assert.equal(run.storage.size, 0)
  const notices = run.events.flatMap((event) => (event.kind === 'panic' ? [event.text] : []))
  assert.deepEqual(notices, [
    'message b for example.com had failed (550 no) and is forgotten without a bounce',
  ])
})

test('a spool without room keeps the failed message until there is room for its bounce', async () => {
  let room = 60
  const run = new Run({ capacity: () => room })
  await run.accept(storedMessage('a'))
  await run.start()
  assert.equal(run.storage.get('a')?.state.failed, true)
  assert.equal(run.queue.counts.failed, 1)
  for (let n = 0; n < 3; n++) {
    run.clock.advance()
    await settled()
  }
  assert.equal(run.kinds().filter((kind) => kind === 'panic').length, 1, 'it is told once')
  room = 1e6
  run.clock.advance()
  await settled()
  assert.equal(run.bounces, 1)
  assert.equal(run.storage.size, 0)
})

test('a kill at any step loses no bounce, and doubles one only where SMTP itself leaves it open', async () => {
  const whole = new Kill()
  const run = new Run({ kill: whole })
  await run.accept(storedMessage('a'))
  await run.start()
  assert.equal(whole.steps.length, 12, whole.steps.join())
  for (let at = 0; at <= whole.steps.length; at++) {
    const first = new Run({ kill: new Kill(at) })
    await first.accept(storedMessage('a'))
    await first.start()
    const second = new Run({ storage: first.storage })
    await second.start()
    const where = `killed ${whole.steps[at] ?? 'at the end'}`
    assert.equal(second.storage.size, 0, where)
    const bounces = first.bounces + second.bounces
    // the next hop has it, and we had not written that down
    const open = at === 9 || at === 10
    assert.equal(bounces, open ? 2 : 1, where)
  }
})

test('a kill while a start makes up for an earlier one does not double it either', async () => {
  for (let firstAt = 5; firstAt <= 7; firstAt++) {
    for (let secondAt = 0; secondAt <= 4; secondAt++) {
      const first = new Run({ kill: new Kill(firstAt) })
      await first.accept(storedMessage('a'))
      await first.start()
      const second = new Run({ storage: first.storage, kill: new Kill(secondAt) })
      await second.start()
      const third = new Run({ storage: first.storage })
      await third.start()
      const attempts = [...first.attempts, ...second.attempts, ...third.attempts]
      const bounces = new Set(
        attempts.filter(({ envelope }) => envelope.sender === undefined).map(({ envelope }) => envelope.id),
      )
      assert.equal(bounces.size, 1, `${firstAt} ${secondAt}`)
      assert.equal(third.storage.size, 0)
    }
  }
})
