import assert from 'node:assert/strict'
import { test } from 'node:test'
import { OperatorBench, START, settled } from './desk.fixture.ts'
import { hasLine } from './select.ts'

const FAIL = { kind: 'fail', text: '554 5.7.0 gone', quiet: false } as const
const suspended = { options: { suspend_delivery: true, generate_bounces: false } }
const to = (id: string, domain: string, more = {}) => ({ id, recipient: { local: id, domain }, ...more })

test('a listing has what is under way, then what is ready, then what is delayed by its time', async () => {
  const bench = new OperatorBench({ options: { max_outbound_connections: 1 } })
  await bench.accept(to('late', 'a.test'))
  await bench.answer('transient')
  bench.clock.advance(10_000)
  await bench.accept(to('later', 'a.test'))
  await bench.answer('transient')
  await bench.accept(to('now', 'a.test'), to('next', 'a.test'), to('other', 'b.test'))
  assert.deepEqual(await bench.list(), [
    'underWay now a.test',
    'underWay other b.test',
    'ready next a.test',
    'delayed late a.test',
    'delayed later a.test',
  ])
  const { rows, messages } = await bench.queue.ask('list', { selection: { domain: 'a.test' }, rows: 2 })
  assert.deepEqual([rows.map(({ id }) => id), messages], [['now', 'next'], 4])
  const [late] = (await bench.rows()).filter(({ id }) => id === 'late')
  assert.deepEqual(
    [late?.attempts, late?.nextAttempt, late?.lastReply, late?.sender, late?.recipient],
    [1, START + 60_000, 'said', 'alice@example.org', 'late@a.test'],
  )
})

test('fail: what waits fails with its text, durably before it is told; what is under way is left alone', async () => {
  const bench = new OperatorBench({ options: { max_outbound_connections: 1, generate_bounces: false } })
  await bench.accept(to('one', 'a.test'), to('two', 'a.test'), to('else', 'b.test'))
  const seen: string[] = []
  const update = bench.spool.update.bind(bench.spool)
  bench.spool.update = async (...args) => {
    seen.push(`${args[0]} ${args[1].lastText} ${bench.outcomes.length}`)
    await update(...args)
  }
  const report = await bench.act(FAIL, { domain: 'a.test' })
  assert.deepEqual([report.messages, report.underWay, report.broken], [1, 1, undefined])
  assert.deepEqual(seen, ['two 554 5.7.0 gone 0'])
  assert.deepEqual(bench.outcomes, ['permanent-failure two'])
  await bench.answer('delivered')
  assert.deepEqual(bench.outcomes.slice(1).toSorted(), ['delivery else', 'delivery one'])
  assert.deepEqual([bench.storage.size, bench.panics], [0, []])
})

test('fail tells senders, and does so after a kill too; quiet tells nobody', async () => {
  const bench = new OperatorBench({ options: { suspend_delivery: true } })
  await bench.accept(to('one', 'a.test'), to('two', 'a.test'))
  assert.equal((await bench.act({ ...FAIL, quiet: true }, { id: 'one' })).messages, 1)
  assert.deepEqual([...bench.storage.keys()], ['two'])
  let killed: OperatorBench | undefined
  const create = bench.spool.create.bind(bench.spool)
  bench.spool.create = () => {
    // killed before the bounce is there
    killed ??= new OperatorBench({ storage: new Map(bench.storage), options: { suspend_delivery: true } })
    return create()
  }
  await bench.act(FAIL, { id: 'two' })
  assert.ok(killed)
  await settled()
  for (const { storage } of [bench, killed]) {
    const [bounce] = [...storage.values()].map(({ envelope }) => envelope)
    assert.deepEqual([storage.size, bounce?.sender, bounce?.recipient.local], [1, undefined, 'alice'])
  }
})

test('flush makes delayed messages ready, also those that an operator had delayed, and that holds', async () => {
  const bench = new OperatorBench({ options: { max_outbound_connections: 1 } })
  await bench.accept(to('one', 'a.test'))
  await bench.answer('transient')
  await bench.accept(to('busy', 'a.test'), to('two', 'a.test'))
  assert.equal((await bench.act({ kind: 'delay', seconds: 900 }, { domain: 'a.test' })).messages, 1)
  assert.deepEqual(await bench.list(), ['underWay busy a.test', 'delayed one a.test', 'delayed two a.test'])
  const report = await bench.act({ kind: 'flush' }, { domain: 'a.test' })
  assert.deepEqual([report.messages, report.underWay], [2, 1])
  assert.deepEqual(await bench.list(), ['underWay busy a.test', 'ready one a.test', 'ready two a.test'])
  assert.equal(bench.storage.get('two')?.envelope.notBefore, undefined)
})

test('delay holds over a restart, but no message waits longer than it lives', async () => {
  const bench = new OperatorBench({ options: { suspend_delivery: true, message_expiration: 100 } })
  await bench.accept(to('one', 'a.test'), to('two', 'b.test'))
  await bench.act({ kind: 'delay', seconds: 50 }, { domain: 'a.test' })
  await bench.act({ kind: 'delay', seconds: 5000 }, { domain: 'b.test' })
  const again = new OperatorBench({ storage: bench.storage, clock: bench.clock })
  await settled()
  assert.deepEqual(await again.list(), ['delayed one a.test', 'delayed two b.test'])
  const times = (await again.rows()).map(({ nextAttempt = 0 }) => nextAttempt - START)
  assert.deepEqual(times, [50_000, 100_000])
  again.clock.advance()
  await settled()
  assert.deepEqual(
    again.underWay.map(({ ids }) => ids),
    [['one']],
  )
})

test('reroute and rebind move what waits, ready or delayed, and that holds', async () => {
  const bench = new OperatorBench({ options: (domain) => ({ suspend_delivery: domain === 'a.test' }) })
  await bench.accept(to('one', 'a.test'), to('two', 'c.test'))
  await bench.answer('transient')
  const egress = { bindingGroup: 'bulk', binding: 'm1' }
  assert.equal((await bench.act({ kind: 'rebind', egress }, { binding: 'default' })).messages, 2)
  assert.equal((await bench.act({ kind: 'reroute', domain: 'b.test' })).messages, 2)
  assert.deepEqual(
    bench.underWay.map(({ ids, domain }) => [ids, domain]),
    [[['one'], 'b.test']],
  )
  assert.deepEqual(await bench.list(), ['underWay one b.test', 'delayed two b.test'])
  const [row] = await bench.rows()
  assert.deepEqual([row?.binding, row?.recipient], ['m1', 'one@a.test'])
  assert.deepEqual(
    bench.queue.byDomain().map(({ domain, binding, active, delayed }) => [domain, binding, active, delayed]),
    [['b.test', 'm1', 1, 1]],
  )
  const again = new OperatorBench({ storage: bench.storage, options: { suspend_delivery: true } })
  await settled()
  assert.deepEqual(await again.list({ domain: 'b.test', binding: 'm1', bindingGroup: 'bulk' }), [
    'ready one b.test',
    'ready two b.test',
  ])
  // back to where it was for
  await again.act({ kind: 'reroute', domain: 'a.test' }, { id: 'one' })
  assert.equal(again.storage.get('one')?.envelope.routingDomain, undefined)
})

test('filters look at the context and at lines of the header', async () => {
  const bench = new OperatorBench(suspended)
  await bench.accept(
    to('one', 'a.test', { messageContext: { camp: 'x' } }),
    to('two', 'a.test', { messageContext: { camp: 'y' }, connectionContext: { camp: 'x' } }),
    to('six', 'b.test', { connectionContext: { camp: 'x' } }),
  )
  const meta = { kind: 'meta', key: 'camp', value: 'x' } as const
  assert.deepEqual(await bench.list({ filter: meta }), ['ready one a.test', 'ready six b.test'])
  const preview = await bench.act(FAIL, { filter: meta }, true)
  assert.deepEqual([preview.messages, preview.rows.map(({ id }) => id)], [2, ['one', 'six']])
  assert.equal(bench.storage.size, 3)
  const header = { kind: 'header', name: 'subject', line: 'two' } as const
  assert.equal((await bench.act(FAIL, { filter: header })).messages, 1)
  assert.deepEqual(bench.outcomes, ['permanent-failure two'])
})

test('a line of a header is one that stands there, folded ones by themselves', () => {
  const header = 'Subject: one\r\n two\r\nX-A:  b\r\nSubject : three\r\n\r\nSubject: body'
  const found = (name: string, line: string): boolean => hasLine(header, name, line)
  assert.ok(
    found('SUBJECT', 'one') && found('subject', ' two') && found('x-a', ' b') && found('subject', 'three'),
  )
  for (const line of ['one two', 'two', 'body', '']) assert.ok(!found('subject', line), line)
})

test('what could not be written is where it was, and the act says why', async () => {
  const bench = new OperatorBench(suspended)
  await bench.accept(to('one', 'a.test'), to('two', 'a.test'))
  const update = bench.spool.update.bind(bench.spool)
  bench.spool.update = async (id, ...rest) => {
    if (id === 'one') throw new Error('the disk is full')
    await update(id, ...rest)
  }
  const report = await bench.act({ kind: 'delay', seconds: 60 }, { domain: 'a.test' })
  assert.deepEqual([report.messages, report.broken], [1, 'the disk is full'])
  assert.deepEqual(await bench.list(), ['ready one a.test', 'delayed two a.test'])
  assert.equal(bench.queue.counts.ready, 1)
})

test('one message that cannot be written holds up no others; a storage that fails ends the act', async () => {
  const bench = new OperatorBench(suspended)
  await bench.accept(...Array.from({ length: 1000 }, (_, n) => to(`m${n}`, 'a.test')))
  const update = bench.spool.update.bind(bench.spool)
  bench.spool.update = async (id, ...rest) => {
    if (id === 'm5') throw new Error('damaged')
    await update(id, ...rest)
  }
  const report = await bench.act({ kind: 'delay', seconds: 60 }, { domain: 'a.test' })
  assert.deepEqual([report.messages, report.broken], [999, 'damaged'])
  let tried = 0
  bench.spool.update = async () => {
    tried++
    return await Promise.reject(new Error('no disk'))
  }
  const none = await bench.act({ kind: 'reroute', domain: 'b.test' })
  assert.deepEqual([none.messages, none.broken], [0, 'no disk'])
  assert.ok(tried < 1000)
  const { delayed, ready } = bench.queue.counts
  assert.deepEqual([delayed, ready], [999, 1])
})

test('what was delivered and could not be written down is not failed by an operator', async () => {
  const bench = new OperatorBench()
  await bench.accept(to('one', 'a.test'))
  const remove = bench.spool.remove.bind(bench.spool)
  bench.spool.remove = () => Promise.reject(new Error('the disk is gone'))
  await bench.answer('delivered')
  assert.deepEqual(await bench.list(), ['underWay one a.test'])
  const report = await bench.act(FAIL, { domain: 'a.test' })
  assert.deepEqual([report.messages, report.underWay], [0, 1])
  bench.spool.remove = remove
  bench.clock.advance()
  await settled()
  assert.deepEqual(bench.outcomes, ['delivery one'])
})

test('a domain tells how it stands, what happened lately, and where it goes', async () => {
  const bench = new OperatorBench({ options: { generate_bounces: false } })
  await bench.accept(to('one', 'a.test'), to('two', 'a.test'))
  await bench.answer('transient')
  await bench.accept(to('three', 'a.test'))
  await bench.answer('delivered')
  const { bindings } = await bench.queue.ask('domain', { domain: 'a.test' })
  const [found] = bindings
  assert.deepEqual(
    [bindings.length, found?.delayed, found?.delivered, found?.history?.deferred, found?.route],
    [1, 2, 1, 2, ['relay.test:25']],
  )
  assert.equal(found?.history?.lastFailure?.text, 'said')
  const { rows, totals } = await bench.queue.ask('domains', { having: 'delayed' })
  assert.deepEqual([rows.map(({ domain }) => domain), totals.delayed], [['a.test'], 2])
  assert.deepEqual((await bench.queue.ask('domains', { having: 'active' })).rows, [])
  await bench.act(FAIL)
  await settled()
  const [idle] = (await bench.queue.ask('domain', { domain: 'a.test' })).bindings
  assert.deepEqual([idle?.delayed, idle?.history?.failed, idle?.route], [0, 2, ['relay.test:25']])
})

test('one message is shown with its content, and one that is not there is not', async () => {
  const bench = new OperatorBench(suspended)
  await bench.accept(to('one', 'a.test'))
  const found = await bench.queue.ask('message', { id: 'one', content: 'all' })
  assert.deepEqual(
    [found?.stand, found?.header, found?.body, found?.cut],
    ['ready', 'X-Pick: a\r\n\tb c\r\nSubject: one\r\n\r\n', '', 0],
  )
  assert.equal(await bench.queue.ask('message', { id: 'none', content: 'none' }), undefined)
})

test('an act that a stop overtakes says so, and a stopped queue lists nothing', async () => {
  const bench = new OperatorBench(suspended)
  await bench.accept(to('one', 'a.test'))
  await bench.queue.stop(AbortSignal.abort())
  assert.match((await bench.act(FAIL, {})).broken ?? '', /shutting down/)
  await assert.rejects(bench.queue.ask('list', { selection: {}, rows: 1 }), /shutting down/)
  assert.equal(bench.storage.size, 1)
})
